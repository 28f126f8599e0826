"""Derivatives of graphs with named sizes are those of the same graphs with numbers, bit for bit."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.graph import Graph
from graphnn.ir.verify import verify
from graphnn.testing import assert_same_bits

N, M = 4, 3
X = np.random.default_rng(0).normal(size=(N, M))
W = np.random.default_rng(1).normal(size=(M, M))
INDEX = np.array([2, 0, 2, 1])

# Functions of x: float64[n, m], w: float64[m, m] and i: int64[n].
PROGRAMS = {
    "matmul": lambda x, w, i: gn.tanh(x @ w),
    "gram": lambda x, w, i: x @ x.T,
    "mean": lambda x, w, i: gn.mean(x, axis=0) * gn.mean(x),
    "var": lambda x, w, i: gn.var(x, axis=1, keepdims=True) * x,
    "std with correction": lambda x, w, i: gn.std(x, axis=0, correction=1),
    "softmax": lambda x, w, i: gn.softmax(x) * gn.log_softmax(x, axis=0),
    "logsumexp": lambda x, w, i: gn.logsumexp(x, axis=(0, 1)),
    "norm": lambda x, w, i: gn.vector_norm(x, axis=1),
    "prod": lambda x, w, i: gn.prod(x, axis=0),
    "prod of all": lambda x, w, i: gn.prod(x),
    "max": lambda x, w, i: gn.max(x, axis=0) + gn.min(x),
    "flat": lambda x, w, i: gn.reshape(x, (-1,)) * 2.0,
    "flat and back": lambda x, w, i: gn.reshape(gn.sin(gn.reshape(x, (-1,))), x.shape),
    "flatten": lambda x, w, i: gn.flatten(x[:, None] * x[..., None], start=1),
    "transpose": lambda x, w, i: x.T * gn.sum(w, axis=1, keepdims=True),
    "slice": lambda x, w, i: x[1:] - x[:-1],
    "every second": lambda x, w, i: x[::2] * 3.0,
    "reversed": lambda x, w, i: x[::-1, ::-1] * x,
    "inner": lambda x, w, i: x[1:-1, 1:] ** 2,
    "concat": lambda x, w, i: gn.concat([x, w, gn.square(x)]) ** 2,
    "stack": lambda x, w, i: gn.stack([x, gn.sin(x)], axis=1),
    "pad": lambda x, w, i: gn.pad(x, [(1, 2), (0, 1)], value=2.0) ** 2,
    "tile": lambda x, w, i: gn.tile(x, (2, 3)) * 2.0,
    "repeat": lambda x, w, i: gn.repeat(x, 2, axis=0) ** 2,
    "broadcast": lambda x, w, i: gn.broadcast_to(gn.sum(w, axis=0, keepdims=True), x.shape) * x,
    "outer": lambda x, w, i: x[:, None, :] * x[None, :, :],
    "einsum": lambda x, w, i: gn.einsum("ni,ij,mj->nm", x, w, x),
    "diagonal": lambda x, w, i: gn.einsum("ii->i", w * 2.0),
    "rows by index": lambda x, w, i: w[i] * x,
    "one of each row": lambda x, w, i: gn.take_along_axis(x, i[:, None], axis=1),
    "set": lambda x, w, i: x.at[1:].set(x[:-1] * 2.0),
    "add": lambda x, w, i: w.at[i].add(x),
    "one_hot": lambda x, w, i: gn.one_hot(i, x.shape[1], dtype="float64") * x,
    "arange": lambda x, w, i: x * gn.arange(x.shape[0], dtype="float64")[:, None],
    "eye": lambda x, w, i: (x @ x.T) * gn.eye(x.shape[0], dtype="float64"),
    "size": lambda x, w, i: gn.sum(x) / gn.dim_size(x, 0, dtype="float64") * gn.dim_size(x, 1, dtype="float64"),
    "where": lambda x, w, i: gn.where((i > 0)[:, None], gn.log(abs(x)), 0),
    "composites": lambda x, w, i: gn.gelu(x) + gn.silu(x) * gn.softplus(x),
}  # fmt: skip


def leaves(n, m):
    return (
        gn.placeholder("x", (n, m), "float64"),
        gn.placeholder("w", (m, m), "float64"),
        gn.placeholder("i", (n,), "int64"),
    )


def derivatives(make, x, w, i):
    """The value, its gradients, a directional derivative, and a product with the Hessian."""
    y = make(x, w, i)
    loss = gn.sum(gn.sin(y))
    dx, dw = gn.grad(loss, [x, w], allow_unused=True)
    tangent = gn.jvp(y, [x, w], [x * 0.5, w], allow_unused=True)
    again = gn.grad(gn.sum(dx * dx) + gn.sum(dw), [x, w], allow_unused=True)
    return [y, dx, dw, tangent, *again]


@pytest.mark.parametrize("name", PROGRAMS)
def test_names_and_numbers_give_the_same_bits(name):
    named, known = leaves("n", "m"), leaves(N, M)
    outputs, expected = derivatives(PROGRAMS[name], *named), derivatives(PROGRAMS[name], *known)
    verify(Graph(outputs))
    sizes = {"n": N, "m": M}
    for a, b in zip(outputs, expected, strict=True):
        assert a.spec.substitute(sizes) == b.spec
    f, g = gn.function(list(named), outputs, on_unused="ignore"), gn.function(list(known), expected, on_unused="ignore")
    for a, b in zip(f(X, W, INDEX), g(X, W, INDEX), strict=True):
        # Only the products of others go another way where their number is not known.
        if name.startswith("prod"):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        else:
            assert_same_bits(a, b)
    # The same function for another size.
    other = f(X[:2], W, INDEX[:2])
    assert [array.shape for array in other] == [n.spec.substitute({"n": 2, "m": M}).shape for n in outputs]


# What has no value for no rows at all, or reads rows that are not there.
NOT_EMPTY = {"max", "softmax", "logsumexp", "set", "size"}


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in NOT_EMPTY])
def test_an_empty_batch_has_derivatives_too(name):
    named = leaves("n", "m")
    f = gn.function(list(named), derivatives(PROGRAMS[name], *named)[1:3], on_unused="ignore")
    dx, dw = f(X[:0], W, INDEX[:0])
    assert dx.shape == (0, M)
    assert dw.shape == (M, M)


def test_an_error_inside_a_composite_speaks_of_its_operands():
    x = gn.placeholder("x", ("n", 3))
    p = gn.log_softmax(x, axis=0)
    with pytest.raises(gn.ShapeError) as caught:
        gn.evaluate(p, {x: np.zeros((0, 3), "float32")})
    error = caught.value
    assert error.headline == "max of no elements: [0, 3] is empty along (0,)"
    assert [row.name for row in error.operands] == ["x"]
    assert error.at.endswith("p = gn.log_softmax(x, axis=0)")
