"""No contestant but the measure: how fast this machine multiplies matrices and copies, with all cores, in the same run."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..work import Data, Unsupported, Work

RATES = {"sgemm": "NumPy's matrix product", "own product": "graphnn's own matrix product", "copy": "copying in memory"}


def load(variant):
    return np.__version__


def prepare(work: Work, data: Data | None = None):
    if work.workload == "copy":
        return _copy(work)
    a, b = np.random.default_rng(0).standard_normal((2, side(work), side(work))).astype("float32")
    if work.workload == "sgemm":
        return lambda: a @ b
    from . import graphnn

    if "native" not in graphnn.backends():
        raise Unsupported("graphnn has no native backend")
    graphnn.load("native")
    gn = graphnn.gn
    x, y = (gn.placeholder(name, a.shape, a.dtype) for name in "xy")
    product = gn.function([x, y], x @ y, backend="native")
    return lambda: product(a, b)


def _copy(work):
    """Each core copies its part; NumPy lets go of the interpreter while it copies."""
    source = np.ones(work_size(work), "float32")
    target = np.empty_like(source)
    target[:] = 0  # so that its pages exist
    count = int(os.environ.get("OMP_NUM_THREADS", "1"))
    pairs = list(zip(np.array_split(target, count), np.array_split(source, count), strict=True))
    pool = ThreadPoolExecutor(count)
    return lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs))


def side(work: Work) -> int:
    return 64 if work.small else 2048


def work_size(work: Work) -> int:
    return 1000 if work.small else 10_000_000


def amount(work: Work) -> float:
    """Floating-point operations, or bytes read and written."""
    return 8.0 * work_size(work) if work.workload == "copy" else 2.0 * side(work) ** 3


def fetch(result):
    return [np.zeros(())]
