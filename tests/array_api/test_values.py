"""Shapes, data types and values of graphnn.array_api beside NumPy's own functions of the standard."""

import itertools
import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn

xp = gn.array_api

FLOATS = ("float32", "float64")
SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
INTEGERS = (*SIGNED, *UNSIGNED)
NUMBERS = (*FLOATS, *INTEGERS)
ALL = (*NUMBERS, "bool")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, math.inf, -math.inf, math.nan, 1e30, -1e-30]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
FULL = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)


def elements(dtype):
    if dtype == "bool":
        return st.booleans()
    if dtype.startswith("float"):
        width = int(dtype[5:])
        return st.sampled_from([float(np.float32(s)) for s in SPECIAL]) | st.floats(-100, 100, width=width)
    limits = np.iinfo(dtype)
    return st.integers(max(limits.min, -3), 5) | st.sampled_from([int(limits.min), int(limits.max)])


def arrays(dtypes=ALL, shapes=SHAPES):
    shapes = st.just(shapes) if isinstance(shapes, tuple) else shapes
    return st.sampled_from(dtypes).flatmap(lambda dtype: hnp.arrays(dtype, shapes, elements=elements(dtype)))


def assert_same(made, wanted):
    """Equal in shape, data type and values; -0.0 is not 0.0."""
    if isinstance(wanted, (tuple, list)):
        assert len(made) == len(wanted)
        for one, other in zip(made, wanted, strict=True):
            assert_same(one, other)
        return
    wanted = np.asarray(wanted)
    assert isinstance(made, xp.Array)
    assert made.dtype == wanted.dtype
    assert made.shape == wanted.shape
    np.testing.assert_array_equal(np.asarray(made), wanted)
    if wanted.dtype.kind == "f":
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(np.asarray(made))[number], np.signbit(wanted)[number])


def check(name, *given, module="", **options):
    """The function of both namespaces on the same arrays."""

    def ours(value):
        if isinstance(value, np.ndarray):
            return xp.asarray(value, copy=True)
        return [ours(item) for item in value] if isinstance(value, list) else value

    here, there = (getattr(xp, module), getattr(np, module)) if module else (xp, np)
    with np.errstate(all="ignore"):
        wanted = getattr(there, name)(*given, **options)
    options = {key: ours(value) for key, value in options.items()}
    assert_same(getattr(here, name)(*map(ours, given), **options), wanted)


# --- element by element ---

OF_FLOATS = """acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 reciprocal sin sinh sqrt tan tanh
signbit"""
OF_NUMBERS = "abs ceil floor isfinite isinf isnan negative positive round sign square trunc conj real"


@pytest.mark.parametrize(
    ("name", "dtypes"),
    [(name, FLOATS) for name in OF_FLOATS.split()]
    + [(name, NUMBERS) for name in OF_NUMBERS.split()]
    + [("logical_not", ("bool",)), ("bitwise_invert", (*INTEGERS, "bool")), ("imag", NUMBERS)],
)
@given(data=st.data())
def test_unary(name, dtypes, data):
    check(name, data.draw(arrays(dtypes)))


def pairs(dtypes):
    """Two data types that promote: of one kind, or integers of which one holds the other."""
    kinds = [kind for kind in (FLOATS, SIGNED, UNSIGNED, ("bool",)) if set(kind) <= set(dtypes)]
    same = [pair for kind in kinds for pair in itertools.product(kind, kind)]
    mixed = [(a, b) for a in SIGNED for b in UNSIGNED if int(b[4:]) < 64] if set(INTEGERS) <= set(dtypes) else []
    return st.sampled_from(same + mixed)


@st.composite
def operands(draw, dtypes):
    first, second = draw(pairs(dtypes))
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)).input_shapes
    return [
        draw(hnp.arrays(dtype, shape, elements=elements(dtype)))
        for dtype, shape in zip((first, second), shapes, strict=True)
    ]


OF_TWO_FLOATS = "atan2 copysign divide hypot logaddexp nextafter"
OF_TWO_NUMBERS = (
    """add floor_divide greater greater_equal less less_equal maximum minimum multiply remainder subtract"""
)
OF_BITS = "bitwise_and bitwise_or bitwise_xor"


@pytest.mark.parametrize(
    ("name", "dtypes"),
    [(name, FLOATS) for name in OF_TWO_FLOATS.split()]
    + [(name, NUMBERS) for name in OF_TWO_NUMBERS.split()]
    + [(name, (*INTEGERS, "bool")) for name in OF_BITS.split()]
    + [("equal", ALL), ("not_equal", ALL), ("pow", FLOATS)]
    + [(f"logical_{name}", ("bool",)) for name in ("and", "or", "xor")],
)
@given(data=st.data())
def test_binary(name, dtypes, data):
    check(name, *data.draw(operands(dtypes)))


OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq", "ne"]


@pytest.mark.parametrize("name", OPERATORS)
@given(a=arrays(FLOATS), number=st.sampled_from([0, 2, -1, 0.5, -3.0, math.inf, math.nan]))
def test_operators_with_numbers_keep_the_data_type(name, a, number):
    forward = getattr(xp.asarray(a), f"__{name}__")(number)
    with np.errstate(all="ignore"):
        wanted = getattr(a, f"__{name}__")(a.dtype.type(number))
        assert_same(forward, np.asarray(wanted))
        if name in OPERATORS[:7]:
            assert_same(
                getattr(xp.asarray(a), f"__r{name}__")(number), getattr(a, f"__r{name}__")(a.dtype.type(number))
            )


@given(a=arrays(INTEGERS), number=st.integers(0, 5))
def test_integers_with_numbers(a, number):
    x = xp.asarray(a)
    assert_same(x + number, a + a.dtype.type(number))
    assert_same(number - x, a.dtype.type(number) - a)
    assert_same(x & number, a & a.dtype.type(number))
    assert_same(x << number, a << a.dtype.type(number))
    assert_same(x >> number, a >> a.dtype.type(number))


@given(a=arrays(FLOATS), b=st.none() | st.sampled_from([-1, 0.5]), c=st.none() | st.sampled_from([1, 7.0]))
def test_clip_where(a, b, c):
    assert_same(xp.clip(xp.asarray(a), b, c), np.clip(a, b, c) if b is not None or c is not None else a)
    mask = a > 0
    assert_same(xp.where(xp.asarray(mask), xp.asarray(a), 2), np.where(mask, a, a.dtype.type(2)))


# --- along axes ---


@st.composite
def along(draw, dtypes, shapes=FULL):
    """An array, and axis and keepdims for it."""
    array = draw(arrays(dtypes, shapes))
    axes = st.none() | st.integers(-array.ndim, array.ndim - 1)
    axes |= st.lists(st.integers(0, array.ndim - 1), unique=True).map(tuple)
    return array, draw(axes), draw(st.booleans())


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "all", "any", "count_nonzero"])
@given(data=st.data())
def test_reductions_of_integers(name, data):
    array, axis, keepdims = data.draw(
        along((*INTEGERS, "bool") if name in ("all", "any", "count_nonzero") else INTEGERS)
    )
    check(name, array, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "max", "min"])
@given(data=st.data())
def test_reductions_of_floats(name, data):
    array, axis, keepdims = data.draw(along(FLOATS))
    array = np.where(np.isfinite(array), array, 3).astype(array.dtype) if name in ("var", "std") else array
    with np.errstate(all="ignore"):
        wanted = np.asarray(getattr(np, name)(array, axis=axis, keepdims=keepdims))
    made = getattr(xp, name)(xp.asarray(array), axis=axis, keepdims=keepdims)
    assert (made.dtype, made.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(np.asarray(made), wanted, rtol=1e-4 if array.dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@given(array=arrays(NUMBERS, FULL), keepdims=st.booleans(), data=st.data())
def test_places_of_extremes(name, array, keepdims, data):
    axis = data.draw(st.none() | st.integers(-array.ndim, array.ndim - 1))
    check(name, array, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod", "diff", "sort", "argsort"])
@given(array=arrays(INTEGERS, FULL), data=st.data())
def test_along_one_axis(name, array, data):
    axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
    options = {"include_initial": data.draw(st.booleans())} if name.startswith("cum") else {}
    if name == "argsort":
        options["stable"] = True
    check(name, array, axis=axis, **options)


@given(array=arrays(ALL, FULL))
def test_descending_order_is_stable_and_has_nan_last(array):
    x = xp.asarray(array)
    order = np.asarray(xp.argsort(x, descending=True))
    assert_same(xp.sort(x, descending=True), np.take_along_axis(array, order, -1))
    for line, places in zip(array.reshape(-1, array.shape[-1]), order.reshape(-1, array.shape[-1]), strict=True):
        keys = [(math.isnan(v), -int(v) if array.dtype.kind in "iub" else -v, i) for i, v in enumerate(line.tolist())]
        by_key = sorted(range(len(line)), key=lambda i, keys=keys: (keys[i][0], keys[i][0] or keys[i][1], i))
        assert places.tolist() == by_key


# --- moved, picked, placed ---


@given(array=arrays(ALL, FULL), data=st.data())
def test_manipulation(array, data):
    axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
    times = data.draw(st.integers(0, 3))
    check("flip", array, axis=axis)
    check("flip", array)
    check("roll", array, times, axis=axis)
    check("roll", array, -times)
    check("repeat", array, times, axis=axis)
    check("repeat", array, np.arange(array.shape[axis]) + times, axis=axis)
    check("tile", array, (times, 2))
    check("expand_dims", array, axis)
    check("squeeze", np.expand_dims(array, axis), axis)
    check("moveaxis", array, axis, 0)
    check("permute_dims", array, tuple(data.draw(st.permutations(range(array.ndim)))))
    check("reshape", array, (-1,))
    check("concat", [array, array], axis=axis)
    check("concat", [array, array], axis=None)
    check("stack", [array, array], axis=axis)
    check("unstack", array, axis=axis)
    check("broadcast_to", array, (2, *array.shape))
    check("broadcast_arrays", array, array[:1])
    check("meshgrid", array.reshape(-1)[:3], array.reshape(-1)[:2], indexing=data.draw(st.sampled_from(["xy", "ij"])))
    check("matrix_transpose", array[None])
    check("tril", array[None], k=times - 2)
    check("triu", array[None], k=times - 2)


@given(array=arrays(ALL), data=st.data())
def test_basic_keys(array, data):
    key = data.draw(hnp.basic_indices(array.shape, allow_newaxis=True))
    assert_same(xp.asarray(array)[key], array[key])
    x, changed = xp.asarray(array, copy=True), array.copy()
    value = data.draw(hnp.arrays(array.dtype, np.asarray(array[key]).shape, elements=elements(array.dtype.name)))
    x[key], changed[key] = xp.asarray(value), value
    assert_same(x, changed)


@given(array=arrays(ALL, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=3)), data=st.data())
def test_keys_with_arrays_and_masks(array, data):
    x = xp.asarray(array, copy=True)
    columns = data.draw(hnp.arrays(np.int64, (2,), elements=st.integers(-array.shape[1], array.shape[1] - 1)))
    assert_same(x[:, xp.asarray(columns)], array[:, columns])
    assert_same(x[-1, xp.asarray(columns), ...], array[-1, columns, ...])
    assert_same(x[xp.asarray(columns * 0), ..., xp.asarray(columns * 0)], array[columns * 0, ..., columns * 0])
    mask = data.draw(hnp.arrays(bool, array.shape[: data.draw(st.integers(0, array.ndim))]))
    assert_same(x[xp.asarray(mask)], array[mask])
    changed = array.copy()
    changed[mask] = array.dtype.type(1)
    x[xp.asarray(mask)] = True if array.dtype == bool else 1
    assert_same(x, changed)
    changed[:, columns] = changed[:, columns[::-1]] if len(set(columns % array.shape[1])) == 2 else 0
    x[:, xp.asarray(columns)] = xp.asarray(changed[:, columns])
    assert_same(x, changed)
    assert_same(xp.nonzero(xp.asarray(array)), np.nonzero(array))
    check("take", array, columns, axis=1)
    order = np.argsort(array, axis=1, stable=True)
    check("take_along_axis", array, order, axis=1)


@given(array=arrays(ALL))
def test_sets(array):
    wanted = np.unique_all(array)
    # NumPy gives the place of some equal element; -0.0 and 0.0 are one value.
    for made in (
        xp.unique_all(xp.asarray(array)),
        xp.unique_counts(xp.asarray(array)),
        xp.unique_inverse(xp.asarray(array)),
    ):
        assert_same(made.values + 0 if array.dtype != bool else made.values, wanted.values + array.dtype.type(0))
    made = xp.unique_all(xp.asarray(array))
    assert_same(made.counts, wanted.counts)
    assert made.inverse_indices.shape == array.shape
    np.testing.assert_array_equal(array, np.asarray(made.values)[np.asarray(made.inverse_indices)])
    np.testing.assert_array_equal(np.asarray(made.values), array.reshape(-1)[np.asarray(made.indices)])
    assert xp.unique_values(xp.asarray(array)).shape == wanted.values.shape


@given(array=arrays((*SIGNED, *FLOATS), (5,)), side=st.sampled_from(["left", "right"]))
def test_searchsorted(array, side):
    order = np.argsort(array, stable=True)
    check("searchsorted", array[order], array, side=side)
    check("searchsorted", array, array, side=side, sorter=order)


# --- linear algebra ---

SQUARES = hnp.arrays(np.float64, st.sampled_from([(1, 1), (3, 3), (2, 2, 2)]), elements=st.floats(-1, 1, width=32)).map(
    lambda a: a + 4 * np.eye(a.shape[-1])
)


def near(made, wanted):
    assert made.shape == np.shape(wanted)
    np.testing.assert_allclose(np.asarray(made), wanted, rtol=1e-9, atol=1e-9)


@given(a=SQUARES)
def test_linear_algebra(a):
    x = xp.asarray(a)
    symmetric = a @ a.mT
    near(xp.linalg.cholesky(xp.asarray(symmetric)), np.linalg.cholesky(symmetric))
    near(xp.linalg.cholesky(xp.asarray(symmetric), upper=True), np.linalg.cholesky(symmetric).mT)
    near(xp.linalg.det(x), np.linalg.det(a))
    near(xp.linalg.inv(x), np.linalg.inv(a))
    near(xp.linalg.solve(x, xp.asarray(a[..., :1])), np.linalg.solve(a, a[..., :1]))
    near(xp.linalg.pinv(x), np.linalg.pinv(a))
    near(xp.linalg.matrix_power(x, -2), np.linalg.matrix_power(a, -2))
    near(xp.linalg.slogdet(x).logabsdet, np.linalg.slogdet(a).logabsdet)
    near(xp.linalg.slogdet(x).sign, np.linalg.slogdet(a).sign)
    assert_same(xp.linalg.diagonal(x, offset=1), np.diagonal(a, 1, -2, -1))
    near(xp.linalg.trace(x), np.trace(a, axis1=-2, axis2=-1))
    for ord in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        near(xp.linalg.matrix_norm(x, ord=ord), np.linalg.matrix_norm(a, ord=ord))
    for ord in (0, 1, 2, 3, -1, math.inf, -math.inf):
        with np.errstate(divide="ignore"):
            wanted = np.linalg.vector_norm(a, ord=ord, axis=-1)
        near(xp.linalg.vector_norm(x, ord=ord, axis=-1), wanted)
    assert_same(xp.linalg.matrix_rank(x), np.linalg.matrix_rank(a).astype(np.int64))
    near(xp.linalg.svdvals(x), np.linalg.svdvals(a))
    near(xp.linalg.eigvalsh(xp.asarray(symmetric)), np.linalg.eigvalsh(symmetric))
    w, v = xp.linalg.eigh(xp.asarray(symmetric))
    near((v * xp.expand_dims(w, axis=-2)) @ v.mT, symmetric)
    for mode in ("reduced", "complete"):
        q, r = xp.linalg.qr(x[..., :1], mode=mode)
        near(q @ r, a[..., :1])
        assert q.shape[-1] == (1 if mode == "reduced" else a.shape[-2])
    _, r = xp.linalg.qr(-x)
    assert_same(r, np.triu(np.asarray(r)))  # no -0.0 below the diagonal
    u, s, vh = xp.linalg.svd(x[..., :1], full_matrices=False)
    near((u * xp.expand_dims(s, axis=-2)) @ vh, a[..., :1])
    assert xp.linalg.svd(x[..., :1]).U.shape == a.shape
    near(xp.tensordot(x, x, axes=1), np.tensordot(a, a, axes=1))
    near(xp.vecdot(x, x), np.vecdot(a, a))


def test_a_tolerance_for_each_matrix():
    stack = np.stack([np.diag([1.0, 0.1]), np.diag([1.0, 0.1])])
    rtol = xp.asarray([0.5, 0.01], dtype=xp.float64)
    assert np.asarray(xp.linalg.matrix_rank(xp.asarray(stack), rtol=rtol)).tolist() == [1, 2]
    near(xp.linalg.pinv(xp.asarray(stack), rtol=rtol), np.linalg.pinv(stack, rtol=np.array([0.5, 0.01])))


@given(a=arrays(INTEGERS, (2, 3)), b=arrays(INTEGERS, (3,)))
def test_products_of_integers(a, b):
    if xp.asarray(a).dtype.kind == xp.asarray(b).dtype.kind:
        check("matmul", a, b)
        check("vecdot", a, b)
        check("tensordot", a, b, axes=((1,), (0,)))
        check("outer", a[0], b, module="linalg")


def test_products_of_zeros_keep_their_sign():
    check("outer", np.array([-0.0, 1.0]), np.array([2.0, -0.0]), module="linalg")


# --- new arrays ---


@given(
    start=st.integers(-50, 50),
    stop=st.integers(-50, 50),
    step=st.sampled_from([1, -1, 3, -7]),
    dtype=st.sampled_from([None, "int8", "int64", "float32", "float64"]),
)
def test_ranges(start, stop, step, dtype):
    made = xp.arange(start, stop, step, dtype=dtype)
    assert_same(made, np.arange(start, stop, step, dtype=dtype or "int64"))
    assert_same(xp.arange(start / 2, stop / 2, step / 4), np.arange(start / 2, stop / 2, step / 4, dtype="float32"))
    assert_same(
        xp.linspace(start, stop, 7, dtype="float64", endpoint=step > 0), np.linspace(start, stop, 7, endpoint=step > 0)
    )


@given(rows=st.integers(0, 3), columns=st.none() | st.integers(0, 3), k=st.sampled_from([0, 1, -2, 2**70, -(2**70)]))
def test_eye(rows, columns, k):
    assert_same(xp.eye(rows, columns, k=k), np.eye(rows, columns, k=max(min(k, 9), -9), dtype=np.float32))


@given(array=arrays(ALL), other=st.sampled_from(ALL))
def test_casts(array, other):
    with np.errstate(all="ignore"):
        wanted = array.astype(other)
    if array.dtype.kind == "f" and other not in (*FLOATS, "bool"):  # what is out of range may become anything
        array = np.zeros_like(array)
        wanted = array.astype(other)
    assert_same(xp.astype(xp.asarray(array), getattr(xp, other)), wanted)
    assert_same(xp.asarray(array, dtype=other), wanted)


@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize("second", ALL)
def test_promotion(first, second):
    a, b = getattr(xp, first), getattr(xp, second)
    kinds = {np.dtype(name).kind for name in (first, second)}
    if len(kinds) == 1 or (kinds == {"i", "u"} and "uint64" not in (first, second)):
        assert xp.result_type(a, b) == np.result_type(first, second)
        assert xp.result_type(xp.zeros(2, dtype=a), b) == np.result_type(first, second)
        assert xp.can_cast(a, b) == np.can_cast(first, second)
    else:
        with pytest.raises(TypeError, match=r"^result_type: .* do not mix"):
            xp.result_type(a, b)
        assert not xp.can_cast(a, b)
