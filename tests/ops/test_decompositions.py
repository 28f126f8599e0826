"""Decompositions: factors that fit together, what does not depend on a basis, equal eigenvalues, errors, narrow floats."""

import numpy as np
import pytest
import scipy.linalg

import graphnn as gn
from graphnn.ir.graph import Graph
from graphnn.ops.arithmetic import Divide
from graphnn.testing import assert_close, check_gradients

NAN = np.nan
SHAPES = [(3, 3), (5, 2), (2, 5), (2, 3, 4, 3), (0, 3), (3, 0), (0, 2, 2), (1, 1)]


def value(build, *arrays):
    nodes = [gn.placeholder(f"x{i}", np.shape(a), np.asarray(a).dtype) for i, a in enumerate(arrays)]
    return gn.evaluate(build(*nodes), dict(zip(nodes, arrays, strict=True)))


def gradient(build, array):
    return value(lambda x: gn.grad(gn.sum(build(x)), x), array)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def turned(x):
    return np.swapaxes(x, -1, -2)


def with_eigenvalues(values, seed=0):
    q, _ = np.linalg.qr(normal(len(values), len(values), seed=seed))
    return (q * values) @ q.T


# --- the factors ---


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("full", [False, True])
def test_the_factors_fit_together(shape, full):
    x = normal(*shape)
    (q, r), (u, s, vh) = value(
        lambda x: [gn.qr(x, mode="complete" if full else "reduced"), gn.svd(x, full_matrices=full)], x
    )
    for basis in (q, u, turned(vh)):
        assert_close(
            turned(basis) @ basis,
            np.broadcast_to(np.eye(basis.shape[-1]), turned(basis).shape[:-1] + basis.shape[-1:]),
            atol=1e-14,
        )
    assert_close(q @ r, x, atol=1e-13)
    assert np.array_equal(r, np.triu(r))
    assert (np.diagonal(r, axis1=-2, axis2=-1) >= 0).all()
    k = s.shape[-1]
    assert_close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x, atol=1e-13)
    assert (np.diff(s) <= 0).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lu_fits_together(shape):
    x = normal(*shape)
    rows, lower, upper = value(gn.lu, x)
    assert rows.dtype == np.int64
    assert_close(lower @ upper, np.take_along_axis(x, rows[..., None], axis=-2), atol=1e-13)
    assert np.array_equal(upper, np.triu(upper))
    assert np.array_equal(lower, np.tril(lower, -1) + np.broadcast_to(np.eye(*lower.shape[-2:]), lower.shape))
    assert (np.abs(lower) <= 1).all()  # the row with the largest magnitude was taken


def test_qr_follows_a_matrix_continuously():
    # Householder reflections alone would give R the sign + for the unit matrix and - beside it.
    for x in (np.eye(3), -np.eye(3), np.diag([1.0, -2.0, 3.0])):
        q, r = value(gn.qr, x)
        beside = value(gn.qr, x + 1e-9 * normal(3, 3))
        assert_close(q, beside.Q, atol=1e-8)
        assert_close(r, beside.R, atol=1e-8)
        check_gradients(lambda x: gn.sin(gn.qr(x).Q) @ gn.qr(x).R, [x])


def test_results_have_the_names_of_the_standard():
    x = gn.constant(np.eye(2))
    assert gn.qr(x)._fields == ("Q", "R")
    assert gn.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert gn.svd(x)._fields == ("U", "S", "Vh")
    assert gn.lu(x)._fields == ("permutation", "L", "U")


def test_the_other_triangle_counts_half():
    x = np.array([[1.0, 4.0], [0.0, 2.0]])
    w, v = value(gn.eigh, x)
    assert_close((v * w) @ v.T, (x + x.T) / 2, atol=1e-14)
    assert_close(value(gn.eigvalsh, x), w, rtol=1e-14)


# --- what does not depend on signs and bases ---


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 3)], ids=str)
def test_functions_of_all_factors_at_once(shape):
    x = normal(*shape)

    def rebuilt(x):
        u, s, vh = gn.svd(x, full_matrices=False)
        return (u * gn.expand_dims(gn.sin(s), axis=-2)) @ vh

    def polar(x):
        u, _, vh = gn.svd(x, full_matrices=False)
        return u @ vh

    check_gradients(rebuilt, [x], order=2)
    check_gradients(polar, [x], order=2)
    check_gradients(lambda x: gn.lu(x).L @ gn.cos(gn.lu(x).U), [x], order=2)


def test_a_function_of_a_symmetric_matrix():
    def exponential(x):
        w, v = gn.eigh(x)
        return (v * gn.expand_dims(gn.exp(w), axis=-2)) @ gn.matrix_transpose(v)

    x = normal(2, 3, 3)
    x = (x + turned(x)) / 2
    assert_close(value(exponential, x), scipy.linalg.expm(x), rtol=1e-12)
    # d expm(x) along e, by SciPy.
    e = normal(2, 3, 3, seed=1)
    e = (e + turned(e)) / 2
    pushed = value(lambda x: gn.jvp(exponential(x), x, e), x)
    expected = np.stack([scipy.linalg.expm_frechet(a, b, compute_expm=False) for a, b in zip(x, e, strict=True)])
    assert_close(pushed, expected, rtol=1e-11)
    check_gradients(exponential, [x], order=2)


def test_equal_eigenvalues_of_what_depends_on_their_space_only():
    x = with_eigenvalues([1.0, 1.0, 3.0])

    def projection(x):
        v = gn.eigh(x).eigenvectors[..., :2]
        return v @ gn.matrix_transpose(v)

    # d P = sum over pairs of both spaces of (v' e u) (v u' + u v') / (w_v - w_u), here (1 - P) e P + its transpose over -2.
    p = value(projection, x)
    e = with_eigenvalues([1.0, -1.0, 0.5], seed=5)
    step = (np.eye(3) - p) @ e @ p / (1.0 - 3.0)
    assert_close(value(lambda x: gn.jvp(projection(x), x, e), x), step + step.T, atol=1e-13)
    assert_close(gradient(lambda x: gn.sum(gn.log(gn.eigvalsh(x))), x), np.linalg.inv(x), rtol=1e-12)


def test_equal_singular_values_of_what_depends_on_their_space_only():
    x = np.linalg.qr(normal(4, 3))[0] @ with_eigenvalues([2.0, 2.0, 1.0])

    def polar(x):
        u, _, vh = gn.svd(x, full_matrices=False)
        return u @ vh

    assert_close(value(polar, x), scipy.linalg.polar(x)[0], atol=1e-13)
    check_gradients(polar, [x])
    assert_close(gradient(lambda x: gn.matrix_norm(x, ord="nuc"), x), scipy.linalg.polar(x)[0], atol=1e-13)


@pytest.mark.parametrize("x", [np.zeros((3, 3)), np.eye(3), np.ones((3, 3)), with_eigenvalues([1.0, 1.0, 1.0])])
def test_derivatives_stay_finite(x):
    for build in (
        lambda x: gn.eigh(x).eigenvectors,
        lambda x: gn.svd(x).U,
        lambda x: gn.svd(x).Vh,
        gn.svdvals,
        gn.eigvalsh,
        lambda x: gn.matrix_norm(x, ord=2),
        lambda x: gn.matrix_norm(x, ord="nuc"),
    ):
        found = gradient(lambda x, build=build: gn.sin(build(x)), x)
        assert np.isfinite(found).all()
        assert np.abs(found).max() < 10.0


# --- what has no derivative ---


@pytest.mark.parametrize(
    ("build", "shape", "headline"),
    [
        (lambda x: gn.qr(x, mode="complete").Q, (3, 2), "qr: with mode 'complete', the last of the 3 columns of Q"),
        (lambda x: gn.svd(x).U, (3, 2), r"svd: with full_matrices=True, U of float64\[3, 2\] holds vectors"),
        (lambda x: gn.svd(x).Vh, (2, 3), r"svd: with full_matrices=True, Vh of float64\[2, 3\] holds vectors"),
    ],
    ids=["Q", "U", "Vh"],
)
def test_vectors_that_belong_to_nothing_have_no_derivative(build, shape, headline):
    x = gn.placeholder("x", shape, "float64")
    for differentiate in (lambda y: gn.grad(gn.sum(y), x), lambda y: gn.jvp(y, x, np.ones(shape))):
        with pytest.raises(gn.DifferentiationError, match=headline) as caught:
            differentiate(build(x))
        assert "test_decompositions.py" in str(caught.value)
        assert "Use mode='reduced'" in str(caught.value) or "Use full_matrices=False" in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3)], ids=str)
def test_the_other_results_do_have_one(shape):
    x = normal(*shape)
    side = (lambda x: gn.abs(gn.svd(x).Vh)) if shape[0] > shape[1] else (lambda x: gn.abs(gn.svd(x).U))
    for build in (lambda x: gn.qr(x, mode="complete").R, lambda x: gn.svd(x).S, side):
        check_gradients(build, [x], order=2)
    if shape[0] < shape[1]:
        check_gradients(lambda x: gn.qr(x, mode="complete").Q, [x])


def test_dependent_columns_are_an_error_that_names_the_line():
    x = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    for build in (lambda x: gn.qr(x).Q, lambda x: gn.lu(x).L):
        with pytest.raises(gn.ExecutionError, match="Singular matrix: element 1 of the diagonal is 0") as caught:
            gradient(build, x)
        assert "test_decompositions.py" in str(caught.value)


def test_forward_mode_computes_only_what_is_read():
    x = gn.placeholder("x", (3, 3), "float64")
    w, v = gn.eigh(x)
    tangent = np.ones((3, 3))

    def divisions(y):
        return sum(isinstance(node.op, Divide) for node in Graph(gn.jvp(y, x, tangent)))

    assert divisions(v) > 0
    assert divisions(w) == 0


# --- sizes, data types, numbers that are not finite ---


def test_named_sizes_of_either_order():
    x = gn.placeholder("x", ("m", "n"), "float64")
    u, s, vh = gn.svd(x, full_matrices=False)
    q, r = gn.qr(x)
    _, lower, upper = gn.lu(x)
    outs = [gn.sin((u * s) @ vh), gn.sin(q) @ r, gn.sin(lower) @ upper]
    f = gn.function([x], [gn.grad(gn.sum(out), x) for out in outs])
    for shape in ((4, 2), (2, 4), (3, 3), (0, 2), (2, 0)):
        array = normal(*shape)
        known = gn.placeholder("known", shape, "float64")
        u, s, vh = gn.svd(known, full_matrices=False)
        q, r = gn.qr(known)
        _, lower, upper = gn.lu(known)
        sums = [gn.sum(gn.sin((u * s) @ vh)), gn.sum(gn.sin(q) @ r), gn.sum(gn.sin(lower) @ upper)]
        expected = gn.evaluate([gn.grad(out, known) for out in sums], {known: array})
        for found, wanted in zip(f(array), expected, strict=True):
            assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_narrow_floats(dtype):
    x = gn.placeholder("x", (2, 2), dtype)
    feeds = {x: np.array([[0.0, 2.0], [2.0, 0.0]]).astype(x.dtype.numpy)}
    (q, r), (rows, lower, upper), w, (u, s, vh), rank = gn.evaluate(
        [gn.qr(x), gn.lu(x), gn.eigvalsh(x), gn.svd(x), gn.matrix_rank(x)], feeds
    )
    assert {part.dtype for part in (q, r, lower, upper, w, u, s, vh)} == {x.dtype.numpy}
    assert r.astype(float).tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert rows.tolist() == [1, 0]
    assert upper.astype(float).tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert s.astype(float).tolist() == [2.0, 2.0]
    assert int(rank) == 2
    assert_close(w.astype(float), np.array([-2.0, 2.0]), rtol=2e-2)
    # The gradient of the sum of the larger eigenvalue of [[a, 2], [2, a]] is 1/2 everywhere.
    found = gn.evaluate(gn.grad(gn.eigh(x).eigenvalues[1], x), feeds)
    assert found.dtype == x.dtype.numpy
    assert_close(found.astype(float), np.full((2, 2), 0.5), rtol=2e-2)


def test_nan_comes_through_and_stays_in_its_matrix():
    x = np.stack([np.eye(2), [[NAN, 0.0], [0.0, 1.0]], [[np.inf, 0.0], [0.0, 1.0]]])
    for build in (
        gn.eigvalsh,
        gn.svdvals,
        lambda x: gn.eigh(x),
        lambda x: gn.svd(x),
        lambda x: gn.qr(x),
        lambda x: gn.lu(x)[1:],
    ):
        found = value(build, x)
        for part in found if isinstance(found, (list, tuple)) else [found]:
            assert np.isfinite(part[0]).all()
            assert np.isnan(part[1:]).all()
    assert np.isnan(value(gn.svdvals, x[1])).all()
    y = gn.placeholder("y", (2, 2), "float64")
    f = gn.function([y], gn.svd(y / y).S, debug="nan")
    with pytest.raises(gn.ExecutionError, match="divide made nan"):
        f(np.zeros((2, 2)))


# --- what is built on them ---


def test_solving_with_factors():
    a, b, c = normal(2, 1, 3, 3), normal(4, 3, 2), normal(3, seed=2)
    assert_close(value(lambda a, b: gn.lu_solve(gn.lu(a), b), a, b), np.linalg.solve(a, b), rtol=1e-10)
    assert_close(value(lambda a, b: gn.lu_solve(gn.lu(a), b), a[0, 0], c), np.linalg.solve(a[0, 0], c), rtol=1e-10)
    check_gradients(lambda a, b: gn.lu_solve(gn.lu(a), b), [a[:1], b[:2]])
    with pytest.raises(gn.ShapeError, match="lu_solve takes square matrices"):
        gn.lu_solve(gn.lu(np.ones((3, 2))), np.ones(3))
    with pytest.raises(gn.ShapeError, match="3 unknowns != 2 rows"):
        gn.lu_solve(gn.lu(np.ones((3, 3))), np.ones((2, 2)))
    with pytest.raises(gn.ExecutionError, match="Singular matrix"):
        value(lambda a: gn.lu_solve(gn.lu(a), np.ones(2)), np.ones((2, 2)))


def test_ranks_as_in_numpy():
    low = normal(2, 5, 2) @ normal(2, 2, 4, seed=1)
    for x in (
        low,
        normal(3, 3),
        np.zeros((2, 3)),
        np.ones((3, 3)),
        np.zeros((0, 3)),
        np.zeros((2, 0, 2)),
        np.diag([1, 1e-8]),
    ):
        found = value(gn.matrix_rank, x)
        assert found.dtype == np.int64
        assert found.tolist() == (np.linalg.matrix_rank(x).tolist() if x.size else [0] * len(x) if x.ndim == 3 else 0)
    x = np.stack([np.diag([1.0, 0.1])] * 2)
    assert value(lambda x: gn.matrix_rank(x, rtol=np.array([0.5, 0.01])), x).tolist() == [1, 2]
    named = gn.placeholder("named", ("m", "n"), "float32")
    assert int(gn.function([named], gn.matrix_rank(named))(np.ones((2, 5), "float32"))) == 1
    y = gn.placeholder("y", (2, 2), "float64")
    assert (
        gn.evaluate(gn.grad(gn.sum(y * gn.astype(gn.matrix_rank(y), "float64")), y), {y: np.eye(2)}).tolist()
        == [[2.0] * 2] * 2
    )


def test_matrix_norms_as_in_numpy():
    x = normal(2, 3, 4)
    for ord in ("fro", "nuc", 1, 2, np.inf, -1, -2, -np.inf):
        for keepdims in (False, True):
            found = value(lambda x, o=ord, k=keepdims: gn.matrix_norm(x, ord=o, keepdims=k), x)
            expected = np.linalg.norm(x, axis=(-2, -1), ord=ord, keepdims=keepdims)
            assert found.shape == expected.shape
            assert_close(found, expected, rtol=1e-13)
    assert_close(gradient(lambda x: gn.matrix_norm(x, ord=2), np.eye(2)), np.eye(2) / 2, atol=1e-15)


def test_what_does_not_fit_is_said_at_the_line():
    wide, vector = gn.placeholder("wide", ("n", 3)), gn.placeholder("vector", (3,))
    for build, text in (
        (lambda: gn.eigh(wide), "eigh takes square matrices: n rows != 3 columns"),
        (lambda: gn.eigvalsh(wide), "eigvalsh takes square matrices"),
        (lambda: gn.qr(vector), r"qr takes matrices, not \[3\]"),
        (lambda: gn.lu(vector), "lu takes matrices"),
        (lambda: gn.svd(vector), "svd takes matrices"),
        (lambda: gn.svdvals(vector), "svdvals takes matrices"),
        (lambda: gn.matrix_rank(vector), "matrix_rank takes matrices"),
    ):
        with pytest.raises(gn.ShapeError, match=text):
            build()
    with pytest.raises(gn.GraphError, match="mode is 'reduced' or 'complete', not 'r'"):
        gn.qr(wide, mode="r")
    whole = gn.placeholder("whole", (3, 3), "int64")
    for build in (gn.qr, gn.lu, gn.eigh, gn.eigvalsh, gn.svd, gn.svdvals, gn.matrix_rank):
        with pytest.raises(gn.DTypeError, match="floating-point"):
            build(whole)
