"""graphnn: neural networks as explicit graphs.

Operations build a graph of nodes. From that one graph come the values, the derivatives (graphs again), the picture, the
algebra, the step-by-step trace and a compiled training step.

>>> import graphnn as gn
>>> x = gn.placeholder("x", ("batch", 2))
>>> w = gn.parameter("w", [[1.0], [2.0]])
>>> loss = gn.mean(gn.square(x @ w))
>>> step = gn.function([x], loss, updates={w: w - 0.1 * gn.grad(loss, w)})
>>> float(step([[1.0, 1.0]]))
9.0
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from graphnn import rewrite
from graphnn.backend.native.pool import num_threads, set_num_threads
from graphnn.compile.function import Function, evaluate, function
from graphnn.compile.trace import Trace, trace
from graphnn.errors import (
    AxisError,
    DataError,
    DeviceError,
    DifferentiationError,
    DTypeError,
    ExecutionError,
    GraphError,
    GraphnnError,
    IndexRangeError,
    LoweringError,
    ModelError,
    NodeUseError,
    RenderError,
    RewriteError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
)
from graphnn.errors import nearest as _nearest
from graphnn.functions.activations import (
    celu,
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    log_softmax,
    masked_softmax,
    mish,
    prelu,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
)
from graphnn.functions.attention import rotary_embedding, scaled_dot_product_attention
from graphnn.functions.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from graphnn.functions.creation import (
    arange,
    dim_size,
    eye,
    full,
    full_like,
    linspace,
    one_hot,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from graphnn.functions.cumulative import cumulative_logsumexp, diff
from graphnn.functions.distributions import (
    categorical,
    choice,
    exponential,
    gamma,
    gumbel,
    normal,
    truncated_normal,
)
from graphnn.functions.einsum import einsum
from graphnn.functions.grids import affine_grid, grid_sample
from graphnn.functions.indexing import count_nonzero, diagonal, gather_nd, nonzero, scatter_nd, tril, triu
from graphnn.functions.linear_algebra import (
    cross,
    inv,
    kron,
    lstsq,
    lu_solve,
    matrix_norm,
    matrix_power,
    matrix_rank,
    matrix_trace,
    outer,
)
from graphnn.functions.manipulation import (
    broadcast_arrays,
    flatten,
    flip,
    meshgrid,
    moveaxis,
    pad,
    repeat,
    roll,
    split,
    tile,
    unstack,
)
from graphnn.functions.normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)
from graphnn.functions.ordering import (
    isin,
    median,
    quantile,
    top_k,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from graphnn.functions.patches import fold, unfold
from graphnn.functions.pooling import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    global_avg_pool,
    global_max_pool,
    lp_pool,
    max_pool,
)
from graphnn.functions.resize import pixel_shuffle, pixel_unshuffle, resize
from graphnn.functions.sampling import (
    bernoulli,
    dropout,
    permutation,
    rademacher,
    randint,
    stream,
    uniform,
)
from graphnn.functions.special import log1mexp, log_sigmoid, logit, xlog1py, xlogy
from graphnn.functions.statistics import logsumexp, mean, std, var, vector_norm
from graphnn.functions.unpooling import max_pool_indices, max_unpool
from graphnn.ir.dims import Dim
from graphnn.ir.dtype import (
    DType,
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
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Variable, constant, parameter, placeholder, state
from graphnn.ir.node import HOOKS as _HOOKS
from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise, General, Linear, Masked, Op
from graphnn.ir.source import scope
from graphnn.ir.spec import Spec
from graphnn.ops.arithmetic import (
    abs,
    add,
    ceil,
    clip,
    copysign,
    divide,
    floor,
    floor_divide,
    hypot,
    maximum,
    minimum,
    multiply,
    negative,
    nextafter,
    positive,
    reciprocal,
    remainder,
    round,
    sign,
    square,
    subtract,
    trunc,
)
from graphnn.ops.bitwise import (
    astype,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    stop_gradient,
)
from graphnn.ops.comparison import (
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    signbit,
    where,
)
from graphnn.ops.composite import composite
from graphnn.ops.contraction import matmul, tensordot, vecdot
from graphnn.ops.cumulative import cumulative_max, cumulative_min, cumulative_prod, cumulative_sum
from graphnn.ops.decompositions import lu, qr
from graphnn.ops.exponential import erf, exp, exp2, expm1, log, log1p, log2, log10, logaddexp, pow, sqrt
from graphnn.ops.host import host_op
from graphnn.ops.indexing import take, take_along_axis
from graphnn.ops.linalg import cholesky, det, pinv, slogdet, solve, triangular_solve
from graphnn.ops.movement import (
    broadcast_to,
    concat,
    expand_dims,
    matrix_transpose,
    permute_dims,
    reshape,
    squeeze,
    stack,
)
from graphnn.ops.random import advance, random_bits
from graphnn.ops.reduction import all, any, argmax, argmin, max, min, prod, sum
from graphnn.ops.sorting import argsort, searchsorted, sort
from graphnn.ops.special import betainc, betaln, digamma, erfc, erfinv, i0, i1, lgamma, polygamma, sinc
from graphnn.ops.spectral import eigh, eigvalsh, svd, svdvals
from graphnn.ops.trigonometric import acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, sin, sinh, tan, tanh
from graphnn.ops.windows import fold_windows, windows
from graphnn.transform.branches import cond, switch
from graphnn.transform.checkpoint import checkpoint
from graphnn.transform.control import map, scan, while_loop
from graphnn.transform.custom import custom_gradient
from graphnn.transform.derived import hessian, hvp, jacfwd, jacobian, jacrev, linearize, value_and_grad
from graphnn.transform.forward import jvp
from graphnn.transform.reverse import grad, vjp
from graphnn.transform.vmap import vmap

if _TYPE_CHECKING:
    from graphnn import array_api, data, interop, losses, metrics, nn, optim, testing
    from graphnn.train.history import History
    from graphnn.train.trainer import Trainer
    from graphnn.view.chart import chart
    from graphnn.view.latex import latex
    from graphnn.view.render import render
    from graphnn.view.summary import summary
    from graphnn.view.text import text

__version__ = "0.1.0"

# NumPy's names, for those who know them.
transpose = permute_dims
concatenate = concat
absolute = abs
power = pow
cumsum, cumprod = cumulative_sum, cumulative_prod
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh

# Loaded when first used, so that importing graphnn costs little more than importing NumPy.
_LAZY = {
    "Trainer": "graphnn.train.trainer",
    "History": "graphnn.train.history",
    "chart": "graphnn.view.chart",
    "latex": "graphnn.view.latex",
    "render": "graphnn.view.render",
    "summary": "graphnn.view.summary",
    "text": "graphnn.view.text",
}
_MODULES = ("array_api", "data", "interop", "losses", "metrics", "nn", "optim", "testing")

# What other libraries call it, and what to write here.
_ELSEWHERE = {
    "array": "gn.constant(array), or pass arrays straight into expressions",
    "asarray": "gn.constant(array), or pass arrays straight into expressions",
    "tensor": "gn.constant(array) for fixed values, gn.placeholder(name, shape) for inputs",
    "Tensor": "gn.constant(array) for fixed values, gn.placeholder(name, shape) for inputs",
    "shared": "gn.parameter(name, array)",
    "Input": "gn.placeholder(name, shape)",
    "Session": "f = gn.function([x], y), then f(array)",
    "jit": "f = gn.function([x], y): a graph is compiled, not a Python function",
    "no_grad": "without it: derivatives exist only where gn.grad asks for them",
    "GradientTape": "gn.grad(loss, [w, b])",
    "gradients": "gn.grad(loss, [w, b])",
    "backward": "gn.grad(loss, [w, b])",
    "custom_vjp": "@gn.custom_gradient over a function that returns (value, pull)",
    "remat": "gn.checkpoint(function)(x)",
    "vectorize": "gn.vmap(function)(xs)",
    "vectorized_map": "gn.vmap(function)(xs)",
    "pure_callback": "gn.host_op(function, infer=...)(x)",
    "py_function": "gn.host_op(function, infer=...)(x)",
    "cat": "gn.concat([a, b], axis=0)",
    "mm": "a @ b",
    "dot": "a @ b, or gn.vecdot(a, b)",
    "Sequential": "gn.nn.Sequential(...)",
    "Linear": "gn.nn.Linear(...)",
    "Dense": "gn.nn.Linear(...)",
    "softmax_cross_entropy": "gn.losses.cross_entropy(logits, labels)",
    "manual_seed": "a seed where one is needed: nn layers, gn.Trainer(seed=...) and gn.stream(seed)",
    "float": "gn.float32 or gn.float64",
    "int": "gn.int64",
    "double": "gn.float64",
    "norm": "gn.vector_norm(x) or gn.matrix_norm(x)",
    "linalg": "gn.solve, gn.inv, gn.det and so on, straight in gn",
    "size": "node.shape, or gn.dim_size(x, axis) inside the graph",
    "gather": "gn.take(x, indices, axis=...), gn.take_along_axis or x[indices]",
    "scatter": "x.at[indices].set(values) or .add(values)",
    "unique": "gn.unique_values(x, size=n), or gn.unique_all for the indices and counts too",
    "topk": "gn.top_k(x, k)",
    "percentile": "gn.quantile(x, percent / 100)",
    "cummax": "gn.cumulative_max(x, axis=axis)",
    "cummin": "gn.cumulative_min(x, axis=axis)",
    "flipud": "gn.flip(x, axis=0)",
    "ravel": "gn.reshape(x, (-1,))",
    "unsqueeze": "gn.expand_dims(x, axis=...)",
    "sliding_window_view": "gn.windows(x, size)",
    "im2col": "gn.unfold(x, size)",
    "randn": "gn.normal(gn.stream(seed), shape)",
    "rand": "gn.uniform(gn.stream(seed), shape)",
    "shuffle": "gn.permutation(gn.stream(seed), x)",
    "multinomial": "gn.categorical(gn.stream(seed), logits, shape)",
    "interpolate": "gn.resize(x, size=...)",
    "eval": "gn.evaluate(node, {x: array})",
}


def _show(*arguments: _Any) -> dict[str, _Any]:
    """What notebooks show of nodes and graphs; loaded when the first one is displayed."""
    return _importlib.import_module("graphnn.view.notebook").mimebundle(*arguments)  # type: ignore[no-any-return]


_HOOKS["mimebundle"] = _show


def __getattr__(name: str) -> _Any:
    if name in _LAZY:
        value = getattr(_importlib.import_module(_LAZY[name]), name)
    elif name in _MODULES:
        value = _importlib.import_module(f"graphnn.{name}")
    elif name.startswith("__"):
        raise AttributeError(name)
    else:
        advice = _ELSEWHERE.get(name)
        hint = f"Here it is written {advice}." if advice else _nearest(name, __dir__())
        raise UnknownNameError(f"graphnn has no {name!r}", hint)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*(n for n in globals() if not n.startswith("_")), *_LAZY, *_MODULES, "__version__"})
