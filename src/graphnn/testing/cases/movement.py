"""Cases of `graphnn.ops.movement` and `graphnn.functions.manipulation`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import manipulation as more
from graphnn.ir.arrays import Array
from graphnn.ir.dims import product
from graphnn.ops import movement as ops
from graphnn.testing.case import UNARY, OpCase

_ANY = ("float32", "float64", "int8", "bool")
_MATRICES = ((2, 3), (1, 3), (3, 1), (0, 3), (2, 3, 2))
_LINES = ((3,), (4,))  # at least three elements along the first axis
_NO_AXES = "it names an axis"
_NO_PART = "it takes elements that must be there"


def _case(build: Any, reference: Any, shapes: Any, name: str, **options: Any) -> OpCase:
    return OpCase(build, reference, shapes, dtypes=_ANY, name=name, **options)


def _unslice(x: Array) -> Array:
    out = np.zeros((7, *x.shape[1:]), x.dtype)
    out[1:7:2] = x
    return out


def _shared(*arrays: Array) -> Array:
    return np.concatenate(arrays, axis=0)


def _at(cut: slice) -> Any:
    return lambda x: x[cut]


CASES = (
    _case(lambda x: ops.reshape(x, (product(x.shape),)), lambda x: x.reshape(-1), UNARY, "reshape"),
    _case(lambda x: ops.reshape(x, (-1, 1)), lambda x: x.reshape(-1, 1), ((), (3,), (2, 3), (0, 2)), "reshape[-1]"),
    _case(
        lambda x: ops.reshape(x, (x.shape[1], x.shape[0])),
        lambda x: x.reshape(x.shape[1], x.shape[0]),
        ((2, 3), (0, 2)),
        "reshape[matrix]",
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: ops.expand_dims(x, axis=0), lambda x: x[None], UNARY, "expand_dims"),
    _case(lambda x: ops.expand_dims(x, axis=(0, -1)), lambda x: np.expand_dims(x, (0, -1)), UNARY, "expand_dims[two]"),
    _case(ops.squeeze, np.squeeze, ((), (1,), (1, 3, 1), (1, 0)), "squeeze"),
    _case(
        lambda x: ops.squeeze(x, 1),
        lambda x: np.squeeze(x, 1),
        ((2, 1), (1, 1, 3), (0, 1)),
        "squeeze[axis]",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda x: ops.permute_dims(x, (1, 2, 0)),
        lambda x: np.transpose(x, (1, 2, 0)),
        ((2, 3, 4), (1, 0, 2)),
        "permute_dims",
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: ops.permute_dims(x, ()), lambda x: x, ((),), "permute_dims[scalar]", no_empty="it has no axes"),
    _case(ops.matrix_transpose, lambda x: np.swapaxes(x, -1, -2), _MATRICES, "matrix_transpose", no_scalar=_NO_AXES),
    _case(lambda x: x.T, np.transpose, ((2, 3), (1, 3), (0, 2)), "transpose_matrix", no_scalar=_NO_AXES),
    _case(
        lambda x: ops.broadcast_to(x, (2, *x.shape)), lambda x: np.broadcast_to(x, (2, *x.shape)), UNARY, "broadcast_to"
    ),
    _case(
        lambda x: ops.broadcast_to(x, (2, x.shape[1])),
        lambda x: np.broadcast_to(x, (2, x.shape[1])),
        ((1, 3), (1, 1), (1, 0)),
        "broadcast_to[axis]",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda x: ops.broadcast_to(x, (0, *x.shape)),
        lambda x: np.broadcast_to(x, (0, *x.shape)),
        ((), (3,), (0,)),
        "broadcast_to[nothing]",
    ),
    _case(
        lambda *xs: ops.concat(xs, axis=0),
        _shared,
        (((2,), (3,), (1,)), ((1, 2), (0, 2), (3, 2))),
        "concat",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda *xs: ops.concat(xs, axis=-1),
        lambda *xs: np.concatenate(xs, axis=-1),
        (((2, 2), (2, 3)), ((0, 1), (0, 2))),
        "concat[last]",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda *xs: ops.concat(xs, axis=None),
        lambda *xs: np.concatenate(xs, axis=None),
        (((2, 2), (3,)), ((), (1, 1)), ((0, 1), (2,))),
        "concat[flat]",
    ),
    _case(
        lambda x: ops.concat([x, x, x]),
        lambda x: np.concatenate([x, x, x]),
        ((2,), (0, 2)),
        "concat[itself]",
        no_scalar=_NO_AXES,
    ),
    _case(lambda *xs: ops.stack(xs), lambda *xs: np.stack(xs), (((), ()), ((3,), (3,)), ((0,), (0,))), "stack"),
    _case(
        lambda *xs: ops.stack(xs, axis=-1),
        lambda *xs: np.stack(xs, axis=-1),
        (((2, 3), (2, 3)), ((0,), (0,))),
        "stack[last]",
        no_scalar="see stack",
    ),
    _case(
        lambda x: ops.Part(0, 1, x.shape[0] - 1)(x),
        lambda x: x[1:],
        ((3,), (1,), (4, 2), (2, 0)),
        "part",
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: x[1:], _at(slice(1, None)), ((3,), (1,), (2, 3), (0, 2)), "slice", no_scalar=_NO_AXES),
    _case(lambda x: x[:-1], _at(slice(-1)), ((3,), (1,), (2, 3), (0, 2)), "slice[end]", no_scalar=_NO_AXES),
    _case(
        lambda x: x[::-1],
        _at(slice(None, None, -1)),
        ((3,), (1,), (2, 3), (0, 2)),
        "slice[reversed]",
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: x[::2], _at(slice(None, None, 2)), ((3,), (4,), (1,), (0, 2)), "slice[step]", no_scalar=_NO_AXES),
    _case(lambda x: x[-2:0:-1], _at(slice(-2, 0, -1)), ((3,), (4,), (1,), (0, 2)), "slice[back]", no_scalar=_NO_AXES),
    _case(lambda x: x[5:2], _at(slice(5, 2)), ((3,), (7, 2), (0,)), "slice[nothing]", no_scalar=_NO_AXES),
    _case(
        lambda x: x[1:3, ..., None, ::-2],
        lambda x: x[1:3, ..., None, ::-2],
        ((3, 4), (4, 2, 3), (3, 0)),
        "slice[several]",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda x: x[-1],
        lambda x: x[-1],
        ((3,), (1,), (4, 2), (2, 0)),
        "slice[int]",
        no_scalar=_NO_AXES,
        unnamed="whether it is in range",
    ),
    _case(lambda x: x[..., None], lambda x: x[..., None], UNARY, "slice[None]"),
    _case(
        lambda x: ops.Unslice(((1, 7, 2), *((None, None, 1),) * (x.ndim - 1)), (7, *x.shape[1:]))(x),
        _unslice,
        ((3,), (3, 2), (3, 0)),
        "unslice",
        static=(3,),
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: more.flip(x), np.flip, UNARY, "flip"),
    _case(
        lambda x: more.flip(x, axis=0), lambda x: np.flip(x, 0), ((3,), (2, 3), (0,)), "flip[axis]", no_scalar=_NO_AXES
    ),
    _case(
        lambda x: more.moveaxis(x, 0, -1),
        lambda x: np.moveaxis(x, 0, -1),
        ((2, 3, 4), (3,), (0, 2)),
        "moveaxis",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda x: more.moveaxis(x, (0, 1), (2, 0)),
        lambda x: np.moveaxis(x, (0, 1), (2, 0)),
        ((2, 3, 4), (1, 0, 2)),
        "moveaxis[two]",
        no_scalar=_NO_AXES,
    ),
    _case(more.flatten, np.ravel, UNARY, "flatten"),
    _case(
        lambda x: more.flatten(x, start=1),
        lambda x: x.reshape(x.shape[0], int(np.prod(x.shape[1:]))),
        ((2, 3, 2), (3,), (2, 0)),
        "flatten[start]",
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: more.tile(x, (2,)), lambda x: np.tile(x, (2,)), ((), (3,), (2, 3), (0,)), "tile"),
    _case(lambda x: more.tile(x, (2, 3)), lambda x: np.tile(x, (2, 3)), ((), (3,), (2, 3), (0,)), "tile[more]"),
    _case(lambda x: more.tile(x, (0, 2)), lambda x: np.tile(x, (0, 2)), ((), (3,), (2, 3), (0,)), "tile[nothing]"),
    _case(lambda x: more.repeat(x, 2), lambda x: np.repeat(x, 2), UNARY, "repeat"),
    _case(
        lambda x: more.repeat(x, 3, axis=0),
        lambda x: np.repeat(x, 3, 0),
        ((3,), (2, 2), (0,)),
        "repeat[axis]",
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: more.repeat(x, 0), lambda x: np.repeat(x, 0), ((), (3,), (0,)), "repeat[never]"),
    _case(
        lambda x: more.repeat(x, [2, 0, 3], size=5),
        lambda x: np.repeat(x, [2, 0, 3]),
        ((3,), (1, 3)),
        "repeat[each]",
        static=(3,),
        no_scalar=_NO_AXES,
        no_empty="there is a number for each of three elements",
    ),
    _case(
        lambda x: more.repeat(x, [1, 2], axis=1, size=3),
        lambda x: np.repeat(x, [1, 2], 1),
        ((3, 2), (0, 2)),
        "repeat[each, axis]",
        static=(2,),
        no_scalar=_NO_AXES,
    ),
    _case(lambda x: ops.Pad(((1, 2),) * x.ndim)(x), lambda x: np.pad(x, (1, 2)) if x.ndim else x, UNARY, "pad"),
    _case(
        lambda x: more.pad(x, ((0, 1), (2, 0))),
        lambda x: np.pad(x, ((0, 1), (2, 0))),
        ((2, 3), (0, 2)),
        "pad[zeros]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: more.pad(x, (1, 2), value=7.0),
        lambda x: np.pad(x, (1, 2), constant_values=7.0),
        ((3,), (2, 3), (0,)),
        name="pad[value]",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda x: more.pad(x, (2, 1), mode="edge"),
        lambda x: np.pad(x, (2, 1), mode="edge"),
        ((3,), (1,), (2, 3)),
        "pad[edge]",
        no_scalar=_NO_AXES,
        no_empty=_NO_PART,
    ),
    _case(
        lambda x: more.pad(x, ((2, 1),) + ((0, 0),) * (x.ndim - 1), mode="reflect"),
        lambda x: np.pad(x, ((2, 1),) + ((0, 0),) * (x.ndim - 1), mode="reflect"),
        ((3,), (4, 2)),
        "pad[reflect]",
        no_scalar=_NO_AXES,
        no_empty=_NO_PART,
    ),
    _case(
        lambda x: more.pad(x, ((2, 1),) + ((0, 0),) * (x.ndim - 1), mode="wrap"),
        lambda x: np.pad(x, ((2, 1),) + ((0, 0),) * (x.ndim - 1), mode="wrap"),
        _LINES,
        "pad[wrap]",
        no_scalar=_NO_AXES,
        no_empty=_NO_PART,
    ),
    *(
        _case(
            lambda x, shift=shift: more.roll(x, shift),
            lambda x, shift=shift: np.roll(x, shift),
            UNARY,
            f"roll[{shift}]" if shift != 1 else "roll",
        )
        for shift in (1, -4, 0)
    ),
    _case(
        lambda x: more.roll(x, (1, -1), axis=(0, -1)),
        lambda x: np.roll(x, (1, -1), axis=(0, -1)),
        ((3,), (2, 3), (0, 3)),
        "roll[axes]",
        no_scalar=_NO_AXES,
    ),
    _case(
        lambda x: more.split(x, 2, axis=-1)[1],
        lambda x: np.split(x, 2, axis=-1)[1],
        ((2,), (3, 4), (3, 0)),
        "split",
        no_scalar=_NO_AXES,
        static=(0, 2, 4),
    ),
    *(
        _case(
            lambda x, part=part: more.split(x, [1, 3])[part],
            lambda x, part=part: np.split(x, [1, 3])[part],
            ((5,), (2,), (4, 2), (0, 2)),
            f"split[{part}]",
            no_scalar=_NO_AXES,
        )
        for part in range(3)
    ),
    _case(
        lambda x: more.unstack(x, axis=1)[1],
        lambda x: x[:, 1],
        ((2, 3), (3, 2, 2), (0, 2)),
        "unstack",
        no_scalar=_NO_AXES,
        unnamed="how many slices",
    ),
    _case(
        lambda x, y: more.broadcast_arrays(x, y)[0],
        lambda x, y: np.broadcast_arrays(x, y)[0],
        (((), (2,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((1,), (0,))),
        "broadcast_arrays",
    ),
    *(
        _case(
            lambda x, y, z, i=i, indexing=indexing: more.meshgrid(x, y, z, indexing=indexing)[i],
            lambda x, y, z, i=i, indexing=indexing: np.meshgrid(x, y, z, indexing=indexing)[i],
            (((2,), (3,), (4,)), ((2,), (), (1,)), ((2,), (0,), (3,))),
            f"meshgrid[{indexing} {i}]" if i else f"meshgrid[{indexing}]",
        )
        for indexing in ("xy", "ij")
        for i in range(3)
    ),
)
