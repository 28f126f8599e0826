"""Random numbers: the published bits, the distributions, streams and keys, derivatives, and what is refused."""

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import graphnn as gn
from graphnn.ir.rebuild import substitute
from graphnn.ops.random import RandomBits
from graphnn.testing import assert_same_bits, check_gradients

WORD = 2**64
ONES = WORD - 1
words = st.integers(0, ONES)


def key(seed, step=0):
    return gn.constant(np.array([seed, step], np.uint64))


def drawn(make, seed=2026, count=20_000, **options):
    return gn.evaluate(make(key(seed), (count,), dtype="float64", **options))


def philox(counter, keys):
    """Philox4x64-10 as its paper defines it, in Python's integers."""
    (a, b, c, d), (k0, k1) = counter, keys
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = right // WORD ^ b ^ k0, right % WORD, left // WORD ^ d ^ k1, left % WORD
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % WORD, (k1 + 0xBB67AE8584CAA73B) % WORD
    return [a, b, c, d]


# The known answers that are published with the generator: counter, key, result.
PI = [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89]
ANSWERS = [
    ([0] * 4, [0] * 2, [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    ([ONES] * 4, [ONES] * 2, [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]),
    (
        PI,
        [0x452821E638D01377, 0xBE5466CF34E90C6C],
        [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
    ),
]


# --- bits ---


@pytest.mark.parametrize(("counter", "keys", "answer"), ANSWERS)
def test_published_answers(counter, keys, answer):
    assert philox(counter, keys) == answer
    before = (sum(word << 64 * i for i, word in enumerate(counter)) - 1) % 2**256  # it counts up first
    generator = np.random.Philox(counter=before, key=sum(word << 64 * i for i, word in enumerate(keys)))
    assert generator.random_raw(4).tolist() == answer


def test_the_first_block_is_the_published_one():
    assert gn.evaluate(gn.random_bits(key(0), (4,))).tolist() == ANSWERS[0][2]


@given(seed=words, step=words, draw=words, count=st.integers(0, 9))
def test_bits_are_those_of_the_paper(seed, step, draw, count):
    expected = [word for block in range(3) for word in philox([block, step, 0, 0], [seed, draw])]
    assert gn.evaluate(gn.random_bits(key(seed, step), (count,), draw=draw)).tolist() == expected[:count]


def test_same_seed_same_bits_in_a_fresh_process():
    program = (
        "import hashlib, graphnn as gn; s = gn.stream(7);"
        "f = gn.function([], [gn.random_bits(s, (50,)), gn.randint(s, 0, 99, (50,), draw=1), gn.permutation(s, 50)]);"
        "print(hashlib.sha256(b''.join(x.tobytes() for x in f() + f())).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in "12"]
    s = gn.stream(7)
    nodes = [gn.random_bits(s, (50,)), gn.randint(s, 0, 99, (50,), draw=1), gn.permutation(s, 50)]
    f = gn.function([], nodes)
    here = hashlib.sha256(b"".join(x.tobytes() for x in [*f(), *f()])).hexdigest()
    assert {run.stdout.strip() for run in runs} == {here}


# --- streams and keys ---

MAKERS = {
    "uniform": lambda s, shape, draw=0: gn.uniform(s, shape, draw=draw),
    "rademacher": lambda s, shape, draw=0: gn.rademacher(s, shape, draw=draw),
    "randint": lambda s, shape, draw=0: gn.randint(s, 0, 1000, shape, draw=draw),
    "normal": lambda s, shape, draw=0: gn.normal(s, shape, draw=draw),
    "truncated_normal": lambda s, shape, draw=0: gn.truncated_normal(s, shape, draw=draw),
    "exponential": lambda s, shape, draw=0: gn.exponential(s, shape, draw=draw),
    "gumbel": lambda s, shape, draw=0: gn.gumbel(s, shape, draw=draw),
    "gamma": lambda s, shape, draw=0: gn.gamma(s, 0.7, shape, draw=draw),
    "categorical": lambda s, shape, draw=0: gn.categorical(s, np.zeros(50), shape, draw=draw),
    "choice": lambda s, shape, draw=0: gn.choice(s, 1000, shape, draw=draw),
    "choice, p": lambda s, shape, draw=0: gn.choice(s, 50, shape, p=np.arange(50.0), draw=draw),
}
each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@each_maker
def test_a_function_advances_the_stream(make):
    s = gn.stream(3)
    f = gn.function([], make(s, (40,)))
    calls = [f() for _ in range(3)]
    assert s.value.tolist() == [3, 3]
    for step, value in enumerate(calls):
        assert_same_bits(value, gn.evaluate(make(key(3, step), (40,))))
    assert all((a != b).any() for a, b in itertools.combinations(calls, 2))
    node = make(s, (40,))
    assert_same_bits(gn.evaluate(node), gn.evaluate(node))  # evaluate changes nothing
    assert s.value.tolist() == [3, 3]


@each_maker
def test_draws_from_one_stream_differ(make):
    s = gn.stream(3)
    f = gn.function([], [make(s, (40,)), make(s, (40,), 1), make(s, (40,), 0)])
    first, second, again = f()
    assert s.value.tolist() == [3, 1]
    assert (first != second).any()
    assert_same_bits(first, again)


@each_maker
def test_named_sizes_and_nothing(make):
    x = gn.placeholder("x", ("n", 3))
    f = gn.function([x], make(key(5), ("n", 3)), on_unused="ignore")
    for n in (0, 1, 7):
        assert_same_bits(f(np.zeros((n, 3), "float32")), gn.evaluate(make(key(5), (n, 3))))
    assert gn.evaluate(make(key(5), (2, 0))).shape == (2, 0)
    assert gn.evaluate(make(key(5), ())).shape == ()


def test_draws_are_independent():
    """Correlations of draws, steps and streams lie within five standard deviations, of all pairs."""
    nodes = [gn.normal(key(*k), (10_000,), draw=d) for k in ((1, 0), (1, 1), (2, 0)) for d in (0, 1)]
    correlation = np.corrcoef(np.array(gn.evaluate(nodes), np.float64))
    assert abs(correlation - np.eye(6)).max() < 0.05


# --- distributions ---

CONTINUOUS = {
    "uniform": (lambda: drawn(gn.uniform), stats.uniform()),
    "normal": (lambda: drawn(gn.normal), stats.norm()),
    "normal, loc, scale": (lambda: drawn(gn.normal, loc=-2.0, scale=3.0), stats.norm(-2, 3)),
    "truncated_normal": (lambda: drawn(gn.truncated_normal), stats.truncnorm(-2, 2)),
    "one-sided": (
        lambda: drawn(gn.truncated_normal, low=1.0, high=np.inf, loc=5.0, scale=2.0),
        stats.truncnorm(1, np.inf, 5, 2),
    ),
    "far out": (lambda: drawn(gn.truncated_normal, low=-6.0, high=-4.5), stats.truncnorm(-6, -4.5)),
    "exponential": (lambda: drawn(gn.exponential, scale=0.5), stats.expon(scale=0.5)),
    "gumbel": (lambda: drawn(gn.gumbel, loc=1.0, scale=2.0), stats.gumbel_r(1, 2)),
    **{
        f"gamma {a}": (
            lambda a=a: drawn(lambda s, shape, **o: gn.gamma(s, a, shape, **o), scale=2.0),
            stats.gamma(a, scale=2.0),
        )
        for a in (0.1, 0.5, 1.0, 1.5, 7.0, 1000.0)
    },
}


@pytest.mark.parametrize("sample, law", CONTINUOUS.values(), ids=CONTINUOUS)
def test_distribution(sample, law):
    x = sample()
    assert stats.kstest(x, law.cdf).pvalue > 1e-3
    error = law.std() / np.sqrt(x.size)
    assert abs(x.mean() - law.mean()) < 5 * error
    kurtosis = float(law.stats("k"))
    assert abs(x.var() / law.var() - 1) < 6 * np.sqrt((kurtosis + 2) / x.size)


@pytest.mark.parametrize(
    "counts, probabilities",
    [
        (lambda: np.bincount(gn.evaluate(gn.randint(key(1), 0, 7, (20_000,))), minlength=7), np.full(7, 1 / 7)),
        (
            lambda: np.bincount(gn.evaluate(gn.categorical(key(1), np.log([0.1, 0.6, 0.3]), (20_000,)))),
            [0.1, 0.6, 0.3],
        ),
        (lambda: np.bincount(gn.evaluate(gn.choice(key(1), 3, (20_000,), p=[2.0, 1.0, 1.0]))), [0.5, 0.25, 0.25]),
        (lambda: np.bincount(gn.evaluate(gn.choice(key(2), 5, (20_000,)))), np.full(5, 0.2)),
        (lambda: np.unique(gn.evaluate(gn.rademacher(key(1), (20_000,))), return_counts=True)[1], [0.5, 0.5]),
    ],
    ids=["randint", "categorical", "choice, p", "choice", "rademacher"],
)
def test_frequencies(counts, probabilities):
    found = counts()
    assert stats.chisquare(found, np.multiply(probabilities, found.sum())).pvalue > 1e-3


def frequencies_of_orders(node, s, length, calls=3000):
    f = gn.function([], node)
    seen = dict.fromkeys(itertools.permutations(range(3), length), 0)
    for _ in range(calls):
        seen[tuple(f().tolist())] += 1
    assert s.value[1] == calls
    return seen


def test_all_orders_are_equally_likely():
    s = gn.stream(0)
    seen = frequencies_of_orders(gn.permutation(s, 3), s, 3)
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


def test_choice_without_replacement_draws_by_the_weights_left():
    s, p = gn.stream(0), [0.5, 0.3, 0.2]
    seen = frequencies_of_orders(gn.choice(s, 3, (2,), replace=False, p=p), s, 2)
    expected = [3000 * p[i] * p[j] / (1 - p[i]) for i, j in seen]
    assert stats.chisquare(list(seen.values()), expected).pvalue > 1e-3


def test_randint_is_the_wide_product():
    for count in (1, 2, 3, 10**6 + 3, 2**32 - 1, 2**32):
        bits = gn.evaluate(gn.random_bits(key(9), (200,)))
        expected = [int(b) * count // WORD - 5 for b in bits]
        assert gn.evaluate(gn.randint(key(9), -5, count - 5, (200,))).tolist() == expected
    node = gn.randint(key(9), 0, 2**32, (3,), dtype="uint32")
    assert with_bits(node, [0, ONES, 2**63]).tolist() == [0, 2**32 - 1, 2**31]


def test_randint_up_to_a_named_size():
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], gn.randint(key(4), -1, "n", (100,)), on_unused="ignore")
    assert_same_bits(f(np.zeros(5, "float32")), gn.evaluate(gn.randint(key(4), -1, 5, (100,))))


@pytest.mark.parametrize("build", [lambda: gn.randint(S, 3, "n", (4,)), lambda: gn.choice(S, "n", (4,))])
def test_nothing_to_choose_from_at_the_call(build):
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], build(), on_unused="ignore")
    assert (f(np.zeros(4, "float32")) < 4).all()
    with pytest.raises(gn.IndexRangeError):
        f(np.zeros(0, "float32"))


# --- the ends ---


def with_bits(node, bits):
    """The value of a node if the random bits were these."""
    (source,) = [n for n in gn.Graph(node).nodes if isinstance(n.op, RandomBits)]
    given = gn.constant(np.array(bits, np.uint64).reshape(source.shape))
    return gn.evaluate(substitute([node], {source: given})[0])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_least_and_the_largest_bits(dtype):
    ends = [0, ONES]
    z = with_bits(gn.normal(key(0), (2,), dtype=dtype), ends).astype(np.float64)
    assert z[0] == -z[1]
    assert 8.1 < z[1] < 8.3
    for low, high in ((-2.0, 2.0), (-6.0, -4.5), (0.0, np.inf)):
        x = with_bits(gn.truncated_normal(key(0), (2,), low=low, high=high, dtype="float64"), ends)
        assert low <= x[0] < low + 1e-3
        assert high - 1e-3 < x[1] <= high or (high == np.inf and 8.1 < x[1] < 8.4)
    for make in (gn.exponential, gn.gumbel):
        x = with_bits(make(key(0), (2,), dtype=dtype), ends).astype(np.float64)
        assert np.isfinite(x).all()
        assert x.max() > 36
    assert (with_bits(gn.exponential(key(0), (2,), dtype=dtype), ends) >= 0).all()
    u = with_bits(gn.uniform(key(0), (2,), dtype=dtype), ends)
    assert u[0] == 0.0
    assert u[1] < 1.0


@pytest.mark.parametrize("name", ["normal", "truncated_normal", "exponential", "gumbel"])
def test_data_types(name):
    make = getattr(gn, name)
    wide = gn.evaluate(make(key(0), (100,), dtype="float64"))
    assert make(key(0), (3,)).dtype == gn.float32
    for dtype in (gn.float32, gn.float16, gn.bfloat16):
        assert_same_bits(gn.evaluate(make(key(0), (100,), dtype=dtype)), wide.astype(dtype.numpy))
    scale = gn.placeholder("scale", (3,), "float64")
    assert make(key(0), (3,), scale=scale).dtype == gn.float64
    assert make(key(0), (3,), scale=scale, dtype="float32").dtype == gn.float32
    assert make(key(0), (3,), scale=[1, 2, 3]).dtype == gn.float32


# --- gamma ---


def acceptance(a):
    """The probability that one candidate is accepted; see the docstring of gamma."""
    from scipy.special import gammaln

    d = a - 1 / 3
    return np.exp(d + gammaln(a) + (0.5 - a) * np.log(d)) / np.sqrt(2 * np.pi)


def test_gamma_accepts_as_often_as_is_said():
    a = 1 + np.logspace(-6, 5, 2000)
    assert (np.diff(acceptance(a)) > -1e-9).all()
    assert 0.951 < acceptance(1.0) < acceptance(a).min()
    assert (1 - acceptance(1.0)) ** 8 < 3e-11
    z, u = np.random.default_rng(0).normal(size=200_000), np.random.default_rng(1).random(200_000)
    for size in (1.0, 3.0):
        d = size - 1 / 3
        v = np.maximum(1 + z / np.sqrt(9 * d), 1e-300) ** 3
        accepted = np.log(u) < z * z / 2 + d * (1 - v + np.log(np.maximum(v, 1e-300)))
        assert abs(accepted.mean() - acceptance(size)) < 0.003


def test_gamma_where_every_candidate_is_refused():
    bits = [*[2**60] * 8, *[ONES] * 8, 2**63]
    assert float(with_bits(gn.gamma(key(0), 3.0, (), dtype="float64"), bits)) == 3.0 - 1.0 / 3.0


def test_gamma_of_several_concentrations():
    a = np.array([[0.2], [1.0], [30.0]])
    x = gn.evaluate(gn.gamma(key(0), a, (3, 20_000)))
    assert x.dtype == np.float64
    for row, size in zip(x, a[:, 0], strict=True):
        assert stats.kstest(row, stats.gamma(size).cdf).pvalue > 1e-3


def test_gamma_has_no_derivative_by_the_concentration():
    a = gn.placeholder("a", (2,), "float64")
    with pytest.raises(gn.DifferentiationError, match=r"^gamma has no derivative by the concentration"):
        gn.gamma(key(0), a, (2,))
    x = gn.evaluate(gn.gamma(key(0), gn.stop_gradient(a), (2,)), {a: [2.0, -1.0]})
    assert x[0] == gn.evaluate(gn.gamma(key(0), np.array([2.0, 1.0]), (2,)))[0]
    assert np.isnan(x[1])


# --- derivatives ---


@pytest.mark.parametrize("name", ["normal", "truncated_normal", "gumbel"])
def test_derivatives_by_loc_and_scale(name):
    loc, scale = gn.placeholder("loc", (3,), "float64"), gn.placeholder("scale", (), "float64")
    x = getattr(gn, name)(key(1), (4, 3), loc=loc, scale=scale)
    feeds = {loc: np.array([0.0, 1.0, -1.0]), scale: np.array(1.5)}
    check_gradients(gn.sum(gn.sin(x)), feeds, order=2)
    by_loc, by_scale, value = gn.evaluate([*gn.grad(gn.sum(x), [loc, scale]), x], feeds)
    assert by_loc.tolist() == [4.0] * 3
    np.testing.assert_allclose(by_scale, ((value - feeds[loc]) / 1.5).sum(), rtol=1e-13)


def test_a_compiled_step_learns_loc_and_scale():
    """Stochastic gradients through the samples lead to the normal distribution that is asked for."""
    loc, log_scale, s = gn.parameter("loc", 0.0), gn.parameter("log_scale", 0.0), gn.stream(0)
    x = gn.normal(s, (256,), loc=loc, scale=gn.exp(log_scale))
    loss = gn.mean(gn.square(x - 2.0)) / (2 * 0.25) - log_scale  # the divergence from N(2, 1/2) but for a constant
    steps = gn.grad(loss, [loc, log_scale])
    f = gn.function([], loss, updates={w: w - 0.05 * g for w, g in zip([loc, log_scale], steps, strict=True)})
    for _ in range(200):
        f()
    assert abs(float(loc.value) - 2.0) < 0.1
    assert abs(np.exp(float(log_scale.value)) - 0.5) < 0.1
    assert s.value.tolist() == [0, 200]


def test_permutation_and_choice_carry_derivatives():
    x = gn.placeholder("x", (5, 2), "float64")
    data = np.arange(10.0).reshape(5, 2)
    for node in (gn.permutation(key(3), x), gn.choice(key(3), x, (2, 3)), gn.choice(key(3), x, (4,), replace=False)):
        check_gradients(gn.sum(gn.sin(node)), {x: data / 5}, order=2)
    node = gn.permutation(key(3), x, axis=1)
    assert sorted(map(tuple, gn.evaluate(node, {x: data}).T)) == sorted(map(tuple, data.T))


# --- permutation and choice ---


def test_permutation_of_a_named_size():
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], [gn.permutation(key(1), "n"), gn.permutation(key(1), x)])
    places, moved = f(np.arange(9, dtype="float32") * 2)
    assert sorted(places.tolist()) == list(range(9))
    assert (moved == places * 2).all()


def test_a_size_may_be_an_integer_of_numpy():
    for n in (5, np.int32(5)):
        assert sorted(gn.evaluate(gn.permutation(key(1), n)).tolist()) == [0, 1, 2, 3, 4]
        assert gn.evaluate(gn.choice(key(1), n, (50,))).max() == 4
        assert gn.evaluate(gn.randint(key(1), n, n + 1, (2,))).tolist() == [5, 5]


def test_choice_without_replacement_is_the_start_of_an_order():
    chosen = gn.evaluate(gn.choice(key(1), 10, (2, 3), replace=False))
    assert chosen.ravel().tolist() == gn.evaluate(gn.permutation(key(1), 10))[:6].tolist()
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], gn.choice(key(1), x, (3,), replace=False))
    assert len(set(f(np.arange(4, dtype="float32")).tolist())) == 3
    with pytest.raises(gn.IndexRangeError):
        f(np.arange(2, dtype="float32"))


def test_choice_never_takes_what_has_no_weight():
    p = [0.0, 1.0, 0.0, 2.0]
    assert set(gn.evaluate(gn.choice(key(1), 4, (500,), p=p)).tolist()) == {1, 3}
    assert set(gn.evaluate(gn.choice(key(1), 4, (2,), p=p, replace=False)).tolist()) == {1, 3}


# --- refusals ---

S = key(0)
REFUSED = [
    (lambda: gn.normal(S, (2,), dtype="int64"), gn.DTypeError, "normal makes floating-point numbers, not int64"),
    (lambda: gn.normal(S, (2,), loc=np.zeros(3)), gn.ShapeError, "normal: loc of shape [3] does not broadcast to [2]"),
    (lambda: gn.gumbel(S, (), scale=np.ones(2)), gn.ShapeError, "gumbel: scale of shape [2] does not broadcast to []"),
    (lambda: gn.exponential(S, (2,), scale=-1.0), gn.ShapeError, "exponential: the scale is negative or NaN: -1.0"),
    (lambda: gn.truncated_normal(S, (2,), low=2.0, high=1.0), gn.ShapeError, "truncated_normal: too little"),
    (lambda: gn.truncated_normal(S, (2,), low=6.0, high=7.0), gn.ShapeError, "truncated_normal: too little"),
    (lambda: gn.gamma(S, 0.0, (2,)), gn.ShapeError, "gamma: the concentration holds a number that is not positive"),
    (lambda: gn.gamma(S, np.ones(3), (2,)), gn.ShapeError, "gamma: concentration of shape [3]"),
    (lambda: gn.categorical(S, 0.5), gn.ShapeError, "categorical: the last axis of the logits counts the classes"),
    (lambda: gn.categorical(S, np.zeros((3, 2)), (2,)), gn.ShapeError, "categorical: logits of shape [3, 2]"),
    (lambda: gn.categorical(S, np.zeros(2, int)), gn.DTypeError, "categorical takes floating-point arrays"),
    (lambda: gn.randint(S, 3, 3, (2,)), gn.ShapeError, "randint: there is no number from 3 up to but without 3"),
    (lambda: gn.randint(S, 0, 2**32 + 1, (2,)), gn.ShapeError, "randint: there are 4294967297 numbers"),
    (lambda: gn.randint(S, 0, 129, (2,), dtype="int8"), gn.DTypeError, "randint: "),
    (lambda: gn.randint(S, -1, 5, (2,), dtype="uint8"), gn.DTypeError, "randint: "),
    (lambda: gn.randint(S, 0, 1.5, (2,)), gn.DTypeError, "randint: high is an int or a named size, not 1.5"),
    (lambda: gn.randint(S, 0.5, 2, (2,)), gn.DTypeError, "randint: low is an int, not 0.5"),
    (lambda: gn.randint(S, 0, 2, (2,), dtype="float32"), gn.DTypeError, "randint makes integers, not float32"),
    (lambda: gn.randint(S, 0, "n", (2,), dtype="int8"), gn.DTypeError, "randint: int8 may be too small"),
    (lambda: gn.rademacher(S, (2,), dtype="uint8"), gn.DTypeError, "rademacher: uint8 has no -1"),
    (lambda: gn.permutation(S, gn.constant(3)), gn.ShapeError, "permutation: "),
    (lambda: gn.permutation(S, -1), gn.ShapeError, "a size cannot be negative: -1"),
    (lambda: gn.choice(S, gn.constant(3)), gn.ShapeError, "choice: a scalar node has no parts"),
    (lambda: gn.choice(S, 3, (4,), replace=False), gn.ShapeError, "choice: 4 of 3 parts"),
    (lambda: gn.choice(S, 0, (1,)), gn.ShapeError, "choice: 1 of 0 parts"),
    (lambda: gn.choice(S, 2, (2,), replace=False, p=[0.0, 1.0]), gn.ShapeError, "choice: 2 of 1 parts"),
    (lambda: gn.choice(S, 2, (2,), p=[0.5, 0.25, 0.25]), gn.ShapeError, "choice: p has the shape [3], not [2]"),
    (lambda: gn.choice(S, 2, (2,), p=[-0.5, 1.5]), gn.ShapeError, "choice: p holds a number that is negative"),
    (lambda: gn.normal(7, (2,)), gn.GraphError, "random numbers come from a stream, not from 7"),
]


@pytest.mark.parametrize("attempt, kind, headline", REFUSED, ids=[row[2][:40] for row in REFUSED])
def test_refusals(attempt, kind, headline):
    with pytest.raises(kind) as caught:
        attempt()
    assert str(caught.value).startswith(headline)
