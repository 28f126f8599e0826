"""Shapes and orders: joined, cut, moved, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.array_api._array import Array, apply, apply_many, array_of, whole, wholes, wrap
from graphnn.array_api._run import run
from graphnn.errors import NodeUseError, ShapeError
from graphnn.functions import manipulation
from graphnn.ir.node import Node
from graphnn.ops import movement, reduction


def broadcast_arrays(*arrays: Array) -> list[Array]:
    """Each array repeated to the common shape of all.

    See `graphnn.broadcast_arrays`.
    """
    return apply_many(manipulation.broadcast_arrays, *arrays) if arrays else []


def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """x repeated to a larger shape.

    See `graphnn.broadcast_to`.
    """
    return apply(movement.broadcast_to, x, shape=wholes("broadcast_to", shape))


def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Arrays joined along an axis; flattened first where `axis` is None.

    See `graphnn.concat`.
    """
    return apply(_concat, *_several("concat", arrays), axis=wholes("concat", axis))


def _concat(*arrays: Node, axis: int | None) -> Node:
    return movement.concat(arrays, axis=axis)


def _several(name: str, arrays: Sequence[Array]) -> Sequence[Array]:
    if not isinstance(arrays, (tuple, list)) or not arrays:
        raise ShapeError(f"{name} takes a list with at least one array", f"Write xp.{name}([a, b], axis=0).")
    for array in arrays:
        array_of(name, array)
    return arrays


def expand_dims(x: Array, /, axis: int) -> Array:
    """x with a new axis of size 1.

    See `graphnn.expand_dims`.
    """
    return apply(movement.expand_dims, x, axis=wholes("expand_dims", axis))


def flip(x: Array, /, *, axis: int | tuple[int, ...] | None = None) -> Array:
    """The elements in reverse order along the given axes, or along all.

    See `graphnn.flip`.
    """
    return apply(manipulation.flip, x, axis=wholes("flip", axis))


def moveaxis(x: Array, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Array:
    """Axes moved to other places; the rest keep their order.

    See `graphnn.moveaxis`.
    """
    return apply(_moveaxis, x, source=wholes("moveaxis", source), destination=wholes("moveaxis", destination))


def _moveaxis(x: Node, *, source: Any, destination: Any) -> Node:
    return manipulation.moveaxis(x, source, destination)


def permute_dims(x: Array, /, axes: tuple[int, ...]) -> Array:
    """The axes of x in another order.

    See `graphnn.permute_dims`.
    """
    return apply(movement.permute_dims, x, axes=wholes("permute_dims", axes))


def repeat(x: Array, repeats: int | Array, /, *, axis: int | None = None) -> Array:
    """Each element, or each slice along an axis, several times in a row; flattened first where `axis` is None.

    See `graphnn.repeat`.
    """
    place = wholes("repeat", axis)
    array = array_of("repeat", x)
    if not isinstance(repeats, Array):
        return wrap(run(_repeat, [array], repeats=whole("repeat", repeats), axis=place)[0])
    if repeats.ndim == 0 or repeats.size == 1:
        return repeat(x, int(apply(_single, repeats)), axis=axis)
    if bool(apply(_some_negative, repeats)):
        raise ShapeError("repeat: the numbers of times are whole numbers from 0, but one is negative")
    total = int(apply(reduction.sum, repeats))
    return wrap(run(_repeat_each, [array, repeats._array], axis=place, size=total)[0])


def _some_negative(x: Node) -> Node:
    return reduction.any(x < 0)


def _single(x: Node) -> Node:
    return movement.reshape(x, ())


def _repeat(x: Node, *, repeats: int, axis: int | None) -> Node:
    return manipulation.repeat(x, repeats, axis=axis)


def _repeat_each(x: Node, repeats: Node, *, axis: int | None, size: int) -> Node:
    return manipulation.repeat(x, repeats, axis=axis, size=size)


def reshape(x: Array, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Array:
    """The elements of x, in row-major order, in another shape; one size may be -1.

    With ``copy=False`` the result shares the memory of x, which is always possible; otherwise it is a new array.
    See `graphnn.reshape`.
    """
    sizes = wholes("reshape", shape)
    made = apply(movement.reshape, x, shape=sizes)
    return wrap(x._array.reshape(made.shape)) if copy is False else made


def roll(x: Array, /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None) -> Array:
    """The elements moved along axes; those that leave at the end come back at the beginning.

    See `graphnn.roll`.
    """
    return apply(manipulation.roll, x, shift=wholes("roll", shift), axis=wholes("roll", axis))


def squeeze(x: Array, /, axis: int | tuple[int, ...]) -> Array:
    """x without the given axes, which must have the size 1.

    See `graphnn.squeeze`.
    """
    if axis is None:
        raise ShapeError("squeeze: the axes to drop must be named", "Write xp.squeeze(x, axis=0).")
    return apply(movement.squeeze, x, axis=wholes("squeeze", axis))


def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Arrays of one shape joined along a new axis.

    See `graphnn.stack`.
    """
    return apply(_stack, *_several("stack", arrays), axis=whole("stack", axis))


def _stack(*arrays: Node, axis: int) -> Node:
    return movement.stack(arrays, axis=axis)


def tile(x: Array, repetitions: tuple[int, ...], /) -> Array:
    """x laid out several times along each axis.

    See `graphnn.tile`.
    """
    return apply(_tile, x, repetitions=wholes("tile", repetitions))


def _tile(x: Node, *, repetitions: Any) -> Node:
    return manipulation.tile(x, (repetitions,) if isinstance(repetitions, int) else repetitions)


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices of x along an axis, without it.

    See `graphnn.unstack`.
    """
    if array_of("unstack", x).ndim == 0:
        raise NodeUseError("unstack: an array without axes has no slices", "It is one number: float(x).")
    return tuple(apply_many(manipulation.unstack, x, axis=whole("unstack", axis)))
