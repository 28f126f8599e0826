"""Loop nests in stages: what is counted instead of read, what is kept in the array of a result, loops of several widths."""

import numpy as np
import pytest

import graphnn as gn

RNG = np.random.default_rng(0)


def on_native(outputs, inputs, *arrays):
    f = gn.function(inputs, outputs, backend="native")
    results = f(*arrays)
    again = f(*arrays)
    for a, b in zip(results, again, strict=True):
        np.testing.assert_array_equal(a, b)
    return results, f


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
@pytest.mark.parametrize("size", [1, 5, 64, 300])
def test_places_are_counted(dtype, size):
    x = gn.placeholder("x", (3, size), "float32")
    numbers = gn.astype(gn.arange(size), dtype)
    outputs = [
        gn.astype(numbers, "float64") + x,
        gn.where(numbers[::-1] > gn.astype(gn.constant(7), dtype), x, -x),
        gn.sum(gn.where(gn.reshape(gn.arange(3 * size), (3, size)) % 2 == 0, x, 0.0), axis=1),
        gn.astype(gn.broadcast_to(numbers[:, None], (size, 3)), "float32") * gn.permute_dims(x, (1, 0)),
    ]
    array = RNG.standard_normal((3, size)).astype("float32")
    found, _ = on_native(outputs, [x], array)
    wanted = gn.function([x], outputs, backend="numpy")(array)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_counted_places_are_not_read():
    labels = gn.placeholder("labels", (40,), "int64")
    f = gn.function([labels], gn.astype(labels[:, None] == gn.arange(1000), "float32"), backend="native")
    f(np.zeros(40, "int64"))
    assert "160 kB" in f.explain()  # what is written, and the labels


# Rows on both sides of what is kept aside on the stack, in the array of a result, and of neither; tails of every kind.
@pytest.mark.parametrize("classes", [3, 16, 1000, 4096, 4097, 5000, 32_000, 131_072, 131_099])
def test_a_softmax_of_rows_of_any_length(classes):
    x = gn.placeholder("x", (2, classes), "float32")
    labels = gn.placeholder("labels", (2,), "int64")
    loss = gn.losses.cross_entropy(x, labels)
    array = (3 * RNG.standard_normal((2, classes))).astype("float32")
    array[1, -1] = 30
    chosen = np.array([classes - 1, 0])
    found, _ = on_native([loss, gn.grad(loss, x)], [x, labels], array, chosen)
    exact = array.astype("float64")
    powers = np.exp(exact - exact.max(1, keepdims=True))
    shares = powers / powers.sum(1, keepdims=True)
    gradient = shares.copy()
    gradient[[0, 1], chosen] -= 1
    np.testing.assert_allclose(found[0], -np.log(shares[[0, 1], chosen]).mean(), rtol=1e-5)
    np.testing.assert_allclose(found[1], gradient / 2, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1])
def test_one_result_holds_what_another_stage_needs(axis):
    # Two dear values, one result that can hold one of them; and one result that an earlier stage writes.
    x = gn.placeholder("x", (2, 9000) if axis else (9000, 21), "float32")
    e = gn.exp(x - gn.max(x, axis=axis, keepdims=True))
    t = gn.tanh(x)
    early = t * 0.5
    late = e / gn.sum(e, axis=axis, keepdims=True) + t / gn.sum(t * t, axis=axis, keepdims=True)
    array = RNG.standard_normal(x.shape).astype("float32")
    found, _ = on_native([early, late], [x], array)
    wide = array.astype("float64")
    e, t = np.exp(wide - wide.max(axis, keepdims=True)), np.tanh(wide)
    late = e / e.sum(axis, keepdims=True) + t / (t * t).sum(axis, keepdims=True)
    np.testing.assert_allclose(found[0], t * 0.5, rtol=1e-6)
    np.testing.assert_allclose(found[1], late, rtol=2e-5, atol=1e-7)


def test_a_variable_that_is_updated_keeps_its_value_until_it_has_been_read():
    start = RNG.standard_normal((3, 9000)).astype("float32")
    w = gn.parameter("w", start)
    e = gn.exp(w - gn.max(w, axis=1, keepdims=True))
    f = gn.function([], gn.sum(e), updates={w: w - e / gn.sum(e, axis=1, keepdims=True)}, backend="native")
    wide = start.astype("float64")
    for _ in range(2):
        e = np.exp(wide - wide.max(1, keepdims=True))
        np.testing.assert_allclose(f(), e.sum(), rtol=1e-5)
        wide = wide - e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(w.value, wide, rtol=1e-5, atol=1e-6)
