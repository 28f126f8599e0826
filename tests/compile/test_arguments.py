"""What a call accepts, and how it refuses the rest: each error names the argument, what was expected and what came."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import DTypeError, GraphError, ShapeError


@pytest.fixture
def f():
    x, i = gn.placeholder("x", ("batch", 3)), gn.placeholder("labels", ("batch",), "int64")
    return gn.function([x, i], gn.sum(x) + gn.sum(i).astype("float32"))


X = np.ones((2, 3), "float32")
LABELS = np.array([1, 2])


def test_what_is_accepted(f):
    for x in (X, X.tolist(), [[1, 1, 1], [1, 1, 1]], tuple(map(tuple, X)), list(X)):
        assert f(x, LABELS) == 9.0
    for i in ([1, 2], (1, 2), [True + 0, 2], LABELS.astype(">i8"), list(LABELS)):
        assert f(X, i) == 9.0


@pytest.mark.parametrize(
    "args, kwargs, error, message",
    [
        (
            (X.astype("float64"), LABELS), {}, DTypeError,
            "argument 'x': expected float32[batch, 3], got float64[2, 3]\n\n"
            "  Cast it: array.astype('float32'), or declare the input with dtype='float64'.",
        ),
        (
            (X, LABELS.astype("float32")), {}, DTypeError,
            "argument 'labels': expected int64[batch], got float32[2]\n\n"
            "  Cast it: array.astype('int64'), or declare the input with dtype='float32'.",
        ),
        (
            (X, [1.5, 2.0]), {}, DTypeError,
            "argument 'labels': expected int64[batch], got float64[2]\n\n"
            "  Cast it: array.astype('int64'), or declare the input with dtype='float64'.",
        ),
        (
            (X, LABELS.astype("int32")), {}, DTypeError,
            "argument 'labels': expected int64[batch], got int32[2]\n\n"
            "  Cast it: array.astype('int64'), or declare the input with dtype='int32'.",
        ),
        (
            (X, [True, False]), {}, DTypeError,
            "argument 'labels': expected int64[batch], got bool[2]\n\n"
            "  Cast it: array.astype('int64'), or declare the input with dtype='bool'.",
        ),
        (
            (X[:, :2], LABELS), {}, ShapeError,
            "argument 'x': expected float32[batch, 3], got float32[2, 2]\n\n  Axis 1 has the size 2, wanted is 3.",
        ),
        (
            (X[0], LABELS), {}, ShapeError,
            "argument 'x': expected float32[batch, 3], got float32[3]\n\n"
            "  An axis is missing; for a batch of one write array[None].",
        ),
        (
            (X[None], LABELS), {}, ShapeError,
            "argument 'x': expected float32[batch, 3], got float32[1, 2, 3]\n\n"
            "  The number of its axes is 3, wanted is 2.",
        ),
        (
            (X, [1, 2, 3]), {}, ShapeError,
            "the size 'batch' is 2 in argument 'x' (axis 0) but 3 in argument 'labels' (axis 0)\n\n"
            "  Inputs that share a size name must agree: float32[batch, 3] and int64[batch].",
        ),
        (
            (X,), {}, GraphError,
            "missing argument 'labels'; the function takes x: float32[batch, 3], labels: int64[batch]\n\n"
            "  Give it by position or by name: f(..., labels=array).",
        ),
        (
            (), {}, GraphError,
            "missing argument 'x', 'labels'; the function takes x: float32[batch, 3], labels: int64[batch]\n\n"
            "  Give it by position or by name: f(..., x=array).",
        ),
        (
            (X, LABELS, LABELS), {}, GraphError,
            "3 arguments are given, the function takes 2: x: float32[batch, 3], labels: int64[batch]",
        ),
        (
            (X,), {"label": LABELS}, GraphError,
            "unknown argument 'label'; the function takes x: float32[batch, 3], labels: int64[batch]\n\n"
            "  Did you mean 'labels'?",
        ),
        (
            (X, LABELS), {"x": X}, GraphError,
            "argument 'x' is given twice, by position and by name",
        ),
        (
            ([[1.0, 2.0], [1.0]], LABELS), {}, DTypeError,
            None,
        ),
        (
            ("text", LABELS), {}, DTypeError,
            "argument 'x': expected float32[batch, 3], got str\n\n"
            "  Give an array, a number or lists of numbers.",
        ),
        ((None, LABELS), {}, DTypeError, None),
        (({"x": 1}, LABELS), {}, DTypeError, None),
        (
            (X * 1j, LABELS), {}, DTypeError,
            "argument 'x': expected float32[batch, 3], got an array of complex64\n\n"
            "  There is bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64.",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(f, args, kwargs, error, message):
    with pytest.raises(error) as caught:
        f(*args, **kwargs)
    if message is None:
        assert caught.value.headline.startswith("argument 'x': expected float32[batch, 3], got ")
    else:
        assert str(caught.value) == message


def test_a_node_where_an_array_is_wanted(f):
    with pytest.raises(GraphError) as caught:
        f(gn.placeholder("z", (2, 3)), LABELS)
    assert str(caught.value) == (
        "argument 'x': a node was given, an array is wanted\n\n"
        "  Compiled functions take values. To join graphs, call the model on nodes before compiling."
    )


@pytest.mark.parametrize("wrong", ["float64", "float16", "int32", "bool", "uint8", "bfloat16"])
def test_arrays_are_never_cast(wrong):
    x = gn.placeholder("x", (2,))
    f = gn.function([x], x)
    array = np.ones(2, gn.placeholder("w", (), wrong).dtype.numpy)
    with pytest.raises(DTypeError, match=f"expected float32\\[2\\], got {wrong}\\[2\\]"):
        f(array)
    with pytest.raises(DTypeError, match=f"expected float32\\[2\\], got {wrong}\\[2\\]"):
        gn.evaluate(x, {x: array})


def test_integers_in_lists_must_fit():
    x = gn.placeholder("x", (2,), "uint8")
    f = gn.function([x], x)
    assert f([0, 255]).tolist() == [0, 255]
    for wrong in ([0, 256], [-1, 0]):
        with pytest.raises(DTypeError, match=r"expected uint8\[2\], got int64\[2\]"):
            f(wrong)


def test_scalars():
    x = gn.placeholder("x")
    f = gn.function([x], x * 2)
    for value in (3.0, 3, np.float32(3.0), np.array(3.0, "float32")):
        assert f(value) == 6.0
    for value in (np.float64(3.0), np.int64(3), True, "3"):
        with pytest.raises(DTypeError, match="argument 'x'"):
            f(value)
    with pytest.raises(ShapeError, match=r"expected float32\[\], got float32\[1\]"):
        f([3.0])


def test_sizes_in_expressions_are_checked():
    n = gn.Dim("n")
    x, y = gn.placeholder("x", (n,)), gn.placeholder("y", (2 * n + 1,))
    f = gn.function([x, y], gn.sum(x) + gn.sum(y))
    assert f(np.ones(2, "float32"), np.ones(5, "float32")) == 7.0
    with pytest.raises(ShapeError) as caught:
        f(np.ones(2, "float32"), np.ones(4, "float32"))
    assert str(caught.value) == "argument 'y': axis 0 is 4, but 2*n + 1 is 5 for n = 2"


def test_one_name_twice_in_one_input():
    x = gn.placeholder("x", ("n", "n"))
    f = gn.function([x], gn.sum(x))
    assert f(np.ones((2, 2), "float32")) == 4.0
    with pytest.raises(
        ShapeError, match=r"the size 'n' is 2 in argument 'x' \(axis 0\) but 3 in argument 'x' \(axis 1\)"
    ):
        f(np.ones((2, 3), "float32"))


def test_contradictions_are_found_at_every_call_not_only_the_first(f):
    f(X, LABELS)
    for _ in range(2):
        with pytest.raises(ShapeError, match="the size 'batch' is 2 in argument 'x'"):
            f(X, [1, 2, 3])
    assert f(X, LABELS) == 9.0


def test_nested_arguments_are_named_by_their_path():
    x, y, z = (gn.placeholder(name, (2,)) for name in "xyz")
    f = gn.function([x, {"pair": (y, z)}], x + y + z)
    v = np.ones(2, "float32")
    with pytest.raises(GraphError, match="expected a dict with the keys 'pair', got 'pairs'"):
        f(v, {"pairs": (v, v)})
    with pytest.raises(GraphError, match=r"argument input\['pair'\]: expected 2 items, got 3 items"):
        f(v, {"pair": (v, v, v)})
    with pytest.raises(GraphError, match=r"argument input\['pair'\]: expected 2 items, got ndarray"):
        f(v, {"pair": v})
    with pytest.raises(ShapeError, match="argument 'z'"):
        f(v, {"pair": (v, v[:1])})


# --- evaluate ---


def test_evaluate():
    x, w = gn.placeholder("x", (2,)), gn.parameter("w", [1.0, 2.0])
    assert gn.evaluate({"y": x * w, "w": w}, {x: [3.0, 4.0]})["y"].tolist() == [3.0, 8.0]
    assert gn.evaluate(gn.constant(3.0)) == 3.0
    assert gn.evaluate([]) == []
    assert gn.evaluate(None) is None


def test_evaluate_takes_a_value_for_any_node():
    x, w = gn.placeholder("x", (2,)), gn.parameter("w", [1.0, 2.0])
    h = gn.sin(x)
    assert gn.evaluate(h * 2, {h: [1.0, 2.0]}).tolist() == [2.0, 4.0]
    assert gn.evaluate(x * w, {x: [1.0, 1.0], w: [5.0, 6.0]}).tolist() == [5.0, 6.0]
    assert w.value.tolist() == [1.0, 2.0]
    assert gn.evaluate(h, {h: [1.0, 2.0]}).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "feeds, error, message",
    [
        (lambda x: {}, GraphError, "evaluate: no value for 'x'\n\n{at}  Give it: gn.evaluate(node, {{x: array}})."),
        (lambda x: None, GraphError, "evaluate: no value for 'x'\n\n{at}  Give it: gn.evaluate(node, {{x: array}})."),
        (lambda x: {"x": [1.0]}, GraphError,
         "evaluate: feeds are {{node: array}}, not {{'x': ...}}\n\n  Use the placeholder as the key."),
        (lambda x: {x: [[1.0]]}, ShapeError,
         "argument 'x': expected float32[2], got float32[1, 1]\n\n  The number of its axes is 2, wanted is 1."),
    ],
)  # fmt: skip
def test_wrong_feeds(feeds, error, message):
    x = gn.placeholder("x", (2,))
    with pytest.raises(error) as caught:
        gn.evaluate(x * 2, feeds(x))
    at = f"  at {caught.value.at}\n" if caught.value.at else ""
    assert str(caught.value) == message.format(at=at)


def test_a_dict_of_one_input_may_be_given_as_a_dict():
    a = gn.placeholder("a", (2,))
    for backend in ("native", "numpy"):
        f = gn.function({"a": a}, a + 1, backend=backend)
        for call in (lambda f=f: f({"a": [1.0, 2.0]}), lambda f=f: f(a=[1.0, 2.0]), lambda f=f: f([1.0, 2.0])):
            assert call().tolist() == [2.0, 3.0]
    inner = gn.function({"p": {"a": a}}, a + 1)
    assert inner({"p": {"a": [1.0, 2.0]}}).tolist() == inner({"a": [1.0, 2.0]}).tolist() == [2.0, 3.0]
