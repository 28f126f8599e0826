"""Training: the loop around a compiled step, its history and its display."""
