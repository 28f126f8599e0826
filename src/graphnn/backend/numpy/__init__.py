"""The NumPy backend: the reference that every other backend is compared with. Files mirror `graphnn.ops`."""

from graphnn.backend.numpy import (
    contraction,
    control,
    cumulative,
    decompositions,
    elementwise,
    host,
    indexing,
    linalg,
    movement,
    random,
    reduction,
    results,
    sorting,
    special,
    spectral,
    updates,
    windows,
)
from graphnn.backend.numpy.lower import lower
from graphnn.backend.numpy.plan import NumpyBackend

__all__ = [
    "NumpyBackend",
    "contraction",
    "control",
    "cumulative",
    "decompositions",
    "elementwise",
    "host",
    "indexing",
    "linalg",
    "lower",
    "movement",
    "random",
    "reduction",
    "results",
    "sorting",
    "special",
    "spectral",
    "updates",
    "windows",
]
