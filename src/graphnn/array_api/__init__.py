"""The Python array API standard, edition 2024.12, at once: no graph to see, but graphnn's operations underneath.

Array-agnostic code asks an array for its namespace, ``x.__array_namespace__()``, and computes with what it finds there.
Here it finds the functions of the standard; each call builds a small graph the first time, and runs its plan by the
NumPy backend from then on. Test suites and libraries that know nothing of graphs so reach the operations themselves.

There are no complex numbers: ``complex64``, ``complex128`` and the extension ``fft`` are missing, and
``__array_namespace_info__().dtypes(kind="complex floating")`` is empty. Kinds do not mix, as everywhere in graphnn:
int64 + float32 is an error. Python numbers become float32 or int64. float16 and bfloat16 work, beyond the standard.

Source: Consortium for Python Data API Standards, "Python array API standard 2024.12",
https://data-apis.org/array-api/2024.12.

>>> xp = gn.array_api.asarray([3.0, 4.0]).__array_namespace__()
>>> xp.linalg.vector_norm(xp.asarray([3.0, 4.0]))
Array(5., dtype=float32)
"""

import math as _math
from typing import Any as _Any

from graphnn.array_api import linalg
from graphnn.array_api._array import NO_COMPLEX as _NO_COMPLEX
from graphnn.array_api._array import Array
from graphnn.array_api._creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from graphnn.array_api._data_types import astype, can_cast, finfo, iinfo, isdtype, result_type
from graphnn.array_api._elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    clip,
    conj,
    copysign,
    cos,
    cosh,
    divide,
    equal,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hypot,
    imag,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    nextafter,
    not_equal,
    positive,
    pow,
    real,
    reciprocal,
    remainder,
    round,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    trunc,
)
from graphnn.array_api._info import __array_namespace_info__
from graphnn.array_api._linear_algebra import matmul, matrix_transpose, tensordot, vecdot
from graphnn.array_api._manipulation import (
    broadcast_arrays,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    roll,
    squeeze,
    stack,
    tile,
    unstack,
)
from graphnn.array_api._searching import (
    argmax,
    argmin,
    argsort,
    count_nonzero,
    nonzero,
    searchsorted,
    sort,
    take,
    take_along_axis,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    where,
)
from graphnn.array_api._statistical import (
    all,
    any,
    cumulative_prod,
    cumulative_sum,
    diff,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from graphnn.errors import UnknownNameError as _UnknownNameError
from graphnn.ir.dtype import (
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from graphnn.ir.dtype import bool_ as bool

__array_api_version__ = "2024.12"

e, inf, nan, newaxis, pi = _math.e, _math.inf, _math.nan, None, _math.pi


def __getattr__(name: str) -> _Any:
    if name.startswith("complex"):
        raise _UnknownNameError(f"graphnn.array_api has no {name!r}", _NO_COMPLEX)
    if name == "fft":
        raise _UnknownNameError("graphnn.array_api has no 'fft'", _NO_COMPLEX)
    raise _UnknownNameError(f"graphnn.array_api has no {name!r}")
