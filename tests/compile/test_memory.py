"""Results belong to the caller alone: they share memory with no input, variable, constant, earlier result or each other."""

import gc
import weakref

import numpy as np
import pytest

import graphnn as gn

SHAPE = (4, 6)
FIXED = np.arange(24, dtype="float32").reshape(SHAPE)


def leaves():
    return (
        gn.placeholder("x", SHAPE),
        gn.parameter("w", FIXED),
        gn.state("s", FIXED),
        gn.constant(FIXED),
    )


# Graphs whose kernels give back their operand, or a view of it.
VIEWS = {
    "identity": lambda a: a,
    "stop_gradient": lambda a: gn.stop_gradient(a),
    "twice stopped": lambda a: gn.stop_gradient(gn.stop_gradient(a)),
    "named": lambda a: gn.stop_gradient(a).named("y"),
    "transpose": lambda a: a.T,
    "transpose twice": lambda a: a.T.T,
    "reshape": lambda a: a.reshape(6, 4),
    "reshape there and back": lambda a: a.reshape(24).reshape(SHAPE),
    "row": lambda a: a[1],
    "element": lambda a: a[1, 2],
    "slice": lambda a: a[1:, ::2],
    "whole slice": lambda a: a[:],
    "reversed": lambda a: a[::-1, ::-1],
    "new axis": lambda a: a[None, :, None],
    "broadcast": lambda a: gn.broadcast_to(a, (2, *SHAPE)),
    "broadcast element": lambda a: gn.broadcast_to(a[0, 0], SHAPE),
    "squeeze": lambda a: gn.squeeze(a[:1], 0),
    "expand_dims": lambda a: gn.expand_dims(a, axis=1),
    "part": lambda a: gn.grad(gn.sum(gn.concat([a, a]) * 1.0), a),
    "astype to the same": lambda a: a.astype("float32"),
    "tile once": lambda a: gn.tile(a, (1, 1)),
    "pad nothing": lambda a: gn.pad(a, 0),
    "concat of one": lambda a: gn.concat([a]),
    "flip": lambda a: gn.flip(a),
    "where": lambda a: gn.where(gn.constant(True), a, a),
    "positive": lambda a: +a,
    "multiplied by one": lambda a: a * 1.0,
    "sum over nothing": lambda a: gn.sum(a, axis=()),
    "max over nothing": lambda a: gn.max(a, axis=()),
    "sum of one row": lambda a: gn.sum(a[:1], axis=0),
    "einsum": lambda a: gn.einsum("ij->ji", a),
    "diagonal": lambda a: gn.einsum("ij,ij->ij", a, a),
    "clip without bounds": lambda a: gn.clip(a),
    "gather": lambda a: a[np.array([0, 1, 2, 3])],
    "set nothing": lambda a: a.at[0:0].set(1.0),
    "add nothing": lambda a: a.at[0].add(0.0),
    "advance": lambda a: gn.advance(a, {gn.state("count", 0): gn.constant(1, "int64")}),
    "gradient of a sum": lambda a: gn.grad(gn.sum(a), a),
    "cotangent handed through": lambda a: gn.vjp(a, a, FIXED),
    "tangent handed through": lambda a: gn.jvp(a, a, FIXED),
}


def apart(array, others):
    for other in others:
        assert array is not other
        assert not np.shares_memory(array, other)


def calls(make, leaf):
    x, w, s, c = leaves()
    start = {"input": x, "parameter": w, "state": s, "constant": c}[leaf]
    y = VIEWS[make](start)
    f = gn.function([x], {"y": y, "same": y, "z": y * 2.0, "leaf": start}, on_unused="ignore")
    given = FIXED.copy()
    kept = [given, w.cell.array, s.cell.array, c.op.payload.array, FIXED]
    return f, given, kept, (w, s)


@pytest.mark.parametrize("leaf", ["input", "parameter", "state", "constant"])
@pytest.mark.parametrize("make", VIEWS)
def test_results_share_no_memory(make, leaf):
    f, given, kept, variables = calls(make, leaf)
    earlier = []
    for _ in range(3):
        got = f(given)
        for name, array in got.items():
            assert type(array) is np.ndarray, name
            assert array.flags.writeable
            assert array.flags.c_contiguous
            assert array.flags.aligned
            apart(array, kept + earlier + [other for key, other in got.items() if key != name])
        earlier.extend(got.values())
    first = {name: array.copy() for name, array in got.items()}
    # What a caller does to a result changes nothing.
    for array in earlier:
        array[...] = -1
    assert (given == FIXED).all()
    assert all((variable.value == FIXED).all() for variable in variables)
    for name, array in f(given).items():
        np.testing.assert_array_equal(array, first[name])
    # What a caller does to an input changes no earlier result.
    got = f(given)
    given[...] = 7
    for name, array in got.items():
        np.testing.assert_array_equal(array, first[name])


def test_named_sizes_too():
    x = gn.placeholder("x", ("n", 6))
    f = gn.function([x], [x, x.T, gn.broadcast_to(x, (2, "n", 6)), x[1:], gn.arange("n"), gn.arange("n")])
    given = FIXED.copy()
    seen = [given]
    for _ in range(2):
        for array in f(given):
            apart(array, seen)
            seen.append(array)


def test_evaluate_shares_nothing_either():
    x, w = gn.placeholder("x", SHAPE), gn.parameter("w", FIXED)
    given = FIXED.copy()
    got = gn.evaluate([x, x.T, w, w[1:], w, gn.constant(FIXED)], {x: given})
    for i, array in enumerate(got):
        apart(array, [given, w.cell.array, FIXED, *got[:i]])


@pytest.mark.parametrize("shape", [(), (1,), (0, 3)])
def test_scalars_and_empty_arrays_are_arrays_of_their_own(shape):
    x = gn.placeholder("x", shape)
    f = gn.function([x], [x, x + 1, x.reshape(shape), gn.sum(x), gn.stop_gradient(x)])
    given = np.ones(shape, "float32")
    for array in f(given):
        assert type(array) is np.ndarray
        assert array.flags.writeable
        apart(array, [given])


# --- variables ---


def test_the_array_that_a_parameter_was_made_of_stays_the_callers():
    given = np.ones(3, "float32")
    for variable in (gn.parameter("w", given), gn.state("s", given)):
        given[:] = 5
        assert variable.value.tolist() == [1.0, 1.0, 1.0]
        given[:] = 1
        variable.value = given
        given[:] = 7
        assert variable.value.tolist() == [1.0, 1.0, 1.0]
        given[:] = 1


def test_an_initializer_keeps_no_hold_on_the_value():
    kept = np.ones((2, 2), "float32")
    w = gn.parameter("w", lambda shape, rng: kept, (2, 2))
    kept[...] = 9
    assert w.value.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_the_value_that_is_read_is_a_copy():
    w = gn.parameter("w", [1.0, 2.0])
    value = w.value
    value[:] = 0
    assert w.value.tolist() == [1.0, 2.0]
    assert not np.shares_memory(w.value, w.value)


def test_constants_are_fixed():
    given = np.ones(3, "float32")
    c = gn.constant(given)
    given[:] = 5
    assert gn.evaluate(c).tolist() == [1.0, 1.0, 1.0]
    y = gn.constant([1.0, 2.0, 3.0]) * given
    given[:] = 7
    assert gn.evaluate(y).tolist() == [5.0, 10.0, 15.0]
    with pytest.raises(ValueError, match="read-only"):
        c.op.payload.array[0] = 3


@pytest.mark.parametrize("make", ["identity", "transpose twice", "reshape", "slice", "broadcast element"])
def test_updates_do_not_tie_variables_together(make):
    x, w, _, c = leaves()
    for source in (x, w, c):
        new = VIEWS[make](source)
        a, b = gn.parameter("a", np.zeros(new.shape, "float32")), gn.parameter("b", np.zeros(new.shape, "float32"))
        f = gn.function([x], new, updates={a: new, b: new}, on_unused="ignore")
        given = FIXED.copy()
        got = f(given)
        cells = [given, w.cell.array, c.op.payload.array]
        apart(got, [a.cell.array, b.cell.array, *cells])
        apart(a.cell.array, [b.cell.array, *cells])
        wanted = got.copy()
        got[...] = -1
        given[...] = -2
        np.testing.assert_array_equal(a.value, wanted)
        np.testing.assert_array_equal(b.value, wanted)


def test_swapped_variables_have_memory_of_their_own():
    a, b = gn.parameter("a", [1.0]), gn.parameter("b", [2.0])
    gn.function([], [], updates={a: b, b: a})()
    apart(a.cell.array, [b.cell.array])


def test_results_of_an_earlier_call_stay_while_a_variable_moves_on():
    w = gn.parameter("w", [1.0, 2.0])
    f = gn.function([], [w, w + 0], updates={w: w + 1})
    results = [f() for _ in range(3)]
    assert [[r.tolist() for r in pair] for pair in results] == [
        [[float(k + 1), float(k + 2)]] * 2 for k in range(3)
    ]  # fmt: skip


# --- what is held, and for how long ---


def test_values_are_let_go_after_their_last_use():
    alive = []

    class Counted(np.ndarray):
        pass

    from graphnn.backend.numpy.plan import NumpyBackend

    x = gn.placeholder("x", (2,))
    y = x
    for _ in range(6):
        y = gn.sin(y)
    run = NumpyBackend().compile([y], [x])
    refs = []

    def watched(a):
        out = np.sin(a)
        gc.collect()
        refs.append(weakref.ref(out))
        alive.append(sum(ref() is not None for ref in refs))
        return out

    run.steps = [(watched, *rest) for _, *rest in run.steps]
    run([np.ones(2, "float32")])
    assert len(alive) == 6
    assert max(alive) == 2  # the operand and the result


def test_a_function_holds_no_input():
    x = gn.placeholder("x", (2,))
    f = gn.function([x], x * 2)

    class Array(np.ndarray):
        pass

    given = np.ones(2, "float32").view(Array)
    ref = weakref.ref(given)
    f(given)
    del given
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_result_beyond_all_memory(backend):
    # NumPy's kernels give a view of one element here, and only the copy of it that is returned has no room.
    x = gn.placeholder("x", ())
    f = gn.function([x], gn.broadcast_to(x, (2**50,)), backend=backend)
    with pytest.raises(gn.ExecutionError, match="out of memory") as caught:
        f(1.0)
    assert "4,503,599,627,370,496 bytes" in str(caught.value)
