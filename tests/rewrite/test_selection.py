"""What is chosen from a computed array: the same elements and the same errors, but nothing else is computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.ops.indexing import Gather
from graphnn.testing.compare import same_bits

SIZES = (6, 1, 5, 8)


@given(data=st.data())
def test_gathers_of_broadcast_operands(data):
    ndim = data.draw(st.integers(1, 4))
    shape = SIZES[-ndim:]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))

    def operand(name):
        count = data.draw(st.integers(0, ndim))
        own = tuple(n if data.draw(st.booleans()) else 1 for n in shape[ndim - count :])
        return gn.placeholder(name, own, "float64")

    inputs = [operand("x"), operand("y"), operand("z")]
    computed = gn.where(inputs[0] > 0, inputs[0] + inputs[1], inputs[2] * 2.0)
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, computed.ndim - 1), min_size=1)))) if computed.ndim else ()
    if not axes:
        return
    fronts = [(2, 1), (1, 2), (2,), (1,), ()]
    indices = [gn.constant(rng.integers(0, computed.shape[axis], data.draw(st.sampled_from(fronts)))) for axis in axes]
    node = Gather(axes)(computed, *indices)
    arrays = [rng.standard_normal(x.shape) for x in inputs]
    wanted = gn.evaluate(node, dict(zip(inputs, arrays, strict=True)))
    for backend in ("numpy", "native"):
        found = gn.function(inputs, node, backend=backend)(*arrays)
        assert found.shape == wanted.shape
        assert same_bits(found, wanted)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("i, j, axis", [(9, 0, 0), (0, 12, 1), (0, -1, 1)])
def test_every_index_is_still_checked(backend, i, j, axis):
    x, y = gn.placeholder("x", (9, 1)), gn.placeholder("y", (12,))
    rows, columns = gn.placeholder("rows", (1,), "int64"), gn.placeholder("columns", (1,), "int64")
    f = gn.function([x, y, rows, columns], Gather((0, 1))(x * y, rows, columns), backend=backend)
    arrays = np.ones((9, 1), "float32"), np.ones(12, "float32")
    if j == -1:  # as it is without the rule
        g = gn.function([x, y, rows, columns], Gather((0, 1))(x * y, rows, columns), backend=backend, passes=[])
        assert f(*arrays, np.array([i]), np.array([j])) == g(*arrays, np.array([i]), np.array([j]))
        return
    with pytest.raises(gn.errors.ExecutionError, match=f"axis 0 with size {(9, 12)[axis]}"):
        f(*arrays, np.array([i]), np.array([j]))


def test_an_axis_that_all_operands_repeat_stays_checked():
    x = gn.placeholder("x", (3,))
    i = gn.placeholder("i", (1,), "int64")
    wide = gn.broadcast_to(x, (5, 3))
    f = gn.function([x, i], Gather((0,))(wide + x, i), passes=gn.rewrite.PASSES)
    with pytest.raises(gn.errors.ExecutionError, match="out of bounds"):
        f(np.ones(3, "float32"), np.array([5]))


def test_the_logarithms_of_all_classes_are_not_kept_for_the_loss():
    x, labels = gn.placeholder("x", ("batch", 100)), gn.placeholder("labels", ("batch",), "int64")
    f = gn.function([x, labels], gn.losses.cross_entropy(x, labels))
    f(np.zeros((4, 100), "float32"), np.zeros(4, "int64"))
    assert "gather_of_computed" in {step.rule for step in f.rewrites}


def test_many_elements_are_computed_before_they_are_chosen():
    x, i = gn.placeholder("x", (10,)), gn.placeholder("i", (5,), "int64")
    f = gn.function([x, i], gn.exp(x)[i])
    f(np.zeros(10, "float32"), np.zeros(5, "int64"))
    assert "gather_of_computed" not in {step.rule for step in f.rewrites}
