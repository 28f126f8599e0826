"""A file for each contestant, with three functions.

`load(variant)` imports the library and tells its version; `prepare(work, data)` builds what is asked for, and gives a function
that does it once and returns when it is done; `fetch(result)` makes NumPy arrays of what that function returned.
"""
