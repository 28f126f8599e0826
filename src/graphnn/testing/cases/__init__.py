"""The table of OpCases: a file for each file of `graphnn.ops`, with what `graphnn.functions` builds on it beside it."""

from __future__ import annotations

from graphnn.testing.case import OpCase
from graphnn.testing.cases import (
    activations,
    arithmetic,
    attention,
    bitwise,
    comparison,
    contraction,
    control,
    convolution,
    creation,
    cumulative,
    decompositions,
    exponential,
    grids,
    host,
    indexing,
    linalg,
    movement,
    normalization,
    pooling,
    random,
    reduction,
    resize,
    sorting,
    special,
    trigonometric,
    unpooling,
    updates,
    windows,
)

_FILES = (
    arithmetic, comparison, exponential, trigonometric, bitwise, movement, reduction, contraction,
    indexing, sorting, cumulative, updates, random,
    activations, creation, linalg, decompositions, special,
    windows, convolution, pooling, resize, host, control,
    normalization, attention, grids, unpooling,
)  # fmt: skip


def all_cases() -> tuple[OpCase, ...]:
    """Every OpCase of graphnn's own operations and functions."""
    return tuple(case for file in _FILES for case in file.CASES)
