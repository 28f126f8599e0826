"""Loops together with rewriting, batches, derivatives and one another: the places where two good parts can disagree."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import DTypeError, ShapeError
from graphnn.rewrite import BASIC

RNG = np.random.default_rng(0)


def input_of(name, *shape):
    return gn.placeholder(name, shape, "float64")


def rewritten_as_written(outputs, inputs):
    """The outputs of `function` are those of the graph as it was written; gives them."""
    values = [RNG.normal(size=[size if isinstance(size, int) else 3 for size in x.shape]) for x in inputs]
    expected = gn.function(inputs, outputs, passes=BASIC)(*values)
    found = gn.function(inputs, outputs)(*values)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    return values, found


def test_running_sums_of_products_that_are_read():
    xs = input_of("xs", 4, 3)
    total, before = gn.scan(lambda c, x: (c + x[:, None] @ x[None, :], c), np.zeros((3, 3)), xs)
    (last, older), _ = gn.scan(lambda c, x: ((c[0] + x[:, None] @ x[None, :], c[0]), None), (total, total), xs)
    (values,), found = rewritten_as_written([total, before, last, older], [xs])
    products = values[:, :, None] * values[:, None, :]
    np.testing.assert_allclose(found[0], products.sum(0))
    np.testing.assert_allclose(found[1], np.cumsum([np.zeros((3, 3)), *products[:3]], axis=0))
    np.testing.assert_allclose(found[3], products.sum(0) + products[:3].sum(0))


def test_sums_of_products_with_what_is_the_same_in_every_step():
    w, xs = input_of("w", 3, 3), input_of("xs", "n", 3, 3)
    left, _ = gn.scan(lambda c, x: (c + x @ w, None), np.zeros((3, 3)), xs)
    right, squares = gn.scan(lambda c, x: (c + w @ gn.sin(x), gn.sin(x)), np.zeros((3, 3)), xs)
    rewritten_as_written([left, right, squares, *gn.grad(gn.sum(left * right), [w, xs])], [w, xs])


def test_products_of_what_is_the_same_beside_what_is_not():
    # One result of the inner loop depends on the elements of the outer one, the other does not.
    u, w, xs = input_of("u", 2, 3, 3), input_of("w", 3, 3), input_of("xs", 4, 3, 3)

    def step(c, x):
        _, (same, other) = gn.scan(lambda a, pair: (a, (gn.sin(pair[0]), pair[1] @ w)), 0.0, (u, gn.stack([x, x @ w])))
        return gn.tanh(c + other[0]), (c * (same[0] @ w), same[1] @ w)

    last, ys = gn.scan(step, np.zeros((3, 3)), xs)
    loss = gn.sum(last) + gn.sum(ys[0]) + gn.sum(gn.sin(ys[1]))
    rewritten_as_written([last, *ys, *gn.grad(loss, [u, w, xs])], [u, w, xs])


def test_python_numbers_take_the_data_type_of_one_another():
    x = input_of("x", 3)
    (a, b, c), _ = gn.scan(lambda c, x: ((x, c[0], c[1]), None), (0, 0, 0), x)
    assert [node.dtype.name for node in (a, b, c)] == ["float64"] * 3
    assert gn.evaluate([a, b, c], {x: [1.0, 2.0, 3.0]}) == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("passes", [BASIC, None], ids=["basic", "all"])
def test_constants_out_of_loops_and_branches_belong_to_the_caller(passes):
    x = gn.placeholder("x", ())
    options = {} if passes is None else {"passes": passes}
    for make in (lambda: gn.arange(3), lambda: gn.constant([0, 1, 2])):
        chosen = gn.cond(x > 0, make, lambda: gn.arange(3) + 5)
        carried, _ = gn.scan(lambda c, _, make=make: (make(), None), gn.arange(3) + gn.astype(x, "int64"), length=2)
        for y in (chosen, carried):
            f = gn.function([x], y, **options)
            f(1.0)[:] = 99
            assert f(1.0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("inner", ["loop", "choice", "plain"])
def test_a_checkpoint_in_a_step_that_reads_what_is_the_same_in_every_step(inner):
    b, xs = input_of("b", 3, 3), input_of("xs", "n", 3, 3)

    def block(u, x):
        first = u[0]  # the same in every step, but inside of the checkpoint
        if inner == "loop":
            first, _ = gn.scan(lambda c, e: (gn.sin(c + e), None), first, x)
        elif inner == "choice":
            first = gn.cond(gn.sum(x) > 0, lambda: first * x[1], lambda: gn.exp(first))
        else:
            first = gn.sin(first) * x[0]
        return u * first

    def loss(block):
        total, ys = gn.scan(lambda c, x: (c + block(gn.tanh(b), gn.tanh(x)), block(b, c)), np.zeros((3, 3)), xs)
        return gn.sum(gn.sin(total)) + gn.sum(ys)

    feeds = {b: RNG.normal(size=(3, 3)), xs: RNG.normal(size=(2, 3, 3))}
    kept, again = (gn.evaluate(gn.grad(loss(f), [b, xs]), feeds) for f in (block, gn.checkpoint(block)))
    for expected, found in zip(kept, again, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_checkpoint_of_one_value_twice():
    x, on = input_of("x", 3), gn.placeholder("on", (2,), "bool")
    block = gn.checkpoint(lambda u, v: gn.sin(u * v))
    y = gn.vmap(lambda each: gn.cond(each, block, gn.add, x, x))(on)
    gradient = gn.evaluate(gn.grad(gn.sum(y), x), {x: [0.1, 0.2, 0.3], on: [True, False]})
    values = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(gradient, 2 * values * np.cos(values**2) + 2)


def test_messages_for_whole_numbers_and_lists():
    x = input_of("x", "n")
    for start in (0, [0]):
        with pytest.raises(DTypeError, match=r"begins with the whole number 0: begin with 0\.0"):
            gn.scan(lambda c, x: ([c[0] + x], None) if isinstance(c, list) else (c + x, None), start, x)
    with pytest.raises(DTypeError, match=r"begin with 1\.0"):
        gn.while_loop(lambda c: c < 3, lambda c: c * 1.5, 1)
    with pytest.raises(ShapeError, match="make one array of the numbers"):
        gn.scan(lambda c, x: (c + x, None), 0.0, [1.0, 2.0])
    with pytest.raises(DTypeError, match="Cast the integer operand"):
        gn.scan(lambda c, i: (c + gn.sum(x) * i, None), 0.0, gn.arange(3))


def test_elements_that_are_done_do_not_fail_in_a_batch():
    table, step = input_of("table", "batch", 4), gn.placeholder("step", ("batch",), "int64")

    def walk(row, k):
        return gn.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + k, c[1] + gn.take(row, c[0])), (0, 0.0))

    place, total = gn.vmap(walk)(table, step)
    values = RNG.normal(size=(3, 4))
    feeds = {table: values, step: [3, 1, 4]}
    found = gn.evaluate([place, total, gn.jvp(total, [table], [table])], feeds)
    assert found[0].tolist() == [6, 4, 4]
    for sums in found[1:]:
        np.testing.assert_allclose(sums, [values[0, 0] + values[0, 3], values[1].sum(), values[2, 0]])
    none = gn.vmap(lambda k: gn.while_loop(lambda c: c < k, lambda c: c + 1, 0))(gn.constant(np.zeros(0, "int64")))
    assert gn.evaluate(none).shape == (0,)
