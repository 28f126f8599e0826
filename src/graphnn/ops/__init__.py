"""Floor 2: the primitive operations. Each is a small class that holds its mathematics, and a function that makes it."""

from __future__ import annotations

from graphnn.ir.node import HOOKS, OPERATORS
from graphnn.ir.op import Op
from graphnn.ops import (
    arithmetic,
    bitwise,
    comparison,
    contraction,
    cumulative,
    decompositions,
    exponential,
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
    trigonometric,
    updates,
    windows,
)

_FILES = (
    comparison,
    arithmetic,
    exponential,
    trigonometric,
    special,
    bitwise,
    movement,
    reduction,
    contraction,
    linalg,
    results,
    indexing,
    sorting,
    cumulative,
    decompositions,
    spectral,
    updates,
    random,
    windows,
    host,
)


def all_ops() -> tuple[type[Op], ...]:
    """The classes of all primitive operations, in the order of their files; the coverage test walks them."""
    return tuple(
        value
        for module in _FILES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Op) and value.__module__ == module.__name__
        if "latex" in vars(value)
    )


def _fill_operators() -> None:
    names = {
        arithmetic: "add subtract multiply divide floor_divide remainder negative positive abs",
        exponential: "pow",
        bitwise: "bitwise_and bitwise_or bitwise_xor bitwise_invert bitwise_left_shift bitwise_right_shift astype",
        comparison: "less less_equal greater greater_equal equal not_equal",
        contraction: "matmul",
        movement: "reshape matrix_transpose",
        reduction: "sum max min argmax",
        indexing: "getitem",
    }
    for module, listed in names.items():
        for name in listed.split():
            OPERATORS[name] = getattr(module, name)
    OPERATORS["T"] = movement.transpose_matrix
    HOOKS["at"] = updates.At


_fill_operators()
