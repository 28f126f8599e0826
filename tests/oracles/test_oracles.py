"""Values and gradients agree with SciPy, PyTorch and JAX to 1e-10 in float64: the tables of oracles.

SciPy's rows (values only) are part of every run. Those of PyTorch and JAX, with their own derivatives, carry the marker
``oracles``, so they run with ``make oracles``; there, what is not installed is skipped.
"""

import functools

import numpy as np
import oracle_linear_algebra
import oracle_networks
import pytest

import graphnn as gn

ROWS = [*oracle_linear_algebra.ROWS, *oracle_networks.ROWS]
TOLERANCE = 1e-10
"""Of the largest element of each result and each gradient."""


def rows_of(oracle):
    found = [row for row in ROWS if getattr(row, oracle) is not None]
    return pytest.mark.parametrize("row", found, ids=[row.name for row in found])


def as_tuple(given):
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def weights_of(values):
    """Fixed numbers for each result: the gradients compared are those of the sum of the products with them."""
    generator = np.random.default_rng(1)
    return [generator.standard_normal(tuple(value.shape)) for value in values]


@functools.cache
def ours(row):
    """Our results, and the gradients by all operands that are floats; none where no result has any."""
    arrays = row.arrays()
    nodes = [gn.placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
    outs = as_tuple(row.build(*nodes))
    terms = [gn.sum(y * w) for y, w in zip(outs, weights_of(outs), strict=True) if y.dtype.is_floating]
    gradients = gn.grad(sum(terms), [node for node in nodes if node.dtype.is_floating]) if terms else []
    return gn.evaluate([list(outs), gradients], dict(zip(nodes, arrays, strict=True)))


def compare(found, expected, what):
    expected = np.asarray(expected)
    assert found.shape == expected.shape, what
    if found.dtype.kind != "f":
        assert np.array_equal(found, expected), what
        return
    error = np.max(np.abs(found - expected), initial=0.0)
    assert error <= TOLERANCE * max(np.max(np.abs(expected), initial=0.0), 1e-300), f"{what}: {error:.1e}"


def compare_all(row, values, gradients=None):
    own_values, own_gradients = ours(row)
    for i, (found, expected) in enumerate(zip(own_values, values, strict=True)):
        compare(found, expected, f"result {i}")
    if gradients:
        for i, (found, expected) in enumerate(zip(own_gradients, gradients, strict=True)):
            compare(found, expected, f"gradient by float operand {i}")


def test_every_row_has_an_oracle_with_derivatives():
    assert len({row.name for row in ROWS}) == len(ROWS) >= 70
    assert [row.name for row in ROWS if row.torch is None and row.jax is None] == []


def test_every_function_of_linear_algebra_has_a_row():
    functions = gn.ops.linalg, gn.ops.decompositions, gn.ops.spectral, gn.functions.linear_algebra
    public = {
        name
        for module in functions
        for name, value in vars(module).items()
        if callable(value) and getattr(gn, name, None) is value and getattr(value, "__module__", "") == module.__name__
    }
    missing = public - {row.name.partition(",")[0] for row in ROWS}
    assert len(public) >= 22
    assert missing == set()


@rows_of("scipy")
def test_scipy(row):
    compare_all(row, as_tuple(row.scipy(*row.arrays())))


@pytest.mark.oracles
@rows_of("torch")
def test_torch(row):
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in row.arrays()]
    values = as_tuple(row.torch(*tensors))
    terms = [(y * torch.tensor(w)).sum() for y, w in zip(values, weights_of(values), strict=True) if y.requires_grad]
    floats = [x for x in tensors if x.requires_grad]
    gradients = torch.autograd.grad(sum(terms), floats) if terms else []
    compare_all(row, [y.detach().numpy() for y in values], [g.numpy() for g in gradients])


@pytest.mark.oracles
@rows_of("jax")
def test_jax(row):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    arrays = [jax.numpy.asarray(array) for array in row.arrays()]
    floats = tuple(i for i, array in enumerate(arrays) if array.dtype.kind == "f")

    def total(*arrays):
        outs = as_tuple(row.jax(*arrays))
        terms = [(y * w).sum() for y, w in zip(outs, weights_of(outs), strict=True) if y.dtype.kind == "f"]
        return sum(terms, jax.numpy.zeros(())), outs

    gradients, values = jax.grad(total, floats, has_aux=True)(*arrays)
    compare_all(row, values, gradients if any(y.dtype.kind == "f" for y in values) else [])
