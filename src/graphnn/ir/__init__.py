"""Floor 1: what a graph is. Sizes, dtypes, specs, sources, ops, nodes, graphs."""
