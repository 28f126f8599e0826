"""Linear algebra of larger matrices: values by NumPy and SciPy, derivatives by complex steps, to 1e-10.

A complex step gives the derivative of an analytic function without the cancellation of a difference: it is
``imag(f(x + i h v)) / h`` for a tiny h. So each function stands here once more, in complex numbers.
"""

import numpy as np
import pytest
import scipy.linalg

import graphnn as gn
from graphnn.testing import assert_close

N, K, STEP = 24, 5, 1e-30


def turned(x):
    return np.swapaxes(x, -1, -2)


def complex_cholesky(a):
    """The factor L of ``L L' = a``, without the conjugation that LAPACK has."""
    a = (a + turned(a)) / 2
    factor = np.zeros_like(a)
    for j in range(a.shape[-1]):
        rest = a[..., j:, j] - np.einsum("...ik,...k->...i", factor[..., j:, :j], factor[..., j, :j])
        factor[..., j:, j] = rest / np.sqrt(rest[..., :1])
    return factor


def complex_pinv(a):
    if a.shape[-2] >= a.shape[-1]:
        return np.linalg.solve(turned(a) @ a, turned(a))
    return turned(np.linalg.solve(a @ turned(a), a))


def triangle(part, **options):
    return lambda a, b: scipy.linalg.solve_triangular(part(a), b, **options)


def regular(generator, *shape):
    return generator.standard_normal(shape) + 8.0 * np.eye(*shape[-2:])


def positive(generator, *shape):
    u = generator.standard_normal(shape)
    return u @ turned(u) / shape[-1] + np.eye(shape[-1])


def plain(generator, *shape):
    return generator.standard_normal(shape)


SQUARE, RIGHT = (N, N), (N, K)

# The function, the same in complex numbers, how to make the operands and in which shapes, and the value by a library.
ORACLES = {
    "solve": (gn.solve, np.linalg.solve, [(regular, SQUARE), (plain, RIGHT)], scipy.linalg.solve),
    "solve, batches": (
        gn.solve, np.linalg.solve, [(regular, (3, 1, 8, 8)), (plain, (2, 8, K))], np.linalg.solve,
    ),
    "triangular_solve": (
        gn.triangular_solve, triangle(np.tril, lower=True), [(regular, SQUARE), (plain, RIGHT)],
        lambda a, b: np.linalg.solve(np.tril(a), b),
    ),
    "triangular_solve, upper, transposed": (
        lambda a, b: gn.triangular_solve(a, b, lower=False, transposed=True), triangle(np.triu, trans="T"),
        [(regular, SQUARE), (plain, RIGHT)], lambda a, b: np.linalg.solve(np.triu(a).T, b),
    ),
    "inv": (gn.inv, np.linalg.inv, [(regular, SQUARE)], scipy.linalg.inv),
    "det": (gn.det, np.linalg.det, [(regular, (3, 6, 6))], scipy.linalg.det),
    "logabsdet": (
        lambda x: gn.slogdet(x).logabsdet, lambda x: np.log(np.linalg.det(x)), [(regular, SQUARE)],
        lambda x: np.linalg.slogdet(x)[1],
    ),
    "cholesky": (
        gn.cholesky, complex_cholesky, [(positive, (2, N, N))], np.linalg.cholesky,
    ),
    "pinv, tall": (gn.pinv, complex_pinv, [(regular, (N, K))], scipy.linalg.pinv),
    "pinv, wide": (gn.pinv, complex_pinv, [(regular, (K, N))], scipy.linalg.pinv),
    "lstsq": (
        gn.lstsq, lambda a, b: complex_pinv(a) @ b, [(regular, RIGHT), (plain, (N, 2))],
        lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
    ),
    "matrix_power": (
        lambda x: gn.matrix_power(x, 5), lambda x: x @ x @ x @ x @ x, [(plain, (6, 6))],
        lambda x: np.linalg.matrix_power(x, 5),
    ),
    "kron": (gn.kron, np.kron, [(plain, (3, 4)), (plain, (4, 2))], np.kron),
    "cross": (gn.cross, np.cross, [(plain, (7, 3)), (plain, (3,))], np.cross),
}  # fmt: skip


@pytest.mark.parametrize("name", ORACLES)
def test_value_and_derivatives(name):
    build, analytic, makers, library = ORACLES[name]
    generator = np.random.default_rng(7)
    arrays = [make(generator, *shape) for make, shape in makers]
    nodes = [gn.placeholder(f"x{i}", array.shape, "float64") for i, array in enumerate(arrays)]
    directions = [generator.standard_normal(array.shape) for array in arrays]
    y = build(*nodes)
    weights = generator.standard_normal(y.shape)
    value, pushed, pulled = gn.evaluate(
        [y, gn.jvp(y, nodes, directions), gn.vjp(y, nodes, weights)], dict(zip(nodes, arrays, strict=True))
    )
    expected = library(*arrays)
    assert_close(value, np.asarray(expected), rtol=1e-10, atol=1e-10 * np.abs(expected).max())

    def step(moves):
        moved = [array + 1j * STEP * move for array, move in zip(arrays, moves, strict=True)]
        return np.imag(analytic(*moved)) / STEP

    expected = step(directions)
    assert_close(pushed, np.asarray(expected), rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    # The reverse mode: the cotangents by one operand after the other, in a random direction of each.
    for i, (gradient, direction) in enumerate(zip(pulled, directions, strict=True)):
        alone = step([move if j == i else np.zeros_like(move) for j, move in enumerate(directions)])
        right, left = np.sum(weights * alone), np.sum(gradient * direction)
        scale = np.sum(np.abs(gradient * direction)) + np.sum(np.abs(weights * alone))
        assert abs(left - right) <= 1e-10 * scale
