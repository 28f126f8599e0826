"""Cases of `graphnn.functions.convolution`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import convolution as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import OpCase
from graphnn.testing.cases.windows import every_window
from graphnn.testing.domains import away_from

_DTYPES = ("float32", "float64", "int64")
_NO_AXES = "it slides along axes"
# A zero image and a kernel of, say, 1e-27 make sums whose large terms cancel exactly once both are moved by a finite
# difference; what is left of it is then nothing, and tells nothing of the derivative.
_AWAY = away_from(0.0)


def _conv(
    x: Array, w: Array, stride: int = 1, pads: Any = (), dilation: int = 1, groups: int = 1, first: bool = False
) -> Array:
    """By the definition: every element of the result is the sum of the products of a patch and a kernel."""
    count = w.ndim - 2
    x = np.moveaxis(x, -count - 1, -1) if first else x
    x = np.pad(x, [(0, 0), *(pads or [(0, 0)] * count), (0, 0)])
    sizes, per_group, outputs = w.shape[:count], w.shape[-2], w.shape[-1]
    strides, dilations = (stride,) * count, (dilation,) * count
    lengths = x.shape[1:-1]
    counts = [(n - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(lengths, sizes, strict=True)]
    out = np.zeros((len(x), *counts, outputs), np.result_type(x, w))
    for number, places in every_window(lengths, sizes, strides, dilations):
        for o in range(outputs):
            group = o // (outputs // groups)
            channels = slice(group * per_group, (group + 1) * per_group)
            patch = x[(slice(None), *places, channels)]
            out[(slice(None), *number, o)] = (patch * w[..., o]).sum(axis=tuple(range(1, count + 2)))
    return np.moveaxis(out, -1, -count - 1) if first else out


def _transposed(
    x: Array,
    w: Array,
    stride: int = 1,
    pads: Any = (),
    dilation: int = 1,
    groups: int = 1,
    more: int = 0,
    first: bool = False,
) -> Array:
    """By the definition: every element of x adds its multiple of a kernel; then the padding is cut off."""
    count = w.ndim - 2
    x = np.moveaxis(x, -count - 1, -1) if first else x
    sizes, outputs, inputs = w.shape[:count], w.shape[-2], w.shape[-1]
    lengths = [(n - 1) * stride + dilation * (k - 1) + 1 for n, k in zip(x.shape[1:-1], sizes, strict=True)]
    out = np.zeros((len(x), *(n + more for n in lengths), outputs * groups), np.result_type(x, w))
    for number in np.ndindex(*x.shape[1:-1]):
        for inside in np.ndindex(*sizes):
            place = tuple(i * stride + j * dilation for i, j in zip(number, inside, strict=True))
            for c in range(inputs):
                group = c // (inputs // groups)
                channels = slice(group * outputs, (group + 1) * outputs)
                value = x[(slice(None), *number, c)][:, None] * w[(*inside, slice(None), c)]
                out[(slice(None), *place, channels)] += value
    pads = pads or [(0, 0)] * count
    cut = tuple(slice(a, n + more - b) for n, (a, b) in zip(lengths, pads, strict=True))
    out = out[(slice(None), *cut)]
    return np.moveaxis(out, -1, -count - 1) if first else out


def _case(function: Any, variant: str, shapes: Any, options: Any, reference: Any, **more: Any) -> OpCase:
    more.setdefault("no_empty", f"see {function.name}")
    by_definition = _transposed if "transpose" in function.name else _conv
    return OpCase(
        lambda x, w: function(x, w, **options),
        lambda x, w: by_definition(x, w, **reference),
        shapes,
        _AWAY,
        dtypes=_DTYPES,
        name=f"{function.name}[{variant}]" if variant else function.name,
        no_scalar=_NO_AXES,
        **more,
    )


_SAME_1D = {"pads": [(1, 1)]}
CASES = (
    _case(
        ops.conv1d, "", (((2, 4, 2), (3, 2, 2)), ((1, 3, 1), (3, 1, 2)), ((0, 4, 2), (2, 2, 3))), {}, {}, no_empty=""
    ),
    _case(ops.conv1d, "same", (((2, 4, 2), (3, 2, 2)),), {"padding": "same"}, _SAME_1D, static=(3,)),
    _case(ops.conv1d, "same, named kernel", (((1, 4, 1), (3, 1, 2)),), {"padding": "same"}, _SAME_1D),
    _case(
        ops.conv1d,
        "same, stride",
        (((1, 5, 1), (4, 1, 2)),),
        {"padding": "same", "stride": 2},
        {"pads": [(1, 2)], "stride": 2},
        static=(4,),
    ),
    _case(
        ops.conv1d,
        "same, large stride",
        (((1, 7, 1), (2, 1, 1)), ((1, 5, 1), (2, 1, 1))),
        {"padding": "same", "stride": 3},
        {"pads": [(0, 1)], "stride": 3},
        static=(2, 5, 7),
    ),
    _case(
        ops.conv1d,
        "steps",
        (((1, 7, 2), (3, 2, 1)),),
        {"stride": 2, "dilation": 2, "padding": ((2, 1),)},
        {"stride": 2, "dilation": 2, "pads": [(2, 1)]},
    ),
    _case(ops.conv1d, "NCW", (((2, 3, 4), (2, 3, 2)),), {"layout": "NCW"}, {"first": True}),
    _case(
        ops.conv2d,
        "",
        (((1, 3, 4, 2), (2, 3, 2, 2)), ((2, 3, 2, 1), (1, 2, 1, 3)), ((0, 3, 2, 1), (2, 2, 1, 3))),
        {},
        {},
        no_empty="",
    ),
    _case(
        ops.conv2d,
        "steps",
        (((1, 4, 5, 1), (2, 2, 1, 3)),),
        {"stride": 2, "dilation": 2, "padding": (1, (0, 2))},
        {"stride": 2, "dilation": 2, "pads": [(1, 1), (0, 2)]},
    ),
    _case(ops.conv2d, "groups", (((1, 3, 2, 4), (2, 2, 2, 6)),), {"groups": 2}, {"groups": 2}, static=(2, 4, 6)),
    _case(
        ops.conv2d,
        "depthwise",
        (((2, 3, 2, 3), (2, 2, 1, 6)),),
        {"groups": 3, "padding": "same"},
        {"groups": 3, "pads": [(0, 1), (0, 1)]},
        static=(2, 3, 6),
    ),
    _case(
        ops.conv2d,
        "NCHW",
        (((2, 2, 3, 4), (2, 3, 2, 3)), ((1, 1, 2, 3), (2, 1, 1, 2))),
        {"layout": "NCHW", "padding": 1},
        {"first": True, "pads": [(1, 1), (1, 1)]},
    ),
    _case(
        ops.conv2d,
        "NCHW groups",
        (((1, 4, 3, 2), (2, 1, 2, 2)),),
        {"layout": "channels_first", "groups": 2},
        {"first": True, "groups": 2},
        static=(2, 4),
    ),
    _case(
        ops.conv3d, "", (((1, 3, 2, 2, 2), (2, 1, 2, 2, 1)), ((0, 2, 2, 2, 1), (1, 1, 2, 1, 2))), {}, {}, no_empty=""
    ),
    _case(
        ops.conv3d,
        "NCDHW",
        (((1, 2, 3, 2, 3), (2, 1, 2, 2, 1)),),
        {"layout": "NCDHW", "stride": 2, "padding": 1},
        {"first": True, "stride": 2, "pads": [(1, 1)] * 3},
    ),
    _case(
        ops.conv_transpose1d,
        "",
        (((2, 3, 2), (3, 2, 2)), ((1, 1, 1), (2, 3, 1)), ((0, 3, 2), (2, 1, 2))),
        {},
        {},
        no_empty="",
    ),
    _case(
        ops.conv_transpose1d,
        "steps",
        (((1, 3, 2), (3, 1, 2)),),
        {"stride": 3, "dilation": 2, "padding": 1, "output_padding": 2},
        {"stride": 3, "dilation": 2, "pads": [(1, 1)], "more": 2},
    ),
    _case(
        ops.conv_transpose1d,
        "output padding above stride",
        (((1, 2, 1), (2, 1, 1)),),
        {"stride": 1, "dilation": 3, "padding": ((0, 1),), "output_padding": 2},
        {"stride": 1, "dilation": 3, "pads": [(0, 1)], "more": 2},
    ),
    _case(
        ops.conv_transpose1d,
        "same",
        (((1, 3, 2), (4, 1, 2)),),
        {"stride": 2, "padding": "same"},
        {"stride": 2, "pads": [(1, 1)]},
        static=(4,),
    ),
    _case(
        ops.conv_transpose1d,
        "same, large stride",
        (((1, 3, 1), (2, 1, 1)),),
        {"stride": 3, "padding": "same"},
        {"stride": 3, "more": 1},
    ),
    _case(
        ops.conv_transpose2d,
        "",
        (((1, 2, 3, 2), (2, 3, 2, 2)), ((2, 1, 2, 1), (1, 2, 3, 1)), ((0, 1, 2, 1), (2, 2, 3, 1))),
        {},
        {},
        no_empty="",
    ),
    _case(
        ops.conv_transpose2d,
        "groups",
        (((1, 2, 2, 4), (2, 3, 3, 4)),),
        {"groups": 2, "stride": 2},
        {"groups": 2, "stride": 2},
        static=(4,),
    ),
    _case(
        ops.conv_transpose2d,
        "NCHW",
        (((2, 3, 2, 2), (3, 2, 2, 3)),),
        {"layout": "NCHW", "stride": 2, "padding": 1, "output_padding": 1},
        {"first": True, "stride": 2, "pads": [(1, 1), (1, 1)], "more": 1},
    ),
    _case(
        ops.conv_transpose3d,
        "",
        (((1, 2, 2, 1, 2), (2, 1, 2, 1, 2)), ((0, 2, 1, 1, 1), (1, 1, 2, 2, 1))),
        {},
        {},
        no_empty="",
    ),
)
