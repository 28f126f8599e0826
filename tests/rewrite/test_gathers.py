"""Products of picked rows: when they are rewritten, and that what no index picks does not matter."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ops.contraction import Contract
from graphnn.ops.indexing import Gather, ScatterAdd
from graphnn.rewrite import Pass, only_exact, optimize
from graphnn.rewrite.pipeline import MERGE
from graphnn.rewrite.rules.gathers import GATHERS
from graphnn.testing.compare import assert_close

ONLY = [Pass("gathers", GATHERS)]


def ops(outputs):
    return [type(node.op) for node in gn.Graph(outputs).nodes]


def first_layer(rows, width, wide, shape, dtype="float64"):
    """Embedding and first layer as a user writes them, and the gradients of both tables."""
    e, w = gn.placeholder("e", (rows, width), dtype), gn.placeholder("w", (width, wide), dtype)
    b, i = gn.placeholder("b", (wide,), dtype), gn.placeholder("i", shape, "int64")
    y = gn.take(e, i, axis=0) @ w + b
    loss = gn.sum(gn.sin(y))
    return [e, w, b, i], [y, *gn.grad(loss, [e, w, b])]


def arrays(rng, inputs, rows):
    return [
        rng.integers(-rows, rows, x.shape) if x.dtype.is_integer else rng.normal(size=x.shape).astype(x.dtype.numpy)
        for x in inputs
    ]


def test_all_large_products_are_gone():
    inputs, outputs = first_layer(7, 64, 32, (10, 40))
    made = optimize(outputs, passes=[*ONLY, MERGE])
    assert ops(made).count(ScatterAdd) == 2  # the sum that both gradients share, and what is picked
    for node in gn.Graph(made).nodes:
        if isinstance(node.op, Contract):
            assert not {10, 40, 400} & {size for x in (node, *node.inputs) for size in x.shape}
    values = arrays(np.random.default_rng(0), inputs, 7)
    given = dict(zip(inputs, values, strict=True))
    for a, b in zip(gn.evaluate(made, given), gn.evaluate(outputs, given), strict=True):
        assert_close(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "rows, width, shape, dtype, changes",
    [
        (7, 64, (40,), "float64", True),
        (20, 64, (40,), "float64", True),
        (21, 64, (40,), "float64", False),  # nearly as many rows as indices
        (7, 8, (40,), "float64", False),  # moving rows takes longer than multiplying them
        (7, 64, (40,), "float16", False),
        (7, 64, ("n",), "float64", False),  # how many indices there are is not known
        (0, 64, (40,), "float64", False),
    ],
)
def test_when_it_is_less_work(rows, width, shape, dtype, changes):
    e, i = gn.placeholder("e", (rows, width), dtype), gn.placeholder("i", shape, "int64")
    y = gn.take(e, i, axis=0) @ gn.placeholder("w", (width, 5), dtype)
    (made,) = optimize([y], passes=ONLY)
    assert (type(made.op) is Gather) == changes


def test_a_rule_that_rounds_differently_is_left_out_on_request():
    _, outputs = first_layer(7, 64, 32, (400,))
    assert ops(optimize(outputs, passes=only_exact(ONLY))) == ops(outputs)


def test_what_is_summed_twice_stays():
    # The indexed axis is an axis of the result and of the other operand: neither of the rules holds.
    e, i = gn.placeholder("e", (3, 64)), gn.placeholder("i", (40,), "int64")
    y = gn.einsum("ik,ikj->ij", gn.take(e, i, axis=0), gn.placeholder("w", (40, 64, 5)))
    assert optimize([y], passes=ONLY)[0] is y


FORMS = [
    # axes that are indexed, the table, the indices, letters of what is gathered, of the other operand, of the product
    ((0,), (3, 128), [(8, 6)], "abk", "kn", "abn"),
    ((0,), (3, 128), [(8, 6)], "abk", "nk", "bna"),
    ((1,), (128, 4), [(8, 6)], "abk", "kn", "nab"),
    ((0, 1), (2, 3, 128), [(8, 1), (1, 8)], "abk", "kn", "abn"),
    ((2, 0), (3, 128, 2), [(1, 8), (8, 1)], "abk", "kn", "anb"),
    ((1,), (5, 3, 128), [(8, 6)], "abmk", "mkn", "nabm"),
    ((1,), (5, 3, 128), [(8, 6)], "abmk", "mkn", "nab"),
    ((0,), (3, 128), [(8, 6)], "abk", "abn", "kn"),
    ((0,), (3, 128), [(8, 6)], "abk", "bna", "nk"),
    ((1,), (128, 4), [(8, 6)], "abk", "nba", "kn"),
    ((0, 1), (2, 3, 128), [(8, 1), (1, 8)], "abk", "abn", "nk"),
    ((2, 0), (3, 128, 2), [(1, 8), (8, 1)], "abk", "anb", "kn"),
    ((1,), (2, 3, 128), [(8, 6)], "abmk", "abmn", "nmk"),
]


@pytest.mark.parametrize("axes, shape, indices, mine, theirs, result", FORMS)
@pytest.mark.parametrize("turned", [False, True])
def test_axes_in_any_order(axes, shape, indices, mine, theirs, result, turned):
    table = gn.placeholder("table", shape, "float64")
    where = [gn.placeholder(f"i{n}", size, "int64") for n, size in enumerate(indices)]
    x = Gather(axes)(table, *where)
    sizes = {"n": 5, **dict(zip(mine, x.shape, strict=True))}
    other = gn.placeholder("other", tuple(sizes[c] for c in theirs), "float64")
    y = Contract(theirs, mine, result)(other, x) if turned else Contract(mine, theirs, result)(x, other)
    inputs = [table, other, *where]
    outputs = [y, *gn.grad(gn.sum(gn.sin(y)), [table, other])]
    made = optimize(outputs, passes=ONLY)
    assert made[0] is not y
    rng = np.random.default_rng(0)
    values = [rng.normal(size=n.shape) for n in (table, other)]
    values += [rng.integers(-shape[axis], shape[axis], i.shape) for axis, i in zip(axes, where, strict=True)]
    given = dict(zip(inputs, values, strict=True))
    for a, b in zip(gn.evaluate(made, given), gn.evaluate(outputs, given), strict=True):
        assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_rows_that_no_index_picks_do_not_matter(backend, bad):
    inputs, outputs = first_layer(5, 64, 16, (40,))
    f = gn.function(inputs, outputs, backend=backend)
    rng = np.random.default_rng(1)
    e, w, b, _ = arrays(rng, inputs, 5)
    i = rng.integers(0, 4, 40)
    e[4] = bad
    y, of_e, of_w, of_b = f(e, w, b, i)
    assert all(np.isfinite(array).all() for array in (y, of_e, of_w, of_b))
    assert not of_e[4].any()
    w[3, 2] = bad
    assert not f(e, w, b, i)[1][4].any()


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("bad", [5, -6, 2**40])
def test_an_index_out_of_range_is_the_same_error(backend, bad):
    inputs, outputs = first_layer(5, 64, 16, (40,))
    e, w, b, i = arrays(np.random.default_rng(2), inputs, 5)
    i[17] = bad
    texts = []
    for passes in (gn.rewrite.PASSES, gn.rewrite.without("gathers")):
        for wanted in (outputs, [outputs[1]], [outputs[2]]):
            with pytest.raises(gn.IndexRangeError) as error:
                gn.function(inputs, wanted, passes=passes, backend=backend, on_unused="ignore")(e, w, b, i)
            texts.append(error.value.headline)
    assert set(texts) == {f"gather: index {bad} is out of bounds for axis 0 with size 5"}


def test_modes_of_indices_keep_their_meaning():
    e, w = gn.placeholder("e", (5, 64), "float64"), gn.placeholder("w", (64, 8), "float64")
    i = gn.placeholder("i", (40,), "int64")
    rng = np.random.default_rng(3)
    values = rng.normal(size=(5, 64)), rng.normal(size=(64, 8)), rng.integers(-20, 20, 40)
    for mode in ("clip", "wrap", "fill"):
        y = gn.take(e, i, axis=0, mode=mode) @ w
        outputs = [y, *gn.grad(gn.sum(gn.where(gn.isnan(y), 0.0, y * y)), [e, w])]
        results = [
            gn.function([e, w, i], outputs, passes=passes)(*values)
            for passes in (gn.rewrite.PASSES, gn.rewrite.without("gathers"))
        ]
        for a, b in zip(*results, strict=True):
            assert_close(a, b, rtol=1e-11, atol=1e-11, what=mode)
