"""However an array lies in memory, the bits of the results are those of its contiguous copy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.testing import LAYOUTS, assert_same_bits, in_layout
from graphnn.testing.strategies import graphs

RNG = np.random.default_rng(0)
SHAPES = [(), (1,), (7,), (5, 3), (1, 4), (4, 1), (0, 3), (3, 0), (2, 3, 4), (33, 17)]
DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int8", "uint16", "bool"]


def sample(shape, dtype):
    values = RNG.normal(size=shape) * 3
    return np.asarray(values > 0 if dtype == "bool" else values).astype(gn.placeholder("t", (), dtype).dtype.numpy)


def program(shape, dtype):
    """Outputs in which order and stride would show: sums, products, views, sorting out by index."""
    x = gn.placeholder("x", shape, dtype)
    outputs = [x, gn.stop_gradient(x), x.reshape(-1), gn.concat([x.reshape(-1), x.reshape(-1)]), x == x]
    if x.dtype.is_numeric:
        outputs += [x + x, x * x, gn.sum(x), gn.prod(x), gn.where(x > 0, x, 0)]
    if x.dtype.is_floating:
        outputs += [gn.exp(x), gn.mean(x), gn.tanh(x) / 3, gn.logsumexp(x) if 0 not in shape else x]
        outputs += [gn.grad(gn.sum(gn.sin(x) * x), x)]
    if x.ndim == 2:
        outputs += [x.T, x[::-1, 1:]]
        if x.dtype.is_numeric:
            outputs += [x @ x.T, gn.sum(x, axis=0), gn.sum(x, axis=1)]
    return x, outputs


def same(outputs, f, array, contiguous):
    before = array.copy()
    for node, got, wanted in zip(outputs, f(array), f(contiguous), strict=True):
        assert got.dtype == node.dtype.numpy
        assert got.dtype.isnative
        assert_same_bits(got, wanted)
    assert_same_bits(np.ascontiguousarray(array), np.ascontiguousarray(before))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_layout_gives_the_same_bits(shape, dtype):
    x, outputs = program(shape, dtype)
    f = gn.function([x], outputs)
    array = sample(shape, dtype)
    for layout in LAYOUTS:
        laid = in_layout(array, layout)
        assert laid.shape == shape
        same(outputs, f, laid, np.array(laid, dtype=array.dtype, order="C"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_what_they_say(layout):
    laid = in_layout(np.arange(12.0).reshape(4, 3), layout)
    flags = laid.flags
    assert {
        "C order": flags.c_contiguous,
        "Fortran order": flags.f_contiguous and not flags.c_contiguous,
        "reversed strides": laid.strides[0] < 0,
        "every second element": not flags.c_contiguous and not flags.f_contiguous,
        "read-only": not flags.writeable,
        "big-endian": not laid.dtype.isnative,
        "stride 0": laid.strides[0] == 0,
        "unaligned": not flags.aligned,
    }[layout]


@given(graphs(), st.sampled_from(sorted(LAYOUTS)))
def test_random_graphs_in_every_layout(drawn, layout):
    outputs = [drawn.output, *gn.grad(drawn.output, list(drawn.feeds))]
    laid = {x: in_layout(array, layout) for x, array in drawn.feeds.items()}
    plain = {x: np.ascontiguousarray(array) for x, array in laid.items()}
    for a, b in zip(gn.evaluate(outputs, laid), gn.evaluate(outputs, plain), strict=True):
        assert_same_bits(a, b)


class Tagged(np.ndarray):
    """A subclass that would take over arithmetic if it came through."""

    def __array_finalize__(self, other):
        self.tag = getattr(other, "tag", None)

    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError("the subclass took part in the computation")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize(
    "make", [np.matrix, np.ma.masked_array, lambda a: a.view(Tagged), lambda a: a.view(np.recarray)]
)
def test_subclasses_are_taken_as_plain_arrays(make):
    x = gn.placeholder("x", (2, 3))
    f = gn.function([x], [x, x * x, gn.sum(x, axis=0), x[0], x.reshape(6)])
    plain = np.arange(6, dtype="float32").reshape(2, 3)
    special = make(plain.copy())
    for got, wanted in zip(f(special), f(plain), strict=True):
        assert type(got) is np.ndarray
        assert not np.shares_memory(got, special)
        assert_same_bits(got, wanted)
    w = gn.parameter("w", special)
    assert type(w.value) is np.ndarray
    assert type(gn.evaluate(gn.constant(special))) is np.ndarray


def test_a_file_in_memory(tmp_path):
    path = tmp_path / "x.npy"
    plain = np.arange(6, dtype="float32").reshape(2, 3)
    np.save(path, plain)
    mapped = np.load(path, mmap_mode="r")
    x = gn.placeholder("x", ("n", 3))
    got, total = gn.function([x], [x, gn.sum(x)])(mapped)
    assert type(got) is np.ndarray
    assert not np.shares_memory(got, mapped)
    assert total == 15.0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_and_constants_of_every_layout(layout):
    laid = in_layout(np.arange(6.0).reshape(2, 3), layout)
    plain = np.array(laid, dtype="float64", order="C")
    w, c = gn.parameter("w", laid), gn.constant(laid)
    assert_same_bits(w.value, plain)
    assert_same_bits(gn.evaluate(c), plain)
    assert w.cell.array.flags.c_contiguous
    assert w.cell.array.dtype.isnative
    w.value = in_layout(plain * 2, layout)
    assert_same_bits(w.value, np.array(in_layout(plain * 2, layout), dtype="float64", order="C"))
    x = gn.placeholder("x", (2, 3), "float64")
    assert_same_bits(gn.evaluate(x + laid, {x: plain}), plain + plain)
    assert_same_bits(gn.evaluate(laid * x, {x: plain}), plain * plain)


def test_arrays_of_big_endian_indices():
    x, i = gn.placeholder("x", (3,)), gn.placeholder("i", (2,), "int64")
    got = gn.evaluate(x[i], {x: np.array([1, 2, 3], ">f4"), i: np.array([2, 0], ">i8")})
    assert got.tolist() == [3.0, 1.0]
    assert gn.evaluate(x[np.array([2, 0], ">i4")], {x: [1.0, 2.0, 3.0]}).tolist() == [3.0, 1.0]
