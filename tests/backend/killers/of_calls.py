"""What comes in and goes out of a call, and what happens meanwhile."""

import gc
import itertools
import threading
import weakref

import numpy as np
from killers import main, outcome, row, rows, same

import graphnn as gn

F = np.float32


def native(*args, **options):
    return gn.function(*args, backend="native", **options)


class Own(np.ndarray):
    pass


def layouts():
    base = np.arange(48, dtype=F).reshape(6, 8)
    raw = np.zeros(4 * 12 + 1, "uint8")
    unaligned = raw[1:].view(F).reshape(3, 4)
    unaligned[:] = base[:3, :4]
    read_only = base[:3, :4].copy()
    read_only.flags.writeable = False
    structured = np.zeros((3, 4), [("a", "u1"), ("b", "f4")])
    structured["b"] = base[:3, :4]
    return {
        "negative": base[:3, :4][::-1, ::-1],
        "steps": base[::2, ::2],
        "zero": np.broadcast_to(F(3), (3, 4)),
        "zero in a row": np.broadcast_to(base[0, :4], (3, 4)),
        "columns first": np.asfortranarray(base[:3, :4]),
        "unaligned": unaligned,
        "swapped": base[:3, :4].astype(">f4"),
        "read-only": read_only,
        "a field": structured["b"],
        "overlapping windows": np.lib.stride_tricks.as_strided(base, (3, 4), (4, 4)),
        "of a class of its own": base[:3, :4].view(Own),
        "a list": base[:3, :4].tolist(),
        "a buffer": memoryview(np.ascontiguousarray(base[:3, :4])),
    }


@rows("an argument that is", layouts())
def _(name):
    value = layouts()[name]
    found = []
    for backend in ("native", "numpy"):
        x, w = gn.placeholder("x", (3, 4)), gn.parameter("w", np.ones((3, 4)), dtype="float32")
        f = gn.function(
            [x], [x * 2 + w, x @ x.T, gn.sum(x), gn.sort(x, axis=0), x], updates={w: w + x}, backend=backend
        )
        f(np.zeros((3, 4), F))
        for _ in range(2):
            results = f(value)
        w.value = np.asarray(value, F)
        found.append([*results, *f(value), w.value])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
        assert type(a) is np.ndarray


WRONG = [
    np.ma.array(np.ones(3, F), mask=[0, 1, 0]),
    None,
    "text",
    b"bytes",
    object(),
    {},
    [],
    [[1.0], [1.0, 2.0]],
    2**70,
    1j,
    np.array([None] * 3),
    np.zeros(3, "M8[s]"),
    np.zeros((3, 0)),
]


@row
def what_is_no_array_of_numbers():
    x = gn.placeholder("x", (3,))
    fs = [gn.function([x], x + 1, backend=backend) for backend in ("native", "numpy")]
    for f in fs:
        f(np.zeros(3, F))
    for value in WRONG:
        errors = []
        for f in fs:
            try:
                f(value)
            except Exception as error:
                errors.append((type(error), str(error)))
        assert len(errors) == 2, value
        assert errors[0] == errors[1]
    nested = []
    nested.append(nested)
    for f in fs:
        try:
            f(nested)
        except Exception as error:
            assert not isinstance(error, AssertionError)


@row
def scalars():
    for dtype, values in {
        "float32": [1, 1.5, F(2), np.array(2, F), True],
        "int64": [3, np.int64(-3)],
        "bool": [True, np.bool_(False)],
    }.items():
        x = gn.placeholder("x", (), dtype)
        f, g = (gn.function([x], [gn.where(x == x[None], x, x), x], backend=backend) for backend in ("native", "numpy"))
        for value in values:
            for _ in range(2):
                found = []
                for h in (f, g):
                    try:
                        found.append([np.asarray(v).tolist() for v in h(value)])
                    except gn.GraphnnError as error:
                        found.append(str(error))
                assert found[0] == found[1], found


@row
def one_array_for_all_arguments():
    x, y, z = (gn.placeholder(n, (5, 5)) for n in "xyz")
    f, g = (gn.function([x, y, z], [x @ y + z, y * 2, x - z], backend=b) for b in ("native", "numpy"))
    a = np.arange(25, dtype=F).reshape(5, 5)
    for _ in range(2):
        for p, q in zip(f(a, a, a), g(a, a, a), strict=True):
            assert np.array_equal(p, q)
    assert np.array_equal(a, np.arange(25).reshape(5, 5))


@row
def results_as_arguments():
    x, y = gn.placeholder("x", (100,)), gn.placeholder("y", (100,))
    f = native([x, y], [x + y, x - y])
    a, b = np.ones(100, F), np.zeros(100, F)
    for _ in range(50):
        a, b = f(a, b)
        a, b = b, a * 0.5
    assert np.isfinite(a).all()
    big = np.zeros(150, F)
    assert np.array_equal(f(big[:100], big[50:])[0], np.zeros(100))


@row
def a_parameter_as_an_argument():
    w = gn.parameter("w", np.ones(50), dtype="float32")
    x = gn.placeholder("x", (50,))
    f = native([x], gn.sum(w), updates={w: w + x[::-1] * 2})
    for _ in range(3):
        before = w.cell.array.copy()
        f(w.cell.array)
        assert np.array_equal(w.value, before + before[::-1] * 2)


@row
def a_view_of_a_parameter_is_held():
    w = gn.parameter("w", np.ones(50), dtype="float32")
    f = native([], gn.sum(w), updates={w: w * 2})
    f()
    held = [w.cell.array[::2], memoryview(w.cell.array), w.cell.array.reshape(5, 10), w.value]
    before = [np.array(h) for h in held]
    for _ in range(3):
        f()
    assert all(np.array_equal(h, b) for h, b in zip(held, before, strict=True))


@row
def a_read_only_value_of_a_parameter():
    value = np.ones(5, F)
    value.flags.writeable = False
    w = gn.parameter("w", value)
    f = native([], w + 0, updates={w: w + 1})
    for i in range(4):
        assert f()[0] == 1 + i
    assert value[0] == 1
    w.value = value
    for i in range(4):
        assert f()[0] == 1 + i
    assert value[0] == 1


@row
def results_that_outlive_everything():
    x = gn.placeholder("x", (1000,))
    table = np.arange(1000, dtype=F)
    f = native([x], [x * 2, x[:10] + 1, gn.constant(table) + 0, x, gn.scan(lambda c, e: (c + e, c), x[0], x)[1]])
    kept = [f(table) for _ in range(3)]
    expected = [[r.copy() for r in results] for results in kept]
    gone = weakref.ref(f)
    del f, x
    gc.collect()
    assert gone() is None
    other = gn.placeholder("x", (1000,))
    native([other], [other * 3, gn.exp(other)])(table)
    for results, wanted in zip(kept, expected, strict=True):
        for a, b in zip(results, wanted, strict=True):
            assert np.array_equal(a, b)
            a[...] = 0  # nobody else reads it


@row
def arguments_that_go_away():
    x = gn.placeholder("x", ("n",))
    f = native([x], gn.sum(x * 2))
    for n in (1, 1000, 100_000) * 5:
        assert f(np.ones(n, F)) == 2 * n
        gc.collect()


@row
def an_argument_changes_meanwhile():
    x = gn.placeholder("x", (300_000,))
    f = native([x], [gn.exp(x), gn.sum(x)])
    a = np.zeros(300_000, F)
    f(a)
    stop = threading.Event()
    refused = []

    def other():
        while not stop.is_set():
            a.fill(1)
            try:
                a.resize(10)
                a.resize(300_000)
            except ValueError:  # while a call reads it
                refused.append(1)
            a.fill(0)

    thread = threading.Thread(target=other)
    thread.start()
    for number in range(20_000):
        if number >= 30 and refused:  # a call has been met in its midst
            break
        try:
            assert np.isfinite(f(a)[1])
        except gn.ShapeError:  # between two calls
            continue
    stop.set()
    thread.join()
    assert refused


@row
def parameters_are_set_meanwhile():
    w = gn.parameter("w", np.zeros(300_000), dtype="float32")
    x = gn.placeholder("x", ())
    f = native([x], [gn.max(w * x), gn.min(w * x)])
    f(1.0)
    stop = threading.Event()

    def other():
        number = 0
        while not stop.is_set():
            number += 1
            w.value = np.full(300_000, number, F)

    thread = threading.Thread(target=other)
    thread.start()
    for _ in range(40):
        high, low = f(np.array(1, F))
        assert high == low
    stop.set()
    thread.join()


def chain(length):
    x = gn.placeholder("x", (3,))
    y = x
    for i in range(length):
        y = gn.sin(y) if i % 7 == 0 else y + x * 0.01 if i % 7 < 4 else gn.maximum(y, 0.1)
    return x, y


@row
def a_deep_graph():
    found = []
    for backend in ("native", "numpy"):
        x, y = chain(3000)
        found.append(gn.function([x], [y, gn.sum(y)], backend=backend)(np.ones(3, F)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-3)


@row
def a_wide_graph():
    xs = [gn.placeholder(f"x{i}", ()) for i in range(300)]
    outputs = [a * b for a, b in itertools.pairwise(xs)]
    f = native(xs, [*outputs, sum(xs)])
    for _ in range(2):
        found = f(*np.arange(300, dtype=F))
    assert found[-1] == 299 * 150
    assert found[-2] == 298 * 299


@row
def an_array_of_64_axes():
    same(lambda x: [gn.sum(x), x + 1, x.T], np.ones((1,) * 60 + (2, 1, 3, 1), F))
    for backend in ("native", "numpy"):
        found = outcome(backend, lambda x: x[None] + 1, [np.ones((1,) * 64, F)])
        assert found[0] is gn.ExecutionError


if __name__ == "__main__":
    main()
