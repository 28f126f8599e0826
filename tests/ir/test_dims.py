"""Sizes known by name: their arithmetic agrees with that of integers, whatever the names stand for."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnn.errors import GraphError, ShapeError
from graphnn.ir import dims
from graphnn.ir.dims import Dim
from graphnn.ops.movement import cut_size

NAMES = ("a", "b", "c")
numbers = st.integers(1, 9)
environments = st.fixed_dictionaries(dict.fromkeys(NAMES, numbers))

# An expression is text, so that the same one is computed with sizes and with ints, and a failure shows itself.
expressions = st.recursive(
    st.sampled_from(NAMES) | st.integers(-4, 6).map(str),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*"]), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["//", "%"]), st.integers(1, 5)),
        st.builds("({} // {})".format, inner, st.sampled_from(NAMES)),
        st.builds("positive_part({})".format, inner),
        st.builds("(-{})".format, inner),
    ),
    max_leaves=8,
)


def compute(text, values):
    return eval(text, {"positive_part": dims.positive_part, "max": max}, dict(values))


@given(expressions, environments)
def test_arithmetic_commutes_with_substitution(text, values):
    symbolic = compute(text, {name: Dim(name) for name in NAMES})
    assert dims.substitute(symbolic, values) == compute(text, values)


@given(expressions, environments)
def test_what_is_printed_is_what_is_meant(text, values):
    symbolic = compute(text, {name: Dim(name) for name in NAMES})
    assert compute(str(symbolic), values) == compute(text, values)


@given(expressions, environments, st.sampled_from(NAMES))
def test_names_can_be_replaced_one_after_the_other(text, values, first):
    symbolic = compute(text, {name: Dim(name) for name in NAMES})
    half = dims.substitute(symbolic, {first: values[first]})
    assert first not in dims.size_names(half)
    assert dims.substitute(half, values) == dims.substitute(symbolic, values)


@given(expressions, expressions, expressions)
def test_canonical_form_obeys_the_laws_of_a_ring(s, t, u):
    x, y, z = (compute(text, {name: Dim(name) for name in NAMES}) for text in (s, t, u))
    assert x + y == y + x
    assert x * y == y * x
    assert (x + y) + z == x + (y + z)
    assert (x * y) * z == x * (y * z)
    assert x * (y + z) == x * y + x * z
    assert x + y - y == x
    assert isinstance(x - x, int)
    assert x - x == 0
    for left, right in ((x + y, y + x), (x * y, y * x)):
        assert hash(left) == hash(right)
        assert str(left) == str(right)


@given(expressions, expressions, environments)
def test_exact_quotient_is_exact_or_none(s, t, values):
    x, y = (compute(text, {name: Dim(name) for name in NAMES}) for text in (s, t))
    whole = dims.exact_quotient(x, y)
    if whole is not None:
        assert whole * y == x
    if y != 0:
        assert dims.exact_quotient(x * y, y) == x
        divisor = dims.substitute(y, values)
        if divisor != 0:
            assert dims.substitute(dims.floor_divide(x, y), values) == dims.substitute(x, values) // divisor


bounds = st.none() | st.integers(-7, 7)
steps = st.integers(-4, 4).filter(bool)


@given(bounds, bounds, steps)
def test_size_of_a_slice_of_a_named_axis(start, stop, step):
    size = cut_size(Dim("n"), (start, stop, step))
    for n in range(12):
        assert dims.substitute(size, {"n": n}) == len(range(*slice(start, stop, step).indices(n))), n


def test_size_of_every_small_slice():
    ends = [None, *range(-3, 4)]
    for start, stop, step in itertools.product(ends, ends, (-2, -1, 1, 2, 3)):
        size = cut_size(Dim("n"), (start, stop, step))
        for n in range(6):
            assert dims.substitute(size, {"n": n}) == len(range(n)[start:stop:step]), (start, stop, step, n)


def test_slices_that_fit_together_have_equal_sizes():
    n = Dim("n")
    assert cut_size(n, (1, None, 1)) == cut_size(n, (None, -1, 1))
    assert cut_size(n, (1, None, 1)) + 1 != n  # an empty axis has no element to lose
    assert cut_size(n, (None, None, -1)) == n
    assert cut_size(n, (2, -1, 1)) == cut_size(n, (1, -2, 1))


@pytest.mark.parametrize(
    "size, text",
    [
        (Dim("batch"), "batch"),
        (2 * Dim("batch") + 1, "2*batch + 1"),
        (1 - Dim("n"), "-n + 1"),
        (Dim("h") * Dim("w"), "h*w"),
        (Dim("h") * Dim("h"), "h**2"),
        ((Dim("h") + 1) // 2, "(h + 1)//2"),
        (2 * (Dim("h") // 2), "2*(h//2)"),
        (-(Dim("h") // 2), "-(h//2)"),
        (5 - Dim("h") // 2, "-(h//2) + 5"),
        (Dim("h") - Dim("k") // 2, "h - k//2"),
        (Dim("a") // (Dim("b") // Dim("c")), "a//(b//c)"),
        (Dim("a") // Dim("b") // Dim("c"), "a//b//c"),
        (dims.positive_part(Dim("n") - 3), "max(n - 3, 0)"),
    ],
)
def test_printing(size, text):
    assert str(size) == repr(size) == text


def test_a_size_without_names_is_an_int():
    h = Dim("h")
    for size in (h - h, h * 0, (h + 2) - h, (2 * h) // h, 4 * h // (2 * h), h % h, dims.positive_part(h - h - 1)):
        assert type(size) is int


def test_arithmetic_of_a_convolution():
    h = Dim("h")
    out = (h + 2 * 1 - 3) // 2 + 1
    for n in range(1, 20):
        assert dims.substitute(out, {"h": n}) == (n + 2 - 3) // 2 + 1
    assert (h + 2) - 2 == h
    assert (2 * h + 4) // 2 == h + 2


def test_equality():
    assert Dim("n") == Dim("n")
    assert Dim("n") == "n"
    assert Dim("n") + 1 == "n + 1"
    assert Dim("n") != Dim("m")
    assert Dim("n") != 3
    assert (Dim("n") == None) is False  # noqa: E711 - the comparison itself is tested
    assert len({Dim("n") + 1, 1 + Dim("n"), Dim("n")}) == 2


def test_reflected_operators():
    n, values = Dim("n"), {"n": 3}
    for symbolic, number in ((7 - n, 4), (7 + n, 10), (7 * n, 21), (7 // n, 2), (7 % n, 1), (-n, -3)):
        assert dims.substitute(symbolic, values) == number


@pytest.mark.parametrize("other", [1.5, "m", None])
def test_sizes_do_not_mix_with_other_things(other):
    with pytest.raises(TypeError):
        Dim("n") + other
    with pytest.raises(TypeError):
        Dim("n") - other


@pytest.mark.parametrize("name", ["", "2n", "a b", "a-b", 3, None])
def test_names_are_identifiers(name):
    with pytest.raises(GraphError, match="a size is an int or a name such as 'batch'"):
        Dim(name)


@pytest.mark.parametrize(
    "value, message",
    [
        (-1, "a size cannot be negative: -1"),
        (1.5, "a size is an int, a name such as 'batch' or a Dim, not 1.5"),
        (None, "a size is an int, a name such as 'batch' or a Dim, not None"),
        (2**63, "the size 9223372036854775808 is too large: it does not fit 63 bits"),
    ],
)
def test_what_is_no_size(value, message):
    with pytest.raises(ShapeError) as caught:
        dims.as_size(value)
    assert caught.value.headline == message


def test_a_named_size_is_no_number():
    n = Dim("n")
    with pytest.raises(ShapeError, match="is known only when the function is called"):
        bool(n)
    with pytest.raises(ShapeError, match="has no number yet"):
        range(n)
    with pytest.raises(ShapeError, match="divided by 0"):
        n // 0


def test_a_size_can_be_divided_by_a_size_that_becomes_zero():
    with pytest.raises(ShapeError, match="divided by 0"):
        dims.substitute(Dim("n") // Dim("m"), {"n": 4, "m": 0})


def test_large_polynomials_stay_exact():
    n, m = Dim("n"), Dim("m")
    power = (n + m) * (n - m)
    assert power == n * n - m * m
    assert dims.exact_quotient(power, n + m) == n - m
    assert dims.exact_quotient(power, n + 2 * m) is None
    total = dims.product([n + 1] * 8)
    assert dims.substitute(total, {"n": 10**6}) == (10**6 + 1) ** 8
