"""Cases of `graphnn.functions.creation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.functions import creation as ops
from graphnn.ir.node import Node
from graphnn.testing.case import INTEGERS, UNARY, OpCase
from graphnn.testing.domains import integers

_NO_OPERANDS = "it has no operands"


def _made(build: Callable[[], Node], reference: Any, name: str) -> OpCase:
    """A function without operands."""
    return OpCase(build, lambda: reference, (), name=name, no_scalar=_NO_OPERANDS, no_empty=_NO_OPERANDS)


def _eye(rows: int, columns: int | None = None, k: int = 0) -> Any:
    return np.eye(rows, columns, k, np.float32)


CASES = (
    _made(lambda: ops.zeros((2, 3)), np.zeros((2, 3), np.float32), "zeros"),
    _made(lambda: ops.zeros((0,), dtype="int8"), np.zeros(0, np.int8), "zeros[empty]"),
    _made(lambda: ops.ones((2,), dtype="bool"), np.ones(2, np.bool_), "ones"),
    _made(lambda: ops.full((2, 1), 7), np.full((2, 1), 7, np.int64), "full"),
    _made(lambda: ops.full((), 0.5), np.float32(0.5), "full[scalar]"),
    _made(lambda: ops.arange(5), np.arange(5), "arange"),
    _made(lambda: ops.arange(2, 9, 3, dtype="float32"), np.arange(2, 9, 3, dtype=np.float32), "arange[step]"),
    _made(lambda: ops.arange(5, 0, -2), np.arange(5, 0, -2), "arange[down]"),
    _made(lambda: ops.arange(3, 3), np.arange(3, 3), "arange[empty]"),
    _made(lambda: ops.arange(-100, 100, 90, dtype="int8"), np.array([-100, -10, 80], np.int8), "arange[narrow]"),
    _made(
        lambda: ops.arange(2**63 + 2, 2**63, -1, dtype="uint64"),
        np.array([2**63 + 2, 2**63 + 1], np.uint64),
        "arange[uint64]",
    ),
    _made(lambda: ops.arange(0.0, 1.0, 0.3), np.arange(0.0, 1.0, 0.3).astype(np.float32), "arange[floats]"),
    _made(lambda: ops.arange(1, -1.0, -0.5, dtype="float64"), np.array([1.0, 0.5, 0.0, -0.5]), "arange[floats, down]"),
    _made(lambda: ops.linspace(0.0, 1.0, 5, dtype="float64"), np.linspace(0.0, 1.0, 5), "linspace"),
    _made(
        lambda: ops.linspace(1.0, -1.0, 4, endpoint=False),
        np.linspace(1.0, -1.0, 4, False, dtype=np.float32),
        "linspace[open]",
    ),
    _made(lambda: ops.eye(3), _eye(3), "eye"),
    _made(lambda: ops.eye(2, 4, k=1), _eye(2, 4, 1), "eye[above]"),
    _made(lambda: ops.eye(3, 2, k=-1), _eye(3, 2, -1), "eye[below]"),
    OpCase(ops.zeros_like, np.zeros_like, UNARY),
    OpCase(ops.ones_like, np.ones_like, UNARY, dtypes=("float32", "int8", "bool")),
    OpCase(
        lambda x: ops.full_like(x, 2), lambda x: np.full_like(x, 2), UNARY, dtypes=("float32", "int8"), name="full_like"
    ),
    OpCase(
        lambda x: ops.arange(x.shape[0]),
        lambda x: np.arange(x.shape[0]),
        ((3,), (0,), (1, 2)),
        name="arange[size]",
        no_scalar="it asks for the size of an axis",
    ),
    OpCase(
        lambda x: ops.dim_size(x, 0),
        lambda x: np.int64(x.shape[0]),
        ((3,), (0, 2), (1,)),
        name="dim_size",
        no_scalar="it asks for the size of an axis",
    ),
    OpCase(
        lambda x: ops.one_hot(x, 3),
        lambda x: (x[..., None] == np.arange(3)).astype(np.float32),
        UNARY,
        integers(-1, 3),
        INTEGERS,
        name="one_hot",
    ),
)
