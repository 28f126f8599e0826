"""Loops, choices and decompositions under `vmap`, beyond what the table of OpCases holds."""

import numpy as np
import pytest

import graphnn as gn


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def looped(f, *arrays):
    """What the function gives for each element, stacked."""
    rows = [gn.evaluate(f(*map(gn.constant, row))) for row in zip(*arrays, strict=True)]
    return [np.stack(column) for column in zip(*rows, strict=True)] if isinstance(rows[0], tuple) else np.stack(rows)


def test_a_scan_stays_one_loop():
    w = gn.parameter("w", numbers(3, 3) / 2)
    x = gn.placeholder("x", ("batch", "steps", 3), "float64")

    def last(x):
        return gn.scan(lambda c, e: (gn.tanh(w @ c + e), gn.sum(c)), np.zeros(3), x)

    carry, sums = gn.vmap(last)(x)
    assert sums.shape == (gn.Dim("batch"), gn.Dim("steps"))
    assert sum(node.op.name == "scan" for node in gn.Graph([carry, sums])) == 1
    values = numbers(4, 5, 3, seed=1)
    f = gn.function([x], [carry, sums, gn.grad(gn.sum(carry) + gn.sum(sums * sums), [w, x])])
    one = gn.placeholder("x", (5, 3), "float64")
    c, s = last(one)
    g = gn.function([one], [c, s, gn.grad(gn.sum(c) + gn.sum(s * s), [w, one])])
    rows = [g(row) for row in values]
    got = f(values)
    np.testing.assert_allclose(got[0], np.stack([row[0] for row in rows]), rtol=1e-13)
    np.testing.assert_allclose(got[1], np.stack([row[1] for row in rows]), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(got[2][0], sum(row[2][0] for row in rows), rtol=1e-12)
    np.testing.assert_allclose(got[2][1], np.stack([row[2][1] for row in rows]), rtol=1e-12, atol=1e-14)


def test_what_a_loop_does_not_share_with_the_batch_stays_alone():
    x = gn.placeholder("x", ("batch", 4), "float64")

    def f(x):
        (count, total), powers = gn.scan(lambda c, e: ((c[0] + 1, c[1] + e), 2.0 ** c[0]), (0.0, 0.0), x)
        return count, total, powers

    count, total, powers = gn.vmap(f, out_axes=(None, 0, None))(x)
    got = gn.function([x], [count, total, powers])(numbers(3, 4))
    assert got[0] == 4.0
    np.testing.assert_allclose(got[1], numbers(3, 4).sum(1), rtol=1e-14)
    assert got[2].tolist() == [1.0, 2.0, 4.0, 8.0]


def test_elements_leave_a_while_loop_at_their_own_step():
    def steps(x):
        return gn.while_loop(lambda c: c[0] > 1.0, lambda c: (c[0] * 0.5, c[1] + 1), (x, 0))

    x = np.array([0.5, 3.0, 100.0, 8.0])
    got = gn.evaluate(gn.vmap(steps)(x))
    for value, expected in zip(got, looped(steps, x), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert got[1].tolist() == [0, 2, 7, 3]
    # A condition that is the same for all is asked once.
    same = gn.vmap(lambda x: gn.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * 2, c[1] + 1), (x, 0)), 0, (0, None))(x)
    assert gn.evaluate(same[1]) == 3
    np.testing.assert_array_equal(gn.evaluate(same[0]), x * 8)
    pushed = gn.vmap(lambda x: gn.jvp(steps(x)[0], [x], [1.0]))(x)
    np.testing.assert_array_equal(gn.evaluate(pushed), 0.5 ** np.array([0, 2, 7, 3]))


def test_each_element_takes_its_branch():
    x, keep, place = np.array([4.0, -1.0, 0.25]), np.array([True, False, True]), np.array([2, 0, 1])

    def chosen(keep, x):
        return gn.cond(keep, lambda: gn.sqrt(x), lambda: x * x)

    def switched(i, x):
        return gn.switch(i, [gn.sin, gn.cos, lambda x: 2.0 * x], x)

    np.testing.assert_array_equal(gn.evaluate(gn.vmap(chosen)(keep, x)), [2.0, 1.0, 0.5])
    np.testing.assert_allclose(gn.evaluate(gn.vmap(switched)(place, x)), [8.0, np.sin(-1), np.cos(0.25)], rtol=1e-15)
    # The branch that is not taken does not matter, though it is computed.
    slopes = gn.vmap(lambda k, x: gn.grad(chosen(k, x), x))(keep, x)
    np.testing.assert_array_equal(gn.evaluate(slopes), [0.25, -2.0, 1.0])
    # One choice for all stays a choice.
    one = gn.vmap(chosen, (None, 0))(gn.constant(True), np.array([4.0, 9.0]))
    assert "switch" in {node.op.name for node in gn.Graph(one)}
    np.testing.assert_array_equal(gn.evaluate(one), [2.0, 3.0])
    for wrong in (3, -1):
        with pytest.raises(gn.ExecutionError):
            gn.evaluate(gn.vmap(switched)(np.array([0, wrong, 1]), x))


def test_decompositions_of_stacks():
    x = numbers(3, 4, 4)
    for f in (gn.qr, gn.lu, lambda x: gn.eigh(x + x.mT), gn.svd):
        got = gn.evaluate(tuple(gn.vmap(lambda x, f=f: tuple(f(x)))(x)))
        for value, expected in zip(got, looped(lambda x, f=f: tuple(f(x)), x), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
