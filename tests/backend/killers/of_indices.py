"""Indices out of range, everywhere where there are indices; sizes and counts that are no sizes."""

import numpy as np
from killers import error_of, main, outcome, row, rows, same

import graphnn as gn

FAR = {
    "int8": (-5, 4, 127, -128),
    "int32": (-5, 4, 2**31 - 1, -(2**31)),
    "int64": (-5, 4, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1, -(2**63), 2**61),
    "uint8": (4, 255),
    "uint32": (4, 2**31, 2**32 - 4, 2**32 - 1),
    "uint64": (4, 2**63, 2**64 - 4, 2**64 - 1),
}
X = np.arange(24.0).reshape(4, 6)
ALL = [(dtype, value) for dtype, values in FAR.items() for value in values]


def each(build, shape=(2,)):
    """The build with an index out of range behind good ones, in all data types; 4 is the size of the axis."""
    for dtype, value in ALL:
        index = np.zeros(shape, dtype)
        index[(-1,) * len(shape)] = value
        error_of(build, X, index, kind=gn.GraphnnError)


TAKES = {
    "take": lambda x, i: gn.take(x, i, axis=0),
    "take of elements": lambda x, i: x[i, 5] + 1,
    "a gather of two": lambda x, i: x[i, i],
    "a read inside of a sum": lambda x, i: gn.sum(gn.exp(gn.take(x, i, axis=0))),
    "a gather of a view": lambda x, i: gn.take(gn.permute_dims(x[:, ::2], (1, 0)), i, axis=1),
    "scatter_set": lambda x, i: x.at[i].set(1.0),
    "scatter_add": lambda x, i: x.at[i].add(x[:2]),
    "scatter_multiply": lambda x, i: x.at[i].multiply(2.0),
    "scatter_max": lambda x, i: x.at[i].max(0.5),
    "a gradient": lambda x, i: gn.grad(gn.sum(gn.square(gn.take(x, i, axis=0))), x),
    "gather_nd": lambda x, i: gn.gather_nd(x, i[:, None]),
    "scatter_nd": lambda x, i: gn.scatter_nd(x, i[:, None], x[:2]),
}


@rows("index out of range in", TAKES)
def _(name):
    each(TAKES[name])


@row
def take_along_axis():
    each(lambda x, i: gn.take_along_axis(x, i, axis=0), (2, 6))


@row
def index_of_a_scalar():
    each(lambda x, i: x[i], ())


@rows("every index in", ["clip", "wrap", "fill"])
def _(mode):
    for dtype, value in ALL:
        if dtype != "uint64":
            same(lambda x, i: gn.take(x, i, axis=0, mode=mode), X, np.array([0, value], dtype))
            same(lambda x, i: gn.take_along_axis(x, i, axis=0, mode=mode), X, np.full((1, 6), value, dtype))


@row
def one_hot():
    for dtype, value in ALL:
        same(lambda x, i: gn.one_hot(i, 4) + x[0, 0], X, np.array([0, value], dtype))


@row
def index_in_a_loop():
    each(lambda x, i: gn.scan(lambda c, one: (c + 1, gn.sum(x[one])), x[0, 0], i)[1])
    each(lambda x, i: gn.scan(lambda c, one: (c + 1, x.at[one].add(1.0)), i[0] * 0, i)[1])


@row
def index_that_a_loop_carries():
    error_of(lambda x: gn.scan(lambda c, _: (c + 1, x[c]), gn.constant(0), length=9)[1], X, kind=gn.IndexRangeError)
    error_of(
        lambda x: gn.scan(lambda c, _: (c * 1000 - 1, x[c]), gn.constant(0), length=9)[1], X, kind=gn.IndexRangeError
    )
    error_of(lambda x: gn.while_loop(lambda c: c < 100, lambda c: c + 1 + x[c, 0].astype("int64"), gn.constant(0)), X)


@row
def index_in_a_branch():
    each(lambda x, i: gn.switch(gn.constant(1), [lambda x, i: x[0], lambda x, i: gn.sum(x[i], axis=0)], x, i))
    each(lambda x, i: gn.cond(x[0, 0] < 1, lambda: gn.sum(x[i]), lambda: gn.sum(x)))
    same(lambda x, i: gn.cond(x[0, 0] > 1, lambda: gn.sum(x[i]), lambda: gn.sum(x)), X, np.array([99, -99]))


@row
def number_of_a_branch():
    for dtype, value in ALL:
        branches = [lambda x, n=n: x + n for n in range(4)]
        error_of(lambda x, i: gn.switch(i, branches, x), X, np.array(value, dtype), kind=gn.GraphnnError)
    same(lambda x, i: gn.switch(i, branches, x), X, np.array(3, "uint8"))


@row
def number_of_a_branch_in_a_loop():
    def step(c, one):
        return c, gn.switch(one, [lambda: c, lambda: c * 2, lambda: c + 1, lambda: -c])

    each(lambda x, i: gn.scan(step, x[0], i)[1])


@row
def sorter_out_of_range():
    for value in (4, -5, 2**62, -(2**63)):
        sorter = np.array([0, 1, 2, value])
        error_of(lambda x, s: gn.searchsorted(x[:, 0], x[0], sorter=s), X, sorter)


@row
def searchsorted_in_little():
    same(lambda x, v: gn.searchsorted(x, v), np.zeros(0), np.array([1.0, np.nan]))
    same(lambda x, v: gn.searchsorted(x, v, side="right"), np.array([1.0]), np.zeros((0, 3)))


@row
def places_of_unpooled_maxima():
    x = np.ones((1, 2, 2, 1), "float32")
    for value in (16, -17, 2**62, -(2**63)):
        i = np.zeros((1, 2, 2, 1), "int64")
        i[0, 1, 1, 0] = value
        same(lambda x, i: gn.max_unpool(x, i, (4, 4)), x, i)


@row
def index_into_nothing():
    empty = np.zeros((0, 3))
    for i in (np.array([0]), np.array([-1]), np.array([2**63 - 1])):
        error_of(lambda x, i: gn.take(x, i, axis=0), empty, i)
        error_of(lambda x, i: x.at[i].add(1.0), empty, i)
    none = np.zeros(0, "int64")
    same(lambda x, i: [gn.take(x, i, axis=0), x.at[i].set(1.0), gn.take(x, i, axis=1)], empty, none)
    same(lambda x, i: [gn.take(x, i, axis=0), x.at[i].add(1.0), gn.one_hot(i, 3)], X, none)


@row
def index_into_rows_of_nothing():
    for value in (0, 3, 4, -5):
        same(lambda x, i: gn.take(x, i, axis=0), np.zeros((4, 0)), np.array([value]))


@row
def a_parameter_stays_as_it_is():
    w = gn.parameter("w", X.copy())
    i = gn.placeholder("i", (2,), "int64")
    for update in (w.at[i].set(0.0), w.at[i].add(1.0), w - gn.grad(gn.sum(w[i]), w), w + gn.sum(w[i])):
        f = gn.function([i], gn.sum(w), updates={w: update}, backend="native")
        for bad in (4, -5, 2**63 - 1, -(2**63)):
            for _ in range(2):
                try:
                    f(np.array([0, bad]))
                except gn.IndexRangeError:
                    continue
                raise AssertionError("there was no error")
        assert np.array_equal(w.value, X)


@row
def nonzero_with_too_little_room():
    for size in (0, 1, 30):
        same(lambda x: list(gn.nonzero(x, size=size)), X)


@row
def slices_far_out():
    far = [
        slice(2**62, None),
        slice(-(2**62), 2**62),
        slice(None, None, 2**62),
        slice(None, None, -(2**62)),
        slice(3, 1),
    ]
    for cut in far:
        same(lambda x: [x[cut] + 1, x[:, cut] * 2, gn.sum(x[cut]), gn.grad(gn.sum(gn.square(x[cut])), x)], X)


@row
def counts_that_are_none():
    for count in (0, -1, 2**62, -(2**63)):
        same(
            lambda x, n: gn.repeat(x[:, 0], n, size=8),
            X,
            np.array([1, 0, count, 2]) if abs(count) < 2 else np.array([count] * 4),
        )
    error_of(lambda x: gn.repeat(x, -1, axis=0), X)
    error_of(lambda x: gn.top_k(x, 7), X)
    error_of(lambda x: gn.tile(x, (-1,)), X)
    error_of(lambda x: gn.one_hot(x.astype("int64"), -1), X)


HUGE = {
    "arange": lambda x: gn.arange(2**62) * 2,
    "zeros": lambda x: gn.zeros((2**31, 2**31)) + x[0, 0].astype("float32"),
    "a shape beyond 64 bits": lambda x: gn.broadcast_to(x[0, 0], (2**40, 2**40)) * 2,
    "bytes beyond 64 bits": lambda x: gn.broadcast_to(x[0, 0], (2**61,)) * 2,
    "a sum of what is huge": lambda x: gn.sum(gn.cumulative_sum(gn.broadcast_to(x[0, 0], (2**61,)))),
    "a sum beyond 64 bits": lambda x: gn.max(gn.sort(gn.broadcast_to(x[0, 0], (2**40, 2**40)), axis=0)),
    "an outer product": lambda x: gn.outer(gn.broadcast_to(x[0, 0], (2**33,)), gn.broadcast_to(x[0, 1], (2**33,))),
    "a product": lambda x: gn.broadcast_to(x[0, 0], (2**40, 8)) @ gn.broadcast_to(x[0, 0], (8, 2**40)),
    "repeat": lambda x: gn.repeat(x, 2**60),
    "tile": lambda x: gn.tile(x, (2**31, 2**31)),
    "pad": lambda x: gn.pad(x, [(2**40, 2**40), (2**40, 0)]),
    "one_hot": lambda x: gn.one_hot(x.astype("int64"), 2**60),
    "eye": lambda x: gn.eye(2**40) + x[0, 0].astype("float32"),
    "windows": lambda x: gn.windows(gn.broadcast_to(x[0, 0], (2**50,)), 2**49, axis=0) * 2,
    "a loop": lambda x: gn.scan(lambda c, _: (c, gn.broadcast_to(c, (2**50,)) * 2), x[0, 0], length=2**20)[1],
    "random bits": lambda x: gn.uniform(gn.stream(0), (2**40, 2**30)),
}


@rows("too large:", HUGE)
def _(name):
    native, other = (outcome(backend, HUGE[name], [X]) for backend in ("native", "numpy"))
    assert isinstance(native, tuple), native
    assert issubclass(native[0], gn.GraphnnError), native
    assert native[0] is other[0], (native, other)


@row
def sizes_that_overflow_when_they_are_bound():
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], gn.outer(x, x), backend="native")
    big = np.broadcast_to(np.float32(1), (2**32,))
    for _ in range(2):
        try:
            f(big)
        except (gn.GraphnnError, MemoryError):
            continue
        raise AssertionError("there was no error")


if __name__ == "__main__":
    main()
