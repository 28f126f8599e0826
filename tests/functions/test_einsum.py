"""einsum of any number of operands against NumPy's, values and derivatives, for subscripts that hypothesis makes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.testing import check_gradients

SIZES = {"a": 2, "b": 3, "c": 1, "d": 2}


@st.composite
def subscripts(draw):
    term = st.lists(st.sampled_from("abcd"), max_size=3, unique=True).map("".join)
    terms = draw(st.lists(term, min_size=1, max_size=4))
    letters = sorted(set("".join(terms)))
    kept = draw(st.permutations(letters))[: draw(st.integers(0, len(letters)))]
    return terms, "".join(kept)


def built(terms, result):
    nodes = [gn.placeholder(f"x{i}", [SIZES[c] for c in term], "float64") for i, term in enumerate(terms)]
    generator = np.random.default_rng(0)
    arrays = [generator.uniform(0.5, 1.5, [SIZES[c] for c in term]) for term in terms]
    text = f"{','.join(terms)}->{result}"
    return gn.einsum(text, *nodes), text, nodes, arrays


@given(subscripts())
def test_values_are_those_of_numpy(drawn):
    out, text, nodes, arrays = built(*drawn)
    found = gn.evaluate(out, dict(zip(nodes, arrays, strict=True)))
    np.testing.assert_allclose(found, np.einsum(text, *arrays), rtol=1e-12)


@given(subscripts())
def test_derivatives_hold(drawn):
    out, _, nodes, arrays = built(*drawn)
    check_gradients(gn.sum(out * out), dict(zip(nodes, arrays, strict=True)), order=2)


@pytest.mark.parametrize(
    "text",
    [
        "i,i,i->i",
        "i,i,i,i->i",
        "i,,->i",
        ",,->",
        "i,j,k->ijk",
        "i,j,k->kji",
        "ij,ij,ij->ij",
        "ij,jk,ki->ij",
        "bi,bj,bk->bijk",
    ],
)
def test_many_operands(text):
    size = {"i": 2, "j": 3, "k": 4, "b": 2}
    arrays = [np.random.default_rng(1).normal(size=[size[c] for c in term]) for term in text.split("->")[0].split(",")]
    np.testing.assert_allclose(gn.evaluate(gn.einsum(text, *arrays)), np.einsum(text, *arrays), rtol=1e-12)


def test_named_sizes_do_not_change_the_result():
    x, y, z = gn.placeholder("x", ("n", "m")), gn.placeholder("y", ("m", "k")), gn.placeholder("z", ("k",))
    f = gn.function([x, y, z], gn.einsum("ij,jk,k->ki", x, y, z))
    arrays = [np.random.default_rng(2).normal(size=shape).astype("float32") for shape in ((2, 3), (3, 4), (4,))]
    np.testing.assert_allclose(f(*arrays), np.einsum("ij,jk,k->ki", *arrays), rtol=1e-5)


def test_an_elementwise_product_with_transposed_operands():
    a, b = gn.placeholder("a", (2, 3), "float64"), gn.placeholder("b", (3, 2), "float64")
    generator = np.random.default_rng(3)
    feeds = {a: generator.normal(size=(2, 3)), b: generator.normal(size=(3, 2))}
    for result in ("ij", "ji"):
        out = gn.einsum(f"ij,ji->{result}", a, b)
        np.testing.assert_allclose(gn.evaluate(out, feeds), np.einsum(f"ij,ji->{result}", *feeds.values()))
        check_gradients(out, feeds, order=2)
