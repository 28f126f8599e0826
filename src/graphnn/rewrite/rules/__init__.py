"""The rules of graphnn, a file for each kind. Each list is explicit: what is not in it does not happen."""
