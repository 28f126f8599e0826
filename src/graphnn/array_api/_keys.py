"""What stands in ``x[key]``: taken apart into a form that a plan is made for and arrays that it is run with.

Whole numbers become arrays too, so that one plan serves every element; only slices are part of the form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from graphnn.array_api._run import run
from graphnn.errors import DTypeError, IndexRangeError
from graphnn.functions.indexing import nonzero
from graphnn.ir.arrays import Array as NumpyArray
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.ops.indexing import getitem
from graphnn.ops.movement import Reshape
from graphnn.ops.reduction import sum

Form: TypeAlias = "tuple[tuple[int | None, int | None, int | None] | str, ...]"
"""For each item of a key: the three parts of a slice, ``array``, ``new`` or ``...``."""


def parse(shape: tuple[int, ...], key: Any, arrays_of: Any) -> tuple[Form, list[NumpyArray]]:
    """The form of a key and its integer arrays; a mask becomes the places where it is True.

    `arrays_of` gives the NumPy array of an item that is an array, and None for any other.
    """
    form: list[Any] = []
    indices: list[NumpyArray] = []
    items = key if isinstance(key, tuple) else (key,)
    axis = 0
    for number, item in enumerate(items):
        if item is None:
            form.append("new")
        elif item is Ellipsis:
            form.append("...")
            axis = len(shape) - sum_of(count_axes(rest, arrays_of) for rest in items[number + 1 :])
        elif isinstance(item, slice):
            form.append(tuple(_bound(part) for part in (item.start, item.stop, item.step)))
            axis += 1
        else:
            array = arrays_of(item)
            if array is None:
                array = np.asarray(_int(item), np.int64)
            if array.dtype.kind == "b":
                places = mask_places(shape[axis:], array)
                form += ["array"] * len(places)
                indices += places
                axis += len(places)
            else:
                form.append("array")
                indices.append(array)
                axis += 1
    taken = sum_of(1 for part in form if part not in ("new", "..."))
    if taken > len(shape) or form.count("...") > 1:
        what = "... comes twice" if form.count("...") > 1 else f"{taken} indices for {len(shape)} axes"
        raise IndexRangeError(
            f"x[key]: {what} of {shape_text(shape)}", "Each index takes one axis; None adds a new one."
        )
    return tuple(form), indices


def sum_of(numbers: Iterator[int]) -> int:
    """The sum of some numbers: `sum` is that of arrays here."""
    total = 0
    for number in numbers:
        total += number
    return total


def count_axes(item: Any, arrays_of: Any) -> int:
    """How many axes of the array an item of a key takes."""
    if item is None or item is Ellipsis:
        return 0
    array = arrays_of(item)
    return array.ndim if array is not None and array.dtype.kind == "b" else 1


def _int(item: Any) -> int:
    if isinstance(item, bool) or not hasattr(item, "__index__"):
        raise DTypeError(
            f"x[key]: an index is an int, a slice, None, ... or an array of integers or bools, not {item!r}"[:200],
            "Make an array of a list first: xp.asarray([0, 2]).",
        )
    return int(item.__index__())


def _bound(part: Any) -> int | None:
    return None if part is None else _int(part)


def mask_places(shape: tuple[int, ...], mask: NumpyArray) -> list[NumpyArray]:
    """The places where a mask is True, an array for each of its axes: first how many there are, then where."""
    check_mask(shape, mask)
    if 0 in mask.shape:
        return [np.zeros(0, np.int64)] * mask.ndim
    (count,) = run(_count, [mask])
    return run(_places, [mask], size=int(count))


def check_mask(shape: tuple[int, ...], mask: NumpyArray) -> None:
    """Check that a mask has the sizes of the first axes; a size of 0 picks nothing."""
    fits = zip(mask.shape, shape, strict=False)
    if mask.ndim == 0 or mask.ndim > len(shape) or any(size not in (wanted, 0) for size, wanted in fits):
        raise IndexRangeError(
            f"x[mask]: a mask of shape {shape_text(mask.shape)} does not fit {shape_text(shape)}",
            "Its sizes must be those of the first axes.",
        )


def _count(mask: Node) -> Node:
    return sum(mask.astype("int64"))


def _places(mask: Node, *, size: int) -> tuple[Node, ...]:
    return nonzero(mask, size=size)


def key_of(form: Form, indices: tuple[Node, ...]) -> tuple[Any, ...]:
    """The key of a node, from its form and its index nodes."""
    rest = iter(indices)
    words: dict[Any, Any] = {"new": None, "...": Ellipsis}
    return tuple(
        slice(*part) if isinstance(part, tuple) else next(rest) if part == "array" else words[part] for part in form
    )


def picked(x: Node, *indices: Node, form: Form) -> Node:
    """``x[key]``."""
    return getitem(x, key_of(form, indices))


def changed(x: Node, value: Node, *indices: Node, form: Form) -> Node:
    """x with a value at a key. As in NumPy, the value may have more axes of size 1 in front than there are places."""
    spare = value.ndim - picked(x, *indices, form=form).ndim
    if spare > 0 and all(size == 1 for size in value.shape[:spare]):
        value = Reshape(value.shape[spare:])(value)
    made: Node = x.at[key_of(form, indices)].set(value.astype(x.dtype))
    return made


def masked(x: Node, mask: Node, value: Node) -> Node:
    """x with one number where a mask is True."""
    made: Node = x.at[mask].set(value.astype(x.dtype))
    return made
