"""The NumPy backend: the reference that every other backend is compared with. Files mirror `graphnn.ops`."""

from graphnn.backend.numpy import contraction, elementwise, indexing, movement, random, reduction
from graphnn.backend.numpy.lower import lower
from graphnn.backend.numpy.plan import NumpyBackend

__all__ = ["NumpyBackend", "contraction", "elementwise", "indexing", "lower", "movement", "random", "reduction"]
