"""Linear algebra at its edges: what is singular, what is not read, what does not fit, what overflows."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing import assert_close, check_gradients

INF, NAN = np.inf, np.nan
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


def value(build, *arrays):
    nodes = [gn.placeholder(f"x{i}", np.shape(array), "float64") for i, array in enumerate(arrays)]
    return gn.evaluate(build(*nodes), dict(zip(nodes, arrays, strict=True)))


def gradient(build, array):
    return value(lambda x: gn.grad(gn.sum(build(x)), x), array)


@pytest.mark.parametrize(
    ("build", "headline"),
    [
        (lambda x: gn.solve(x, np.ones(2)), "solve: Singular matrix"),
        (gn.inv, "solve: Singular matrix"),
        (
            lambda x: gn.triangular_solve(x - 1.0, np.ones(2)),
            "triangular_solve: Singular matrix: element 0 of the diagonal is 0",
        ),
        (lambda x: gn.cholesky(-x), "cholesky: Matrix is not positive definite"),
    ],
    ids=["solve", "inv", "triangular_solve", "cholesky"],
)
def test_singular_matrices_are_errors_that_name_the_line(build, headline):
    with pytest.raises(gn.ExecutionError) as caught:
        value(build, SINGULAR)
    lines = str(caught.value).splitlines()
    assert lines[0] == headline
    assert "test_linalg.py" in lines[-1]
    assert "float64[2, 2]" in str(caught.value)


def test_the_singular_matrix_of_a_batch_is_named():
    batch = np.array([[[1.0, 0.0], [5.0, 1.0]], [[1.0, 0.0], [5.0, 0.0]]])
    with pytest.raises(gn.ExecutionError, match=r"element 1 of the diagonal of the matrix at \[1\] is 0"):
        value(lambda x: gn.triangular_solve(x, np.ones(2)), batch)
    with pytest.raises(gn.ExecutionError, match=r"solve: Singular matrix, the one at \[1\]"):
        value(gn.inv, batch)
    with pytest.raises(gn.ExecutionError, match=r"cholesky: Matrix is not positive definite, the one at \[0, 1\]"):
        value(gn.cholesky, np.stack([np.eye(2), -np.eye(2)])[None])
    assert value(lambda x: gn.triangular_solve(x, np.ones(2), unit_diagonal=True), batch).tolist() == [[1.0, -4.0]] * 2


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_the_other_triangle_is_not_read(lower, unit):
    other = np.where(np.triu(np.ones((3, 3)), 1) if lower else np.tril(np.ones((3, 3)), -1), NAN, 0.0)
    a, b = np.arange(9.0).reshape(3, 3) + 1.0, np.ones((3, 2))
    other = other + np.diag([NAN] * 3) if unit else other

    def solve(x):
        return gn.triangular_solve(x, b, lower=lower, unit_diagonal=unit)

    assert np.isfinite(value(solve, a + other)).all()
    found = gradient(solve, a + other)
    assert (found[np.isnan(other)] == 0).all()
    assert (found[~np.isnan(other)] != 0).all()


def test_determinants_of_singular_matrices_have_derivatives():
    # The cofactors of [[a, b], [c, d]] are [[d, -c], [-b, a]].
    assert_close(gradient(gn.det, SINGULAR), np.array([[4.0, -2.0], [-2.0, 1.0]]), rtol=1e-14)
    assert_close(gradient(gn.det, np.diag([0.0, 2.0, 3.0])), np.diag([6.0, 0.0, 0.0]), rtol=1e-14, atol=1e-15)
    assert_close(gradient(gn.det, np.diag([0.0, 0.0, 3.0])), np.zeros((3, 3)), rtol=0.0, atol=1e-15)
    assert gradient(gn.det, np.array([[0.0]])).tolist() == [[1.0]]


def test_slogdet_where_the_determinant_has_no_number():
    x = np.eye(200) * 1e-5
    x[0, 0] = -1e-5
    sign, logabsdet = value(gn.slogdet, x)
    assert sign == -1.0
    assert_close(logabsdet, np.asarray(200 * np.log(1e-5)), rtol=1e-14)
    assert value(gn.det, x) == 0.0
    found = value(lambda x: gn.grad(gn.slogdet(x).logabsdet, x), x)
    assert_close(np.diagonal(found), np.array([-1e5] + [1e5] * 199), rtol=1e-14)
    assert [float(part) for part in value(gn.slogdet, SINGULAR)] == [0.0, -INF]
    assert isinstance(gn.slogdet(gn.constant(x)), tuple)


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3), (2, 4, 2)])
@pytest.mark.parametrize("rank", [1, 2])
def test_least_squares_of_any_rank_as_in_numpy(shape, rank):
    generator = np.random.default_rng(0)
    a = generator.standard_normal((*shape[:-1], rank)) @ generator.standard_normal((*shape[:-2], rank, shape[-1]))
    b = generator.standard_normal((*shape[:-1], 2))
    found = value(gn.lstsq, a, b)
    flat = zip(a.reshape(-1, *shape[-2:]), b.reshape(-1, shape[-2], 2), strict=True)
    expected = np.array([np.linalg.lstsq(m, r, rcond=1e-12)[0] for m, r in flat]).reshape(found.shape)
    assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_small_singular_values_count_as_zero():
    x = np.diag([1.0, 1e-3])
    assert_close(value(gn.pinv, x), np.diag([1.0, 1e3]), rtol=1e-14)
    assert value(lambda x: gn.pinv(x, rtol=0.01), x).tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_nan_comes_through():
    x = np.stack([np.eye(2), np.array([[NAN, 0.0], [0.0, 1.0]]), np.array([[INF, 0.0], [0.0, 1.0]])])
    for build in (gn.pinv, gn.det, lambda x: gn.grad(gn.sum(gn.det(x)), x)):
        found = value(build, x)
        assert np.isfinite(found[0]).all()
        assert np.isnan(found[1]).any()
    assert np.isnan(value(lambda x: gn.solve(x, np.ones(2)), x[1])).any()


def test_batches_broadcast_and_their_cotangents_are_summed():
    generator = np.random.default_rng(1)
    a, b = generator.standard_normal((2, 2)) + 3 * np.eye(2), generator.standard_normal((3, 2, 1))
    check_gradients(gn.solve, [a, b], order=2)
    check_gradients(gn.triangular_solve, [a[None, None], b], order=2)


def test_what_does_not_fit_is_said_at_the_line():
    x, y = gn.placeholder("x", ("n", 3)), gn.placeholder("y", (4, 2))
    square = gn.placeholder("square", (3, 3))
    for build, text in (
        (lambda: gn.inv(x), "inv takes square matrices: n rows != 3 columns"),
        (lambda: gn.det(y), "det takes square matrices: 4 rows != 2 columns"),
        (lambda: gn.cholesky(y), "cholesky takes square matrices"),
        (lambda: gn.matrix_power(y, 2), "matrix_power takes square matrices"),
        (lambda: gn.solve(square, y), "solve: sizes differ: 3 unknowns != 4 rows of the right side"),
        (lambda: gn.triangular_solve(square, y), "triangular_solve: sizes differ"),
        (lambda: gn.lstsq(square, y), r"lstsq: \[3, 3\] and \[4, 2\] do not have the same number of rows"),
        (lambda: gn.pinv(y[0]), r"pinv takes matrices, not \[2\]"),
        (lambda: gn.matrix_norm(y[0]), "matrix_norm takes matrices"),
        (lambda: gn.matrix_trace(y[0]), "matrix_trace takes matrices"),
        (lambda: gn.outer(y, y), "outer takes two vectors"),
        (lambda: gn.cross(y, y), "cross takes vectors of 3 elements along axis -1"),
    ):
        with pytest.raises(gn.ShapeError, match=text):
            build()
    whole = gn.placeholder("whole", (3, 3), "int64")
    for build in (gn.inv, gn.det, gn.cholesky, gn.pinv, gn.slogdet, gn.matrix_norm, lambda x: gn.solve(x, x)):
        with pytest.raises(gn.DTypeError, match="floating-point"):
            build(whole)
    for build, text in (
        (lambda: gn.matrix_power(square, 0.5), "the power is an int"),
        (lambda: gn.matrix_norm(square, ord=3), "ord is 'fro', 'nuc', 1, 2, inf, -1, -2 or -inf, not 3"),
    ):
        with pytest.raises(gn.GraphError, match=text):
            build()


def test_matrix_power_at_the_ends():
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert value(lambda x: gn.matrix_power(x, 0), x).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert value(lambda x: gn.matrix_power(x, 1), x).tolist() == x.tolist()
    for n in (-3, -1, 2, 7, 10):
        expected = np.linalg.matrix_power(x, n)
        assert_close(value(lambda x, n=n: gn.matrix_power(x, n), x), expected, rtol=1e-12)


def test_the_norm_of_the_zero_matrix_has_the_derivative_0():
    assert gradient(gn.matrix_norm, np.zeros((2, 3))).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_narrow_floats(dtype):
    x = gn.placeholder("x", (2, 2), dtype)
    feeds = {x: np.array([[4.0, 2.0], [2.0, 5.0]]).astype(x.dtype.numpy)}
    factor, inverse, of_sum = gn.evaluate(
        [gn.cholesky(x), gn.inv(x), gn.triangular_solve(x, gn.constant(np.ones(2), "float64"))], feeds
    )
    assert factor.dtype == inverse.dtype == x.dtype.numpy
    assert factor.astype(np.float64).tolist() == [[2.0, 0.0], [1.0, 2.0]]
    assert of_sum.dtype == np.float64
    assert of_sum.tolist() == [0.25, 0.1]
