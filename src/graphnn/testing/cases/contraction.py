"""Cases of `graphnn.ops.contraction` and of einsum."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions.einsum import einsum
from graphnn.ops import contraction as ops
from graphnn.testing.case import OpCase

_DTYPES = ("float32", "float64", "int64", "int8")
_NO_AXES = "it needs vectors"
_MATMUL = (
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((1, 3), (3, 1)), ((2, 0), (0, 3)), ((0, 2), (2, 3)),
    ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((1, 2, 3), (2, 3, 2)), ((0, 2, 3), (3, 2)),
)  # fmt: skip


def _einsum(subscripts: str, *shapes: Any, name: str, **options: Any) -> OpCase:
    options.setdefault("no_scalar", _NO_AXES)
    return OpCase(
        lambda *xs: einsum(subscripts, *xs),
        lambda *xs: np.einsum(subscripts, *xs),
        shapes,
        dtypes=_DTYPES,
        name=f"einsum[{name}]",
        **options,
    )


CASES = (
    OpCase(ops.matmul, np.matmul, _MATMUL, dtypes=_DTYPES, no_scalar=_NO_AXES),
    OpCase(
        lambda x, y: ops.tensordot(x, y),
        lambda x, y: np.tensordot(x, y),
        (((2, 3), (2, 3)), ((2, 3, 2), (3, 2, 2)), ((0, 2), (0, 2))),
        dtypes=_DTYPES,
        name="tensordot",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x, y: ops.tensordot(x, y, axes=0),
        lambda x, y: np.tensordot(x, y, axes=0),
        (((), ()), ((2,), (3,)), ((2, 1), ()), ((0,), (2,))),
        dtypes=_DTYPES,
        name="tensordot[outer]",
    ),
    OpCase(
        lambda x, y: ops.tensordot(x, y, axes=((0, 2), (1, 0))),
        lambda x, y: np.tensordot(x, y, axes=((0, 2), (1, 0))),
        (((2, 3, 4), (4, 2)), ((2, 3, 0), (0, 2, 2))),
        dtypes=_DTYPES,
        name="tensordot[pairs]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        ops.vecdot,
        lambda x, y: np.sum(x * y, axis=-1, dtype=x.dtype),
        (((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((0, 3), (3,)), ((2, 0), (2, 0))),
        dtypes=_DTYPES,
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x, y: ops.vecdot(x, y, axis=0),
        lambda x, y: np.sum(x * y, axis=0, dtype=x.dtype),
        (((3,), (3,)), ((3, 2), (3, 2)), ((0, 2), (0, 2))),
        dtypes=_DTYPES,
        name="vecdot[axis]",
        no_scalar=_NO_AXES,
    ),
    _einsum("i,i->", ((3,), (3,)), ((0,), (0,)), name="dot"),
    _einsum("ij,jk", ((2, 3), (3, 2)), ((2, 0), (0, 2)), name="implicit"),
    _einsum("ij->ji", ((2, 3),), ((0, 3),), name="transpose"),
    _einsum("ij->", ((2, 3),), ((0, 3),), name="sum"),
    _einsum("ii->i", ((3, 3),), ((0, 0),), name="diagonal"),
    _einsum("ii", ((3, 3),), ((1, 1),), ((0, 0),), name="trace"),
    _einsum("iji,j->i", ((2, 3, 2), (3,)), ((0, 2, 0), (2,)), name="diagonal of three"),
    _einsum("ij,ij->ij", ((2, 3), (2, 3)), ((0, 3), (0, 3)), name="elements"),
    _einsum("i,j->ji", ((2,), (3,)), ((0,), (3,)), name="outer"),
    _einsum(",i->i", ((), (3,)), ((), (0,)), name="scalar factor", no_scalar=""),
    _einsum("...ij,...jk->...ik", ((2, 2, 3), (3, 2)), ((2, 3), (3, 2)), ((2, 1, 0, 2), (3, 2, 1)), name="ellipsis"),
    _einsum("ij,kj,k->i", ((2, 3), (4, 3), (4,)), ((0, 3), (2, 3), (2,)), name="three"),
    _einsum(
        "ab,bc,cd,de->ae", ((2, 3), (3, 2), (2, 4), (4, 2)), ((0, 2), (2, 3), (3, 2), (2, 2)), name="chain of four"
    ),
    _einsum("ij,jk->k", ((2, 3), (3, 2)), ((0, 3), (3, 2)), name="summed alone"),
    _einsum("ij,ij->i", ((2, 1), (2, 3)), ((1, 3), (2, 1)), ((0, 1), (1, 3)), name="size 1"),
)
