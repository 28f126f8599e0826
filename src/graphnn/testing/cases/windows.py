"""Cases of `graphnn.ops.windows` and of unfold and fold."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from graphnn.functions.patches import fold, unfold
from graphnn.ir.arrays import Array
from graphnn.ops import windows as ops
from graphnn.testing.case import OpCase

_ANY = ("float32", "float64", "int8", "bool")
_NUMBERS = ("float32", "float64", "int64", "int8")
_NO_AXES = "it slides along an axis"


def every_window(lengths: Any, sizes: Any, strides: Any, dilations: Any) -> Any:
    """For every window its number and the places that it takes, by counting."""
    counts = []
    for length, size, stride, dilation in zip(lengths, sizes, strides, dilations, strict=True):
        starts = [start for start in range(0, length, stride) if start + (size - 1) * dilation < length]
        counts.append(len(starts))
    for number in itertools.product(*map(range, counts)):
        places = [
            [i * stride + j * dilation for j in range(size)]
            for i, size, stride, dilation in zip(number, sizes, strides, dilations, strict=True)
        ]
        yield number, np.ix_(*places)


def _windows(x: Array, size: int, stride: int, dilation: int) -> Array:
    # Along the first axis.
    found = [
        np.stack([x[start + j * dilation] for j in range(size)], axis=-1)
        for start in range(0, len(x), stride)
        if start + (size - 1) * dilation < len(x)
    ]
    return np.stack(found)


def _fold(x: Array, stride: int, dilation: int) -> Array:
    # Along the first axis; the last one holds the windows.
    count, size = x.shape[0], x.shape[-1]
    out = np.zeros(((count - 1) * stride + (size - 1) * dilation + 1, *x.shape[1:-1]), x.dtype)
    for i in range(count):
        for j in range(size):
            out[i * stride + j * dilation] += x[i, ..., j]
    return out


def _unfold(x: Array, sizes: Any, strides: Any, dilations: Any) -> Array:
    # x is [batch, h, w, channels].
    found = {
        number: x[:, places[0], places[1], :].reshape(len(x), sizes[0] * sizes[1] * x.shape[-1])
        for number, places in every_window(x.shape[1:-1], sizes, strides, dilations)
    }
    last = max(found)
    out = np.zeros((len(x), last[0] + 1, last[1] + 1, found[last].shape[-1]), x.dtype)
    for (i, j), values in found.items():
        out[:, i, j] = values
    return out


def _refold(x: Array, lengths: Any, sizes: Any, strides: Any) -> Array:
    # x is [batch, oh, ow, kh * kw * channels].
    channels = x.shape[-1] // (sizes[0] * sizes[1])
    out = np.zeros((len(x), *lengths, channels), x.dtype)
    for (i, j), places in every_window(lengths, sizes, strides, (1, 1)):
        out[:, places[0], places[1], :] += x[:, i, j].reshape(len(x), *sizes, channels)
    return out


CASES = (
    OpCase(
        lambda x: ops.windows(x, 2, axis=0),
        lambda x: _windows(x, 2, 1, 1),
        ((3,), (2, 2), (4, 0), (5, 1, 2)),
        dtypes=_ANY,
        name="windows",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: ops.windows(x, 3, axis=0, stride=2, dilation=2),
        lambda x: _windows(x, 3, 2, 2),
        ((5,), (8, 2), (7, 0)),
        dtypes=_ANY,
        name="windows[steps]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: ops.windows(x, (2, 3), axis=(-1, 0), stride=(1, 2)),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3), (-1, 0))[::2],
        ((3, 2), (7, 3), (4, 0, 3)),
        dtypes=_ANY,
        name="windows[two]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: ops.windows(x, (2, 2)),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)),
        ((3, 2), (2, 4)),
        dtypes=_ANY,
        name="windows[all]",
        no_scalar=_NO_AXES,
        no_empty="each axis holds a window",
    ),
    OpCase(
        lambda x: ops.fold_windows(x, x.shape[0] - 1 + x.shape[-1], axis=0),
        lambda x: _fold(x, 1, 1),
        ((3, 2), (2, 3), (1, 4), (2, 0, 2), (2, 2, 3)),
        dtypes=_NUMBERS,
        name="fold_windows",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: ops.fold_windows(x, (x.shape[0] - 1) * 2 + (x.shape[-1] - 1) * 3 + 1, axis=0, stride=2, dilation=3),
        lambda x: _fold(x, 2, 3),
        ((3, 2), (4, 3), (2, 0, 2)),
        dtypes=_NUMBERS,
        name="fold_windows[steps]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: ops.fold_windows(x, (5, 8), stride=2),
        lambda x: _refold(x[None, ...].reshape(1, 2, 3, 9), (5, 8), (3, 3), (2, 2))[0, :, :, 0],
        ((2, 3, 3, 3),),
        dtypes=_NUMBERS,
        name="fold_windows[uncovered]",
        static=(2, 3),
        no_scalar=_NO_AXES,
        no_empty="see fold_windows",
    ),
    OpCase(
        lambda x: unfold(x, (2, 3)),
        lambda x: _unfold(x, (2, 3), (1, 1), (1, 1)),
        ((2, 3, 4, 2), (1, 2, 3, 1), (0, 2, 3, 2)),
        dtypes=_ANY,
        name="unfold",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: unfold(x, 2, stride=(2, 1), padding=((1, 0), 1), dilation=(1, 2)),
        lambda x: _unfold(np.pad(x, ((0, 0), (1, 0), (1, 1), (0, 0))), (2, 2), (2, 1), (1, 2)),
        ((2, 3, 4, 2), (0, 2, 3, 2)),
        dtypes=_ANY,
        name="unfold[steps]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: fold(x, (3, 4), (2, 3)),
        lambda x: _refold(x, (3, 4), (2, 3), (1, 1)),
        ((1, 2, 2, 6), (3, 2, 2, 12), (0, 2, 2, 6)),
        dtypes=_NUMBERS,
        name="fold",
        static=(2, 6, 12),
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: fold(x, (3, 4), (2, 2), stride=2, padding=((0, 1), 1)),
        lambda x: _refold(x, (4, 6), (2, 2), (2, 2))[:, :3, 1:5],
        ((1, 2, 3, 4), (5, 2, 3, 8)),
        dtypes=_NUMBERS,
        name="fold[padding]",
        static=(2, 3, 4, 8),
        no_scalar=_NO_AXES,
        no_empty="see fold",
    ),
)
