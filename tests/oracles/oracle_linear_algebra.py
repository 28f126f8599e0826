"""The table of oracles for linear algebra: every function, by SciPy (values), PyTorch and JAX (values and gradients).

Signs that a library leaves open are made equal: the columns of Q by the diagonal of R, vectors by the sum of their elements.
"""

import numpy as np
import scipy.linalg
from oracle_row import Late, Row, gap, jnp, plain, positive, regular, small, symmetric_gap, torch

import graphnn as gn

jsl = Late("jax.scipy.linalg")

N, M, K = 10, 6, 4
SQUARE, TALL, WIDE, RIGHT = (N, N), (N, M), (M, N), (N, K)


def mt(x):
    return np.swapaxes(x, -1, -2)


def signed(xp, x, axis):
    return x * xp.sign(xp.sum(x, axis, keepdims=True))


def signed_pair(xp, u, s, vh):
    signs = xp.sign(u.sum(-2))
    return u * signs[..., None, :], s, vh * signs[..., :, None]


def our_pair(u, s, vh):
    signs = gn.sign(gn.sum(u, axis=-2))
    return u * gn.expand_dims(signs, axis=-2), s, vh * gn.expand_dims(signs, axis=-1)


def positive_diagonal(xp, q, r):
    signs = xp.sign(xp.diagonal(r, 0, -2, -1))
    return q * signs[..., None, :], r * signs[..., :, None]


def torch_eigh(x):
    w, v = torch.linalg.eigh((x + x.mT) / 2)
    return w, v * torch.sign(v.sum(-2, keepdim=True))


def jax_lu(x):
    # jax.scipy.linalg.lu gives the matrix of the permutation, which has no derivative.
    p, lower, upper = jsl.lu(x)
    return jnp.argmax(p, axis=-2), lower, upper


def torch_lu(x):
    p, lower, upper = torch.linalg.lu(x)
    return p.argmax(-2), lower, upper


def scipy_lu(x):
    p, lower, upper = scipy.linalg.lu(x)
    return p.argmax(-2), lower, upper


def triangular(name, lower, transposed=False, unit=False):
    def solve_by_torch(a, b):
        side = a.mT if transposed else a
        return torch.linalg.solve_triangular(side, b, upper=lower == transposed, unitriangular=unit)

    return Row(
        f"triangular_solve, {name}",
        lambda a, b: gn.triangular_solve(a, b, lower=lower, transposed=transposed, unit_diagonal=unit),
        [(regular, SQUARE), (plain, RIGHT)],
        scipy=lambda a, b: scipy.linalg.solve_triangular(a, b, lower=lower, trans=int(transposed), unit_diagonal=unit),
        torch=solve_by_torch,
        jax=lambda a, b: jsl.solve_triangular(a, b, lower=lower, trans=int(transposed), unit_diagonal=unit),
    )


def norm(ord, shape=(3, 5, 4)):
    axes = (-2, -1)
    return Row(
        f"matrix_norm, {ord}, {len(shape)} axes",
        lambda x: gn.matrix_norm(x, ord=ord),
        [(plain, shape)],
        scipy=lambda x: np.linalg.norm(x, ord=ord, axis=axes),
        torch=lambda x: torch.linalg.matrix_norm(x, ord=ord),
        jax=lambda x: jnp.linalg.norm(x, ord=ord, axis=axes),
    )


def vector_norm(ord):
    return Row(
        f"vector_norm, {ord}",
        lambda x: gn.vector_norm(x, ord=ord, axis=-1),
        [(plain, (5, 7))],
        scipy=lambda x: np.linalg.norm(x, ord=ord, axis=-1),
        torch=lambda x: torch.linalg.vector_norm(x, ord=ord, dim=-1),
        jax=lambda x: jnp.linalg.norm(x, ord=ord, axis=-1),
    )


def qr_row(name, shape, jax=True):
    return Row(
        f"qr, {name}",
        gn.qr,
        [(regular, shape)],
        scipy=lambda x: positive_diagonal(np, *np.linalg.qr(x)),
        torch=lambda x: positive_diagonal(torch, *torch.linalg.qr(x)),
        jax=(lambda x: positive_diagonal(jnp, *jnp.linalg.qr(x))) if jax else None,
    )


def svd_row(name, shape):
    return Row(
        f"svd, {name}",
        lambda x: our_pair(*gn.svd(x, full_matrices=False)),
        [(gap, shape)],
        scipy=lambda x: signed_pair(np, *np.linalg.svd(x, full_matrices=False)),
        torch=lambda x: signed_pair(torch, *torch.linalg.svd(x, full_matrices=False)),
        jax=lambda x: signed_pair(jnp, *jnp.linalg.svd(x, full_matrices=False)),
    )


def lu_row(name, shape):
    single = len(shape) == 2  # SciPy's gives stacks only in newer versions, JAX's does not
    return Row(
        f"lu, {name}",
        gn.lu,
        [(plain, shape)],
        scipy=scipy_lu if single else None,
        torch=torch_lu,
        jax=jax_lu if single else None,
    )


def pinv_row(name, shape):
    return Row(
        f"pinv, {name}",
        gn.pinv,
        [(regular, shape)],
        scipy=lambda x: np.linalg.pinv(x) if x.ndim > 2 else scipy.linalg.pinv(x),
        torch=lambda x: torch.linalg.pinv(x),
        jax=lambda x: jnp.linalg.pinv(x),
    )


def power(n):
    return Row(
        f"matrix_power, {n}",
        lambda x: gn.matrix_power(x, n),
        [(lambda g, s: small(g, s) + np.eye(s[-1]), (2, 5, 5))],
        scipy=lambda x: np.linalg.matrix_power(x, n),
        torch=lambda x: torch.linalg.matrix_power(x, n),
        jax=lambda x: jnp.linalg.matrix_power(x, n),
    )


ROWS = [
    Row(
        "solve",
        gn.solve,
        [(regular, SQUARE), (plain, RIGHT)],
        scipy=lambda a, b: scipy.linalg.solve(a, b),
        torch=lambda a, b: torch.linalg.solve(a, b),
        jax=lambda a, b: jnp.linalg.solve(a, b),
    ),
    Row(
        "solve, vector",
        gn.solve,
        [(regular, SQUARE), (plain, (N,))],
        scipy=lambda a, b: scipy.linalg.solve(a, b),
        torch=lambda a, b: torch.linalg.solve(a, b),
        jax=lambda a, b: jnp.linalg.solve(a, b),
    ),
    Row(
        "solve, batches",
        gn.solve,
        [(regular, (3, 1, M, M)), (plain, (2, M, K))],
        scipy=lambda a, b: np.linalg.solve(a, b),
        torch=lambda a, b: torch.linalg.solve(a, b),
        jax=lambda a, b: jnp.linalg.solve(a, b),
    ),
    triangular("lower", True),
    triangular("upper", False),
    triangular("lower, transposed", True, transposed=True),
    triangular("upper, transposed", False, transposed=True),
    triangular("lower, unit", True, unit=True),
    Row(
        "inv",
        gn.inv,
        [(regular, (2, N, N))],
        scipy=lambda x: np.linalg.inv(x),
        torch=lambda x: torch.linalg.inv(x),
        jax=lambda x: jnp.linalg.inv(x),
    ),
    pinv_row("tall", TALL),
    pinv_row("wide", WIDE),
    pinv_row("batches", (2, 5, 3)),
    Row(
        "lstsq, tall",
        gn.lstsq,
        [(regular, TALL), (plain, RIGHT)],
        scipy=lambda a, b: scipy.linalg.lstsq(a, b)[0],
        torch=lambda a, b: torch.linalg.lstsq(a, b).solution,
        jax=lambda a, b: jnp.linalg.lstsq(a, b)[0],
    ),
    Row(
        "lstsq, wide",
        gn.lstsq,
        [(regular, WIDE), (plain, (M, K))],
        scipy=lambda a, b: scipy.linalg.lstsq(a, b)[0],
        torch=lambda a, b: torch.linalg.lstsq(a, b).solution,
        jax=lambda a, b: jnp.linalg.lstsq(a, b)[0],
    ),
    Row(
        "cholesky",
        gn.cholesky,
        [(positive, (2, N, N))],
        scipy=lambda x: np.linalg.cholesky(x),
        torch=lambda x: torch.linalg.cholesky((x + x.mT) / 2),
        jax=lambda x: jnp.linalg.cholesky(x),
    ),
    Row(
        "cholesky, upper",
        lambda x: gn.cholesky(x, upper=True),
        [(positive, SQUARE)],
        scipy=lambda x: scipy.linalg.cholesky(x),
        torch=lambda x: torch.linalg.cholesky((x + x.mT) / 2, upper=True),
        jax=lambda x: jnp.linalg.cholesky(x, upper=True),
    ),
    Row(
        "det",
        gn.det,
        [(plain, (3, M, M))],
        scipy=lambda x: np.linalg.det(x),
        torch=lambda x: torch.linalg.det(x),
        jax=lambda x: jnp.linalg.det(x),
    ),
    Row(
        "det, singular",
        lambda x: 1.0 + gn.det(x),
        [(lambda g, s: plain(g, (s[0], s[1] - 1)) @ plain(g, (s[0] - 1, s[1])), (4, 4))],
        torch=lambda x: 1.0 + torch.linalg.det(x),
        jax=lambda x: 1.0 + jnp.linalg.det(x),
    ),
    Row(
        "slogdet",
        gn.slogdet,
        [(plain, (3, N, N))],
        scipy=lambda x: tuple(np.linalg.slogdet(x)),
        torch=lambda x: tuple(torch.linalg.slogdet(x)),
        jax=lambda x: tuple(jnp.linalg.slogdet(x)),
    ),
    qr_row("square", SQUARE),
    qr_row("tall", TALL),
    qr_row("wide", WIDE, jax=False),  # JAX has no derivative there
    qr_row("batches", (2, 3, 5, 3)),
    Row(
        "qr, complete, R",
        lambda x: gn.qr(x, mode="complete").R,
        [(regular, TALL)],
        scipy=lambda x: np.concatenate([positive_diagonal(np, *np.linalg.qr(x))[1], np.zeros((N - M, M))]),
        torch=lambda x: torch.cat([positive_diagonal(torch, *torch.linalg.qr(x))[1], x.new_zeros((N - M, M))]),
        jax=lambda x: jnp.concatenate([positive_diagonal(jnp, *jnp.linalg.qr(x))[1], jnp.zeros((N - M, M))]),
    ),
    Row(
        "eigh",
        lambda x: (gn.eigh(x)[0], gn.eigh(x)[1] * gn.sign(gn.sum(gn.eigh(x)[1], axis=-2, keepdims=True))),
        [(symmetric_gap, (2, N, N))],
        scipy=lambda x: (lambda w, v: (w, signed(np, v, -2)))(*np.linalg.eigh((x + mt(x)) / 2)),
        torch=torch_eigh,
        jax=lambda x: (lambda w, v: (w, signed(jnp, v, -2)))(*jnp.linalg.eigh(x)),
    ),
    Row(
        "eigvalsh",
        gn.eigvalsh,
        [(symmetric_gap, (2, N, N))],
        scipy=lambda x: np.linalg.eigvalsh((x + mt(x)) / 2),
        torch=lambda x: torch.linalg.eigvalsh((x + x.mT) / 2),
        jax=lambda x: jnp.linalg.eigvalsh(x),
    ),
    svd_row("square", SQUARE),
    svd_row("tall", TALL),
    svd_row("wide", WIDE),
    svd_row("batches", (2, 3, 5, 3)),
    Row(
        "svdvals",
        gn.svdvals,
        [(plain, (2, 5, 4))],
        scipy=lambda x: np.linalg.svd(x, compute_uv=False),
        torch=lambda x: torch.linalg.svdvals(x),
        jax=lambda x: jnp.linalg.svdvals(x),
    ),
    lu_row("square", SQUARE),
    lu_row("tall", TALL),
    lu_row("wide", WIDE),
    lu_row("batches", (2, 3, 5, 4)),
    Row(
        "lu_solve",
        lambda a, b: gn.lu_solve(gn.lu(a), b),
        [(plain, SQUARE), (plain, RIGHT)],
        scipy=lambda a, b: scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), b),
        torch=lambda a, b: torch.linalg.lu_solve(*torch.linalg.lu_factor(a), b),
        jax=lambda a, b: jsl.lu_solve(jsl.lu_factor(a), b),
    ),
    power(2),
    power(5),
    power(-3),
    *(norm(ord) for ord in ("fro", "nuc", 1, 2, np.inf, -1, -2, -np.inf)),
    *(vector_norm(ord) for ord in (1, 2, 3, np.inf)),
    Row(
        "matrix_rank",
        gn.matrix_rank,
        [(lambda g, s: plain(g, (*s[:-1], 2)) @ plain(g, (*s[:-2], 2, s[-1])), (3, 5, 4))],
        scipy=lambda x: np.linalg.matrix_rank(x),
        torch=lambda x: torch.linalg.matrix_rank(x),
        jax=lambda x: jnp.linalg.matrix_rank(x),
    ),
    Row(
        "matrix_trace",
        lambda x: gn.matrix_trace(x, offset=1),
        [(plain, (2, 4, 5))],
        scipy=lambda x: np.trace(x, 1, -2, -1),
        torch=lambda x: torch.diagonal(x, 1, -2, -1).sum(-1),
        jax=lambda x: jnp.trace(x, 1, -2, -1),
    ),
    Row(
        "kron",
        gn.kron,
        [(plain, (3, 4)), (plain, (4, 2))],
        scipy=lambda a, b: np.kron(a, b),
        torch=lambda a, b: torch.kron(a, b),
        jax=lambda a, b: jnp.kron(a, b),
    ),
    Row(
        "cross",
        gn.cross,
        [(plain, (7, 3)), (plain, (3,))],
        scipy=lambda a, b: np.cross(a, b),
        torch=lambda a, b: torch.linalg.cross(a, b.expand(a.shape)),
        jax=lambda a, b: jnp.cross(a, b),
    ),
    Row(
        "outer",
        gn.outer,
        [(plain, (4,)), (plain, (5,))],
        scipy=lambda a, b: np.outer(a, b),
        torch=lambda a, b: torch.outer(a, b),
        jax=lambda a, b: jnp.outer(a, b),
    ),
    Row(
        "matmul",
        gn.matmul,
        [(plain, (2, 1, 3, 4)), (plain, (5, 4, 2))],
        scipy=lambda a, b: a @ b,
        torch=lambda a, b: a @ b,
        jax=lambda a, b: a @ b,
    ),
    Row(
        "vecdot",
        gn.vecdot,
        [(plain, (3, 4)), (plain, (4,))],
        scipy=lambda a, b: np.sum(a * b, -1),
        torch=lambda a, b: torch.linalg.vecdot(a, b),
        jax=lambda a, b: jnp.vecdot(a, b),
    ),
    Row(
        "tensordot",
        lambda a, b: gn.tensordot(a, b, axes=2),
        [(plain, (2, 3, 4)), (plain, (3, 4, 5))],
        scipy=lambda a, b: np.tensordot(a, b, axes=2),
        torch=lambda a, b: torch.tensordot(a, b, dims=2),
        jax=lambda a, b: jnp.tensordot(a, b, axes=2),
    ),
    Row(
        "einsum",
        lambda a, b, c: gn.einsum("bij,bjk,ki->bi", a, b, c),
        [(plain, (2, 3, 4)), (plain, (2, 4, 5)), (plain, (5, 3))],
        scipy=lambda a, b, c: np.einsum("bij,bjk,ki->bi", a, b, c),
        torch=lambda a, b, c: torch.einsum("bij,bjk,ki->bi", a, b, c),
        jax=lambda a, b, c: jnp.einsum("bij,bjk,ki->bi", a, b, c),
    ),
    Row(
        "diagonal",
        lambda x: gn.diagonal(x),
        [(plain, (2, 4, 4))],
        scipy=lambda x: np.diagonal(x, 0, -2, -1),
        torch=lambda x: torch.diagonal(x, 0, -2, -1),
        jax=lambda x: jnp.diagonal(x, 0, -2, -1),
    ),
]
