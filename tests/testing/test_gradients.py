"""check_gradients itself: that it accepts what is right, refuses what is wrong, and says when it cannot know."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.errors import DifferentiationError, GraphError
from graphnn.ir.op import Elementwise, General
from graphnn.testing import (
    GradientChecker,
    GradientCheckError,
    GradientReport,
    InconclusiveCheckError,
    check_gradients,
    numeric_jacobian,
)
from graphnn.testing.oracle import directional

FUNCTIONS = [
    ("sin", np.sin, np.cos, -3, 3),
    ("exp", np.exp, np.exp, -3, 3),
    ("log", np.log, lambda x: 1 / x, 0.05, 20),
    ("log near 0", np.log, lambda x: 1 / x, 1e-8, 1e-7),
    ("sqrt", np.sqrt, lambda x: 0.5 / np.sqrt(x), 0.05, 20),
    ("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2, -3, 3),
    ("asin", np.arcsin, lambda x: 1 / np.sqrt(1 - x * x), -0.85, 0.85),
    ("tan", np.tan, lambda x: 1 + np.tan(x) ** 2, -1.2, 1.2),
    ("reciprocal", lambda x: 1 / x, lambda x: -1 / x**2, 0.25, 3),
    ("cube", lambda x: x**3, lambda x: 3 * x**2, 0.1, 3),
    ("acosh", np.arccosh, lambda x: 1 / np.sqrt(x * x - 1), 1.2, 10),
    ("erf", scipy.special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x), -2, 2),
    ("constant", lambda x: 0 * x + 7, lambda x: 0 * x, -3, 3),
    ("linear", lambda x: 3 * x + 1, lambda x: 0 * x + 3, -3, 3),
]


@pytest.mark.parametrize(("f", "slope", "low", "high"), [r[1:] for r in FUNCTIONS], ids=[r[0] for r in FUNCTIONS])
def test_the_oracle_is_exact_to_1e_10(f, slope, low, high):
    for x in np.random.default_rng(0).uniform(low, high, 100):
        found = directional(f, np.array([x]), np.ones(1))
        error = abs(found.value[0] - slope(x))
        assert error <= 1e-10 * max(abs(slope(x)), 1e-3)
        assert error <= 2 * found.error[0]  # the estimate is honest


def test_the_oracle_knows_when_it_is_lost():
    def noisy(x):
        seed = int(abs(x[0]) * 2**40)
        return np.sin(x) + 1e-7 * np.random.default_rng(seed).uniform(-1, 1, 1)

    found = directional(noisy, np.array([0.7]), np.ones(1))
    assert found.error[0] > 1e-7
    assert abs(found.value[0] - np.cos(0.7)) < 10 * found.error[0]
    assert directional(lambda x: np.abs(x - 1), np.array([1 + 1e-5]), np.ones(1)).error[0] > 1e-5
    assert not directional(np.log, np.array([-1.0]), np.ones(1)).error[0] < np.inf


def test_numeric_jacobian_of_several_variables():
    f = lambda x: np.array([x[0] * x[1], np.sin(x[1]), x[2] ** 2 + x[0]])  # noqa: E731
    x = np.array([0.5, 1.5, -2.0])
    found = numeric_jacobian(f, x)
    expected = [[1.5, 0.5, 0.0], [0.0, np.cos(1.5), 0.0], [1.0, 0.0, -4.0]]
    assert np.allclose(found.value, expected, rtol=0, atol=1e-12)
    assert numeric_jacobian(lambda x: x, np.zeros(0)).value.shape == (0, 0)
    along = numeric_jacobian(f, x, np.array([[1.0, 1.0, 1.0]]))
    assert np.allclose(along.value[:, 0], np.sum(expected, 1), rtol=0, atol=1e-12)


# --- operations with wrong rules ---


class WrongSlope(Elementwise):
    """x ** 2 with a derivative that is off by a factor"""

    factor: float
    latex = "w({0})"

    def partials(self, *operands, out):
        return (2 * self.factor * operands[0],)


class WrongForward(General):
    """exp(x), right in reverse and wrong in forward mode"""

    latex = "w({0})"

    def infer(self, *specs):
        return specs[0]

    def vjp(self, g, *operands, out):
        return (g * out,)

    def jvp(self, tangents, *operands, out):
        return tangents[0] * out * 1.001


class WrongElement(General):
    """sum(x), of which the derivative forgets the first element"""

    latex = "w({0})"

    def infer(self, *specs):
        return specs[0].with_shape(())

    def vjp(self, g, *operands, out):
        (x,) = operands
        return (gn.broadcast_to(g, x.shape).at[0].set(0.0),)


class InfiniteSlope(Elementwise):
    """x with a derivative that is not finite"""

    latex = "w({0})"

    def partials(self, *operands, out):
        return (1 / (operands[0] - operands[0]),)


@pytest.fixture(autouse=True)
def lowerings():
    """The NumPy kernels of the wrong operations."""
    from graphnn.backend.numpy import lower

    lower.register(WrongSlope, lambda op, node: np.square)
    lower.register(WrongForward, lambda op, node: np.exp)
    lower.register(WrongElement, lambda op, node: np.sum)
    lower.register(InfiniteSlope, lambda op, node: np.positive)


X = np.array([0.5, 1.5, -2.0])


def test_a_wrong_rule_is_refused_in_every_mode():
    for modes, word in ((("reverse",), "reverse"), (("forward",), "forward")):
        with pytest.raises(GradientCheckError) as error:
            check_gradients(lambda x: WrongSlope(1.001)(x), [X], modes=modes)
        assert f"{word}: d wrong_slope" in str(error.value)
        assert "/ d x0 at (0,), (0,): 1.001, finite difference 1" in str(error.value).replace("0000", "")
    check_gradients(lambda x: WrongSlope(1.0)(x), [X], order=2)


@pytest.mark.parametrize("factor", [1 + 1e-8, 1 - 1e-8, 0.0, -1.0, 2.0, np.nan])
def test_errors_from_1e_8_on_are_caught(factor):
    report = check_gradients(lambda x: WrongSlope(factor)(x), [X], raises=False)
    # Three elements in two modes; a NaN spreads to the zeros of its row and column.
    assert len(report.wrong) == (18 if np.isnan(factor) else 6)
    assert isinstance(report, GradientReport)


def test_modes_that_disagree_break_the_identity():
    report = check_gradients(lambda x: WrongForward()(x), [X], raises=False)
    assert len(report.wrong) == 3
    assert all(entry.what.startswith("forward") for entry in report.wrong)
    assert "the modes disagree: <Jv, u> = " in report.broken[0]
    check_gradients(lambda x: WrongForward()(x), [X], modes=["reverse"])


def test_one_wrong_element_is_named():
    report = check_gradients(lambda x: WrongElement()(x), [X], modes=["reverse"], raises=False)
    (entry,) = report.wrong
    assert entry.index == ((), (0,))
    assert (entry.analytic, round(entry.numeric, 9)) == (0.0, 1.0)


def test_a_derivative_that_is_not_finite_is_wrong():
    with pytest.raises(GradientCheckError, match=r"inf|nan"):
        check_gradients(lambda x: InfiniteSlope()(x), [X])


def test_a_wrong_second_derivative_is_refused():
    # relu is piecewise linear; this claims a slope that is right at every point but does not change as it should.
    class Sneaky(Elementwise):
        latex = "w({0})"

        def partials(self, *operands, out):
            return (gn.stop_gradient(2 * operands[0]),)

    from graphnn.backend.numpy import lower

    lower.register(Sneaky, lambda op, node: np.square)
    check_gradients(lambda x: Sneaky()(x), [X], order=1)
    with pytest.raises(GradientCheckError, match="over"):
        check_gradients(lambda x: Sneaky()(x), [X], order=2)


def test_kinks_are_wrong_or_inconclusive_but_never_right():
    with pytest.raises(GradientCheckError):
        check_gradients(gn.relu, [np.array([0.0])])
    with pytest.raises(InconclusiveCheckError) as error:
        check_gradients(lambda x: gn.abs(x - 1.0), [np.array([1 + 3e-5, 2.0])])
    assert "2 of 9 derivatives could not be checked" in str(error.value)
    assert "Move the point away from kinks" in str(error.value)
    assert not isinstance(error.value, GradientCheckError)
    report = check_gradients(lambda x: gn.abs(x - 1.0), [np.array([1 + 3e-5, 2.0])], raises=False)
    assert len(report.inconclusive) == 2
    assert report.wrong == []
    assert report.worst < 1e-9


def test_poles_are_inconclusive():
    with pytest.raises(InconclusiveCheckError):
        check_gradients(gn.log, [np.array([-1.0])], modes=["reverse"])


# --- what it takes ---


def test_float32_graphs_are_checked_in_float64():
    x = gn.placeholder("x", ("n", 3))
    w = gn.parameter("w", np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2))
    y = gn.softmax(gn.tanh(x @ w).astype("float32") * 0.1)
    report = check_gradients(y, {x: np.ones((2, 3), np.float32) * [0.1, 0.2, 0.3], w: w.value}, order=2)
    assert report.worst < 1e-9
    assert report.checked == 2 * 4 * 12 + 1 + 2 * 12 * 12


def test_wrt_chooses():
    x, y = gn.placeholder("x", (2,)), gn.placeholder("y", (2,))
    feeds = {x: [0.5, 0.6], y: [1.0, 2.0]}
    assert check_gradients(x * y, feeds).checked == 2 * 8 + 1
    assert check_gradients(x * y, feeds, wrt=[x]).checked == 2 * 4 + 1
    with pytest.raises(GraphError, match="in wrt but not in the feeds"):
        check_gradients(x * 2, {x: [0.5, 0.6]}, wrt=[y])


def test_integer_operands_are_no_variables():
    x, i = gn.placeholder("x", (3,)), gn.placeholder("i", (2,), "int64")
    assert check_gradients(gn.take(x, i) ** 2.0, {x: [0.1, 0.2, 0.3], i: [2, 2]}, order=2).checked > 0


def test_several_outputs_and_functions():
    report = check_gradients(lambda x, y: [x * y, gn.sum(x)], [np.ones(2), np.array([3.0, 4.0])], order=2)
    assert report.checked == 2 * 3 * 4 + 1 + 2 * 4 * 4


def test_large_arrays_are_checked_along_random_directions():
    x = np.linspace(-1, 1, 200)
    assert check_gradients(lambda x: gn.sin(x) * gn.sum(x * x), [x], order=2).checked == 2 * 16 + 200 * 4 - 16 + 1 + (
        16 + 200 * 4
    )
    with pytest.raises(GradientCheckError):
        check_gradients(lambda x: gn.sin(x) + WrongSlope(1 + 1e-6)(x), [x])


def test_empty_arrays():
    report = check_gradients(lambda x: gn.sin(x), [np.zeros((0, 3))], order=2)
    assert (report.wrong, report.inconclusive, report.broken) == ([], [], [])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: check_gradients(x * 1.0, [np.ones(2)]), GraphError, "feeds of nodes are"),
        (lambda x: check_gradients(gn.sin, {x: np.ones(2)}), GraphError, "list of arrays"),
        (lambda x: check_gradients(x * 1.0, {}), GraphError, "no value for x"),
        (lambda x: check_gradients(x * 1.0, {x: np.ones(2)}, order=3), GraphError, "order is 1 or 2"),
        (lambda x: check_gradients(x * 1.0, {x: np.ones(2)}, modes=["sideways"]), GraphError, "modes"),
        (lambda x: check_gradients(x > 0, {x: np.ones(2)}), DifferentiationError, "has no derivative"),
        (lambda x: check_gradients(gn.sin(x), {x: np.ones((2, 2))}), GraphError, "its feed has the shape"),
        (lambda x: check_gradients(gn.sin(x) + x, {gn.sin(x): np.ones(2)}), GraphError, "neither a placeholder"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call(gn.placeholder("x", (2,)))


@given(st.floats(-2, 2), st.floats(0.5, 2))
def test_a_checker_serves_many_points(a, b):
    x, y = XY
    CHECKER.check({x: np.array(a), y: np.array(b)}).raise_for()


XY = (gn.placeholder("x", (), "float64"), gn.placeholder("y", (), "float64"))
CHECKER = GradientChecker([gn.sin(XY[0]) / XY[1] + XY[0] * XY[1]], {XY[0]: 0.0, XY[1]: 1.0}, order=2)


def test_a_state_is_read_but_does_not_advance():
    stream = gn.stream(1)
    x = gn.placeholder("x", (3,))
    noisy = gn.sum(gn.sin(x + gn.uniform(stream, (3,))))
    before = stream.value
    report = check_gradients(noisy, {x: [0.1, 0.2, 0.3]}, order=2)
    assert report.checked > 0
    assert stream.value.tolist() == before.tolist()
