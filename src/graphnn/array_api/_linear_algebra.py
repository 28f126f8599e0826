"""Products of vectors and matrices, which stand in the namespace and in its extension ``linalg``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.array_api._array import Array, apply, array_of, whole, wholes
from graphnn.ops import contraction, movement


def matmul(x1: Array, x2: Array, /) -> Array:
    """The product of matrices, or of stacks of them, also written ``x1 @ x2``.

    See `graphnn.matmul`.
    """
    return apply(contraction.matmul, *_both("matmul", x1, x2))


def matrix_transpose(x: Array, /) -> Array:
    """The last two axes exchanged, also written ``x.mT``.

    See `graphnn.matrix_transpose`.
    """
    return apply(movement.matrix_transpose, x)


def tensordot(x1: Array, x2: Array, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Array:
    """Sum of products over several axes.

    See `graphnn.tensordot`.
    """
    pairs: Any = whole("tensordot", axes) if not isinstance(axes, (tuple, list)) else tuple(map(_group, axes))
    return apply(contraction.tensordot, *_both("tensordot", x1, x2), axes=pairs)


def _group(axes: Sequence[int]) -> Any:
    return wholes("tensordot", tuple(axes) if isinstance(axes, Sequence) else axes)


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """Inner product of vectors along an axis; other axes broadcast.

    See `graphnn.vecdot`.
    """
    return apply(contraction.vecdot, *_both("vecdot", x1, x2), axis=whole("vecdot", axis))


def _both(name: str, x1: Array, x2: Array) -> tuple[Array, Array]:
    array_of(name, x1)
    array_of(name, x2)
    return x1, x2
