"""Nodes: immutable, with operators and indexing as in NumPy, and with advice where they are taken for arrays."""

import copy
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import graphnn as gn
from graphnn.errors import DTypeError, GraphError, IndexRangeError, NodeUseError, ShapeError, UnknownNameError

ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv}
ARITHMETIC |= {"%": operator.mod, "**": operator.pow}
COMPARISON = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
COMPARISON |= {"!=": operator.ne}
BITWISE = {"&": operator.and_, "|": operator.or_, "^": operator.xor}
SHIFTS = {"<<": operator.lshift, ">>": operator.rshift}

X = np.array([[1.5, -2.0, 3.0], [0.5, 2.0, -0.25]], "float32")
Y = np.array([2.0, -3.0, 1.5], "float32")
K = np.array([[7, -8, 9], [1, 0, -5]], "int32")
J = np.array([3, -2, 4], "int32")


def same(node, expected, feeds):
    value = gn.evaluate(node, feeds)
    assert value.dtype == expected.dtype
    assert value.shape == expected.shape
    np.testing.assert_array_equal(value, expected)


def on_both_sides(apply, left, right):
    """The operator with nodes on the left, on the right and on both sides of an array."""
    x = gn.placeholder("x", left.shape, left.dtype)
    y = gn.placeholder("y", right.shape, right.dtype)
    with np.errstate(all="ignore"):
        expected = apply(left, right)
    same(apply(x, y), expected, {x: left, y: right})
    same(apply(x, right), expected, {x: left})
    same(apply(left, y), expected, {y: right})


@pytest.mark.parametrize("symbol", ARITHMETIC)
def test_arithmetic(symbol):
    on_both_sides(ARITHMETIC[symbol], X, Y)
    on_both_sides(ARITHMETIC[symbol], Y, X)


@pytest.mark.parametrize("symbol", ["+", "-", "*", "//", "%"])
def test_arithmetic_of_integers(symbol):
    on_both_sides(ARITHMETIC[symbol], K, J)


@pytest.mark.parametrize("symbol", COMPARISON)
def test_comparison(symbol):
    on_both_sides(COMPARISON[symbol], X, Y)
    on_both_sides(COMPARISON[symbol], K, J)


@pytest.mark.parametrize("symbol", BITWISE)
def test_bitwise(symbol):
    on_both_sides(BITWISE[symbol], K, J)
    on_both_sides(BITWISE[symbol], K > 0, J > 0)


@pytest.mark.parametrize("symbol", SHIFTS)
def test_shifts(symbol):
    on_both_sides(SHIFTS[symbol], K, np.array([1, 2, 3], "int32"))


def test_matrix_product():
    on_both_sides(operator.matmul, X, Y)
    on_both_sides(operator.matmul, X, X.T)
    on_both_sides(operator.matmul, Y, X.T)
    on_both_sides(operator.matmul, Y, Y)


@pytest.mark.parametrize("symbol", {**ARITHMETIC, **COMPARISON})
@pytest.mark.parametrize("number", [2, 2.5, np.float32(2.5)])
def test_operators_with_numbers(symbol, number):
    apply = (ARITHMETIC | COMPARISON)[symbol]
    x = gn.placeholder("x", X.shape)
    with np.errstate(all="ignore"):
        same(apply(x, number), apply(X, number), {x: X})
        same(apply(number, x), apply(number, X), {x: X})


@pytest.mark.parametrize("symbol", {**BITWISE, **SHIFTS})
def test_bitwise_operators_with_numbers(symbol):
    apply = (BITWISE | SHIFTS)[symbol]
    x = gn.placeholder("x", (3,), "int32")
    for number in (3, np.int32(3)):
        same(apply(x, number), apply(abs(J), number), {x: abs(J)})
        same(apply(number, x), apply(number, abs(J)), {x: abs(J)})
    mask = gn.placeholder("mask", (3,), "bool")
    if symbol in BITWISE:
        same(apply(True, mask), apply(True, J > 0), {mask: J > 0})
        same(apply(np.bool_(True), mask), apply(True, J > 0), {mask: J > 0})


def test_unary():
    x, i, mask = gn.placeholder("x", (3,)), gn.placeholder("i", (3,), "int32"), gn.placeholder("m", (3,), "bool")
    for node, expected in ((-x, -Y), (+x, +Y), (abs(x), abs(Y))):
        same(node, expected, {x: Y})
    same(~i, ~J, {i: J})
    same(~mask, ~(J > 0), {mask: J > 0})


def test_a_double_on_the_left_widens_like_an_array():
    x = gn.placeholder("x", (3,))
    assert (np.float64(2.0) * x).dtype is gn.float64
    assert (2.0 * x).dtype is gn.float32


def test_python_sum_of_nodes():
    x = gn.placeholder("x", (3,))
    same(sum([x, x, x]), 3 * Y, {x: Y})


# --- indexing ---

SHAPE = (4, 3, 2)
VALUES = np.arange(24).reshape(SHAPE)


@given(hnp.basic_indices(SHAPE, min_dims=0, max_dims=6, allow_newaxis=True, allow_ellipsis=True))
def test_basic_indexing(key):
    x = gn.placeholder("x", SHAPE, "int64")
    node, expected = x[key], VALUES[key]
    assert node.shape == np.shape(expected)
    np.testing.assert_array_equal(gn.evaluate(node, {x: VALUES}), expected)


@given(hnp.integer_array_indices(SHAPE, result_shape=hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)))
def test_integer_array_indexing(key):
    x = gn.placeholder("x", SHAPE, "int64")
    node, expected = x[key], VALUES[key]
    assert node.shape == expected.shape
    np.testing.assert_array_equal(gn.evaluate(node, {x: VALUES}), expected)


@st.composite
def mixed_keys(draw):
    """Ints, slices, None, ... and arrays of integers side by side, in an order in which all are legal."""
    shapes = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=len(SHAPE), min_dims=0, max_dims=2, min_side=1, max_side=3)
    )
    key = []
    for size, shape in zip(SHAPE, shapes.input_shapes, strict=True):
        if draw(st.booleans()):
            key.append(draw(st.sampled_from([slice(None), slice(1, None), slice(None, None, -1), 0, -1])))
        else:
            key.append(draw(hnp.arrays(np.int64, shape, elements=st.integers(-size, size - 1))))
    for _ in range(draw(st.integers(0, 2))):
        key.insert(draw(st.integers(0, len(key))), None)
    cut = draw(st.integers(0, len(key)))
    if draw(st.booleans()):
        key.insert(cut, Ellipsis)
    elif draw(st.booleans()):
        key = key[:cut]
    return tuple(key)


@given(mixed_keys())
def test_mixed_indexing(key):
    x = gn.placeholder("x", SHAPE, "int64")
    node, expected = x[key], VALUES[key]
    assert node.shape == np.shape(expected)
    np.testing.assert_array_equal(gn.evaluate(node, {x: VALUES}), expected)


def test_indexing_by_a_node():
    x, i = gn.placeholder("x", (4, 3), "int64"), gn.placeholder("i", ("k",), "int64")
    table = np.arange(12).reshape(4, 3)
    same(x[i], table[[3, 0, -1]], {x: table, i: [3, 0, -1]})
    same(x[:, i], table[:, [2, 0]], {x: table, i: [2, 0]})
    same(x[i, i], table[[1, 2], [1, 2]], {x: table, i: [1, 2]})
    with pytest.raises(IndexRangeError):
        gn.evaluate(x[i], {x: table, i: [4]})


@given(st.slices(5))
def test_slices_of_a_named_axis(cut):
    x = gn.placeholder("x", ("n",), "int64")
    for n in (0, 1, 5, 8):
        values = np.arange(n)
        same(x[cut], values[cut], {x: values})


def test_example_of_the_documentation():
    x = gn.placeholder("x", ("n", 4, 5, 3), "int64")
    values = np.arange(2 * 60).reshape(2, 4, 5, 3)
    same(x[1:, None, ..., ::-1], values[1:, None, ..., ::-1], {x: values})


def test_results_of_indexing_are_new_nodes():
    x = gn.placeholder("x", (3,))
    with pytest.raises(NodeUseError, match="cannot be changed in place"):
        x[0] = 1.0


# --- shape and methods ---


def test_transposes():
    x, stack = gn.placeholder("x", (2, 3)), gn.placeholder("s", ("n", 2, 3))
    same(x.T, X.T, {x: X})
    same(x.mT, X.T, {x: X})
    assert stack.mT.shape == ("n", 3, 2)
    with pytest.raises(ShapeError, match=r"\.T is for matrices, not for \[n, 2, 3\]"):
        stack.T


def test_properties():
    x = gn.placeholder("x", ("batch", 3), "float16")
    assert x.shape == ("batch", 3)
    assert x.dtype is gn.float16
    assert x.ndim == 2
    assert x.name == x.label == "x"
    assert (x + 1).name is None
    assert gn.relu(x).label == "relu(…)"
    assert gn.constant(3.0).label == "3.0"


def test_methods():
    x = gn.placeholder("x", X.shape)
    for node, expected in (
        (x.sum(), X.sum()),
        (x.sum(0), X.sum(0)),
        (x.sum(axis=1, keepdims=True), X.sum(1, keepdims=True)),
        (x.max(), X.max()),
        (x.max(axis=0), X.max(0)),
        (x.min(axis=(0, 1), keepdims=True), X.min((0, 1), keepdims=True)),
        (x.mean(axis=1), X.mean(1)),
        (x.argmax(), X.argmax()),
        (x.argmax(axis=1), X.argmax(1)),
        (x.reshape(3, 2), X.reshape(3, 2)),
        (x.reshape((3, -1)), X.reshape(3, 2)),
        (x.reshape(-1), X.reshape(-1)),
        (x.astype("float64"), X.astype("float64")),
        (x.astype(np.int8), X.astype("int8")),
        (x.astype(int), X.astype("int64")),
        (x.at[0].set(0.0), np.stack([0 * X[0], X[1]])),
        (x.at[:, 1].add(1.0), X + np.array([0, 1, 0], "float32")),
    ):
        np.testing.assert_array_equal(gn.evaluate(node, {x: X}), expected)
        assert gn.evaluate(node, {x: X}).dtype == np.asarray(expected).dtype


def test_names():
    x = gn.placeholder("x", (3,))
    h = gn.relu(x).named("hidden")
    assert h.name == "hidden"
    assert (h.op, h.inputs[0] is x, h.spec) == (gn.relu(x).op, True, x.spec)
    for wrong in ("", 3, None):
        with pytest.raises(GraphError, match="a name is a non-empty str"):
            h.named(wrong)
    with pytest.raises(GraphError, match="the input 'x' cannot be renamed"):
        x.named("y")
    w = gn.parameter("w", 1.0)
    with pytest.raises(GraphError, match="the variable 'w' cannot be renamed"):
        w.named("v")


# --- immutability ---


@pytest.mark.parametrize("name", ["op", "inputs", "spec", "name", "source", "scope", "origin", "index", "shape", "new"])
def test_nodes_are_immutable(name):
    for node in (gn.placeholder("x", (3,)), gn.placeholder("x", (3,)) * 2, gn.parameter("w", 1.0)):
        before = getattr(node, name, None) if name != "new" else None
        with pytest.raises(AttributeError, match=f"nodes are immutable: cannot set '{name}'"):
            setattr(node, name, 1)
        with pytest.raises(AttributeError, match=f"nodes are immutable: cannot delete '{name}'"):
            delattr(node, name)
        if name != "new":
            assert getattr(node, name) is before or name == "shape"


def test_only_the_value_of_a_variable_changes():
    w = gn.parameter("w", [1.0, 2.0])
    w.value = [3.0, 4.0]
    assert w.value.tolist() == [3.0, 4.0]
    w.trainable = False
    assert w.trainable is False
    with pytest.raises(ShapeError, match="the value of 'w' must have the shape"):
        w.value = [1.0, 2.0, 3.0]
    with pytest.raises(DTypeError, match="the value of 'w' must be float32, got float64"):
        w.value = np.zeros(2)
    assert w.value.tolist() == [3.0, 4.0]
    with pytest.raises(DTypeError, match="trainable is True or False"):
        w.trainable = "no"


def test_operators_make_new_nodes():
    x = gn.placeholder("x", (3,))
    y = x
    y += 1
    assert y is not x
    assert x.op.name == "placeholder"


def test_hash_is_identity():
    x = gn.placeholder("x", (3,))
    other = gn.placeholder("x", (3,))
    assert len({x, other, x}) == 2
    assert {x: 1, other: 2}[x] == 1


# --- printing ---


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda x: x, "x = placeholder: float32[batch, 3]"),
        (lambda x: x + 1, "add(x, 1.0): float32[batch, 3]"),
        (lambda x: gn.relu(x @ np.ones((3, 2), "float32")), "relu(matmul(…)): float32[batch, 2]"),
        (lambda x: gn.sum(x).named("loss"), "loss = sum(x): float32[]"),
        (lambda x: gn.constant([[1, 2]]), "constant: int64[1, 2]"),
        (lambda x: gn.concat([x] * 9), "concat(x, x, x, x, x, x, …): float32[9*batch, 3]"),
        (lambda x: gn.relu(x).named("a\nb\x00"), "a\\nb\\x00 = relu(x): float32[batch, 3]"),
        (lambda x: gn.parameter("w", 1.0), "w = parameter: float32[]"),
        (lambda x: gn.arange("n"), "iota: int64[n]"),
    ],
)
def test_repr_is_one_line(make, text):
    node = make(gn.placeholder("x", ("batch", 3)))
    assert repr(node) == str(node) == text
    assert len(repr(node).splitlines()) == 1


def test_repr_of_a_long_name_is_short():
    node = gn.placeholder("x" * 10_000)
    assert len(repr(node)) < 120


# --- what a node is not ---


@pytest.mark.parametrize(
    "use, what",
    [
        (bool, "is neither true nor false"),
        (len, "has no len()"),
        (list, "cannot be iterated over"),
        (lambda x: 1.0 in x, "does not support `in`"),
        (lambda x: x in [1.0], "is neither true nor false"),
        (float, "has no number yet"),
        (int, "has no number yet"),
        (range, "has no number yet"),
        (np.asarray, "is not an array"),
        (lambda x: np.array([x, x]), "is not an array"),
        (np.sin, "np.sin cannot be applied to it"),
        (np.mean, "np.mean cannot be applied to it"),
        (np.linalg.norm, "np.norm cannot be applied to it"),
        (lambda x: np.concatenate([x, x]), "np.concatenate cannot be applied to it"),
        (np.add.reduce, "np.add cannot be applied to it"),
        (lambda x: operator.iadd(np.ones(3), x), "cannot be written into a NumPy array"),
        (lambda x: x(1.0), "cannot be called"),
        (lambda x: sorted([x, x]), "is neither true nor false"),
        (lambda x: 0 < x < 1, "is neither true nor false"),
        (lambda x: max(x, x + 1), "is neither true nor false"),
        (lambda x: x.__setitem__(0, 1.0), "cannot be changed in place"),
    ],
)
def test_nodes_are_no_values(use, what):
    x = gn.placeholder("x", (3,))
    with pytest.raises(NodeUseError) as caught:
        use(x)
    error = caught.value
    assert what in error.headline
    assert error.hints[0]
    assert error.at.startswith("test_node.py:")


def test_attributes_that_nodes_do_not_have():
    x = gn.placeholder("x", (3,))
    with pytest.raises(UnknownNameError) as caught:
        x.backward()
    assert str(caught.value) == (
        "a node has no attribute 'backward'\n\n  A graph has no gradients inside. Build them: dw = gn.grad(loss, w)."
    )
    with pytest.raises(UnknownNameError, match="Did you mean 'reshape'"):
        x.reshap(3)
    assert not hasattr(x, "grad")
    assert not hasattr(x, "__len_hint__")


@pytest.mark.parametrize("other", [None, "a", 1j, object(), [gn.placeholder("y")], np.array(["a"]), np.array([1j])])
def test_operands_that_are_no_arrays(other):
    x = gn.placeholder("x", (3,))
    for apply in (lambda: x + other, lambda: other * x, lambda: x == other):
        with pytest.raises(DTypeError):
            apply()


def test_a_deep_copy_of_a_model_has_parameters_of_its_own():
    model = gn.nn.Sequential(gn.nn.Linear(3, 2), gn.nn.ReLU())
    node = model(gn.placeholder("x", ("n", 3)))
    twin = copy.deepcopy(model)
    (weight, _), (other, _) = model.parameters(), twin.parameters()
    assert other is not weight
    assert other.value.tolist() == weight.value.tolist()
    other.value = np.zeros((3, 2), "float32")
    assert weight.value.any()
    assert copy.deepcopy(node) is node
    assert copy.copy(node) is node


def test_what_keeps_an_array_keeps_a_copy():
    array = np.ones(3, "float32")
    kept = [
        gn.parameter("w", array),
        gn.parameter("w", lambda shape, rng: array, (3,)),
        gn.state("s", array),
        gn.constant(array),
    ]
    array[:] = 7
    assert [gn.evaluate(node).tolist() for node in kept] == [[1, 1, 1]] * 4


def test_nodes_are_not_pickled():
    with pytest.raises(gn.NodeUseError, match="cannot be pickled"):
        pickle.dumps(gn.sin(gn.placeholder("x")))


def test_masked_arrays_are_refused():
    masked = np.ma.masked_array(np.ones(2, "float32"), [0, 1])
    x = gn.placeholder("x", (2,))
    with pytest.raises(gn.DTypeError, match="mask"):
        gn.constant(masked)
    with pytest.raises(gn.DTypeError, match="MaskedArray"):
        gn.evaluate(x, {x: masked})


def test_the_value_of_a_variable_begins_where_a_line_of_the_cache_does():
    for shape, dtype in (((16, 3), "float32"), ((1000, 7), "float64"), ((33,), "bfloat16"), ((70,), "bool")):
        values = gn.evaluate(gn.astype(gn.arange(int(np.prod(shape))), dtype)).reshape(shape)[::-1]
        first = gn.state("s", values)
        for variable in (first, copy.deepcopy(first)):
            held = variable.cell.array
            assert held.ctypes.data % 64 == 0
            assert held.flags.c_contiguous
            assert held.dtype == values.dtype
            assert (held == values).all()
            assert not np.shares_memory(held, values)
