"""``debug="nan"`` names the first node that makes a NaN or an infinity of a result, forward or backward."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import ExecutionError


def caught(f, *args):
    with pytest.raises(ExecutionError) as found:
        f(*args)
    return found.value


def test_the_first_node_of_the_forward_pass():
    x = gn.placeholder("x", (3,))
    h = x - 1.0
    logs = gn.log(h)
    out = gn.sum(gn.exp(logs) * 2.0)
    f = gn.function([x], out, debug="nan")
    assert f([2.0, 3.0, 4.0]) == pytest.approx(12.0)
    error = caught(f, [2.0, 0.5, 1.0])
    assert error.headline == "log made nan at index [1] of log(…): float32[3]"
    assert error.at.endswith("logs = gn.log(h)")
    assert "test_debug_nan.py" in error.at
    assert error.hints == ("All its operands were finite. This check is there because of debug='nan'.",)
    (row,) = error.operands
    assert (row.name, row.spec) == ("subtract(…)", "float32[3] from -0.5 to 1")
    error = caught(gn.function([x], logs, debug="nan"), [2.0, 1.0, 3.0])
    assert error.headline == "log made -inf at index [1] of log(…): float32[3]"


def test_names_of_the_user_are_used():
    x = gn.placeholder("x")
    y = (1.0 / x).named("inverse")
    error = caught(gn.function([x], y, debug="nan"), 0.0)
    assert error.headline == "divide made inf of inverse: float32[]"
    assert [row.name for row in error.operands] == ["1.0", "x"]


def test_a_node_of_the_reverse_pass():
    x = gn.placeholder("x", (2,))
    root = gn.sqrt(x)
    loss = gn.sum(root)
    f = gn.function([x], [loss, gn.grad(loss, x)], debug="nan")
    error = caught(f, [4.0, 0.0])
    assert error.headline.startswith("divide made inf at index [1]")
    assert error.at.startswith("in the reverse pass of sqrt(…), made at test_debug_nan.py:")
    assert error.at.endswith("root = gn.sqrt(x)")
    assert "\n\n  in the reverse pass of sqrt(…), made at" in str(error)


def test_a_node_of_the_forward_mode():
    x = gn.placeholder("x")
    error = caught(gn.function([x], gn.jvp(gn.sqrt(x), x, 1.0), debug="nan"), 0.0)
    assert error.at.startswith("in the forward pass of sqrt(…)")


def test_the_first_of_several():
    x, y = gn.placeholder("x"), gn.placeholder("y")
    a = gn.log(x)
    b = gn.sqrt(y)
    c = b * 2.0 + 1.0
    for out in (c + a, a + c, gn.stack([c, a]), gn.exp(c) * a):
        error = caught(gn.function([x, y], out, debug="nan"), -1.0, -1.0)
        assert error.at.endswith("a = gn.log(x)")
        error = caught(gn.function([x, y], out, debug="nan"), 1.0, -1.0)
        assert error.at.endswith("b = gn.sqrt(y)")
    error = caught(gn.function([x, y], [c, a], debug="nan"), -1.0, -1.0)
    assert error.at.endswith("a = gn.log(x)")


def test_overflow():
    x = gn.placeholder("x", (2,), "float16")
    error = caught(gn.function([x], gn.sum(gn.exp(x) * 0.0), debug="nan"), np.array([1.0, 20.0], "float16"))
    assert error.headline == "exp made inf at index [1] of exp(…): float16[2]"
    assert error.operands[0].spec == "float16[2] from 1 to 20"


def test_inside_a_composite_the_users_line_is_named():
    @gn.composite
    def length(x, /):
        return gn.sqrt(gn.sum(x * x))

    x = gn.placeholder("x", (2,))
    size = length(x)
    dx = gn.grad(size, x)
    error = caught(gn.function([x], dx, debug="nan"), [0.0, 0.0])
    assert "size = length(x)" in error.at


def test_updates_are_checked_and_not_made():
    x, w = gn.placeholder("x"), gn.parameter("w", 1.0)
    f = gn.function([x], [], updates={w: gn.log(x)}, debug="nan")
    f(1.0)
    assert w.value == 0.0
    error = caught(f, -1.0)
    assert error.headline.startswith("log made nan")
    assert w.value == 0.0


# --- what is no fault ---


def test_what_a_mask_hides_is_not_flagged():
    x = gn.placeholder("x", (2,))
    safe = gn.where(x > 0, gn.log(x), 0)
    f = gn.function([x], [safe, gn.grad(gn.sum(safe), x)], debug="nan")
    got, slope = f([-1.0, 1.0])
    assert got.tolist() == [0.0, 0.0]
    assert slope.tolist() == [0.0, 1.0]


def test_infinities_that_vanish_are_not_flagged():
    x = gn.placeholder("x", (3,))
    scores = gn.where(x > 0, x, -np.inf)
    f = gn.function([x], gn.softmax(scores), debug="nan")
    np.testing.assert_allclose(f([-1.0, 1.0, 1.0]), [0.0, 0.5, 0.5])
    # A line in which all is hidden has no softmax: that is made in the line of the softmax, not by the mask.
    error = caught(f, [-1.0, -1.0, -1.0])
    assert error.headline.startswith("subtract made nan")
    assert error.hints[0].startswith("None of its operands was NaN.")
    assert "gn.softmax(scores)" in error.at


def test_finite_results_pass_and_integers_are_not_looked_at():
    x, i = gn.placeholder("x", (2,)), gn.placeholder("i", (2,), "int64")
    f = gn.function([x, i], [x * 2, i // 2, x > 0, gn.argmax(x)], debug="nan")
    assert f([1.0, 2.0], [3, 4])[1].tolist() == [1, 2]
    empty = gn.placeholder("e", ("n",))
    assert gn.function([empty], gn.sum(empty), debug="nan")(np.zeros(0, "float32")) == 0.0


# --- what comes from outside ---


def test_an_input_that_holds_nan():
    x, w = gn.placeholder("x", (2, 2)), gn.parameter("w", 2.0)
    y = gn.exp(x * w)
    f = gn.function([x], y, debug="nan")
    error = caught(f, [[1.0, 2.0], [np.nan, 0.0]])
    assert error.headline == "the input x holds nan at index [1, 0]"
    assert error.hints == (
        "A result of the function is not finite because of it. This check is there because of debug='nan'.",
    )
    assert [row.name for row in error.operands] == ["x"]
    w.value = np.float32(np.nan)
    assert caught(f, np.ones((2, 2), "float32")).headline == "the parameter w holds nan"


def test_infinite_inputs_are_named_where_nothing_else_is_to_blame():
    x = gn.placeholder("x", (2,))
    f = gn.function([x], x * 2.0, debug="nan")
    assert caught(f, [np.inf, 1.0]).headline == "the input x holds inf at index [0]"
    g = gn.function([x], x * 2.0 - x, debug="nan")
    assert caught(g, [np.inf, 1.0]).headline.startswith("subtract made nan at index [0]")
    h = gn.function([x], x + np.float32(np.inf), debug="nan")
    assert caught(h, [1.0, 1.0]).headline == "the constant inf holds inf"


def test_results_are_the_same_with_and_without_the_check():
    x = gn.placeholder("x", ("n", 3))
    w = gn.parameter("w", np.ones((3, 2), "float32"))
    loss = gn.mean(gn.softplus(x @ w))
    outputs = [loss, gn.grad(loss, w)]
    # The check is made by NumPy; the sums of other backends are rounded in another order.
    plain, checked = gn.function([x], outputs, backend="numpy"), gn.function([x], outputs, debug="nan")
    values = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    for a, b in zip(plain(values), checked(values), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_debug_nan_is_a_value():
    x = gn.placeholder("x")
    assert np.isnan(gn.function([x], gn.log(x))(-1.0))
