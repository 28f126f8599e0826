"""Floor 5: a graph in, something that runs out."""
