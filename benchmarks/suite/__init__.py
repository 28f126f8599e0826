"""The benchmark suite: graphnn and its peers side by side. `python -m suite --help` tells how to run it."""
