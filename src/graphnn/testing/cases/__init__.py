"""The table of OpCases, one file for each file of `graphnn.ops`, and the functions and composites by topic."""
