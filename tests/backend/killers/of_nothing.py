"""Arrays of size 0 in every kind of operation."""

import numpy as np
from killers import error_of, main, row, rows, same

import graphnn as gn

SHAPES = [(0,), (3, 0), (0, 3), (2, 0, 3), (0, 0)]


def empty(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


@rows("element by element", SHAPES)
def _(shape):
    x = empty(*shape)
    same(
        lambda x: [
            gn.exp(x) + 1,
            x > 0,
            gn.where(x > 0, x, -x),
            x.astype("int8"),
            x**2.5,
            gn.zeros_like(x),
            x * x[None],
        ],
        x,
    )
    same(lambda x, y: [x + y, x * y[0], gn.maximum(x, y[0, 0])], x, np.ones((1,) * max(2, len(shape)), "float32"))


@rows("sums of", SHAPES)
def _(shape):
    x = empty(*shape)
    for axis in (*range(len(shape)), None):
        for keep in (False, True):
            same(lambda x: [f(x, axis=axis, keepdims=keep) for f in (gn.sum, gn.prod, gn.all, gn.any, gn.logsumexp)], x)
        same(
            lambda x: [
                gn.mean(x, axis=axis),
                gn.var(x, axis=axis),
                gn.count_nonzero(x, axis=axis),
                gn.vector_norm(x, axis=axis),
            ],
            x,
        )


@rows("extrema of", SHAPES)
def _(shape):
    for axis in (*range(len(shape)), None):
        for function in (gn.max, gn.min, gn.argmax, gn.argmin, gn.median):
            same(lambda x: function(x, axis=axis), empty(*shape))


@rows("softmax of", SHAPES)
def _(shape):
    for axis in range(len(shape)):
        same(
            lambda x: [gn.softmax(x, axis=axis), gn.log_softmax(x, axis=axis), gn.cumulative_sum(x, axis=axis)],
            empty(*shape),
        )


@rows("order of", SHAPES)
def _(shape):
    for axis in range(len(shape)):
        same(
            lambda x: [
                gn.sort(x, axis=axis),
                gn.argsort(x, axis=axis),
                gn.top_k(x, 0, axis=axis),
                gn.cumulative_max(x, axis=axis),
            ],
            empty(*shape),
        )


@rows("product of sizes", [(0, 3, 2), (4, 0, 2), (4, 3, 0), (0, 0, 0), (0, 3, 0), (64, 0, 64)])
def _(sizes):
    m, k, n = sizes
    for dtype in ("float32", "float64", "int32", "float16"):
        x, y = empty(m, k, dtype=dtype), empty(k, n, dtype=dtype)
        same(lambda x, y: [x @ y, gn.relu(x @ y + 1), gn.sum(x @ y), (y.T @ x.T) * 2], x, y)
        same(lambda x, y: gn.matmul(x, y), empty(5, m, k, dtype=dtype), empty(5, k, n, dtype=dtype))
    same(lambda x, y: list(gn.grad(gn.sum(gn.exp(x @ y)), [x, y])), empty(m, k), empty(k, n))


@row
def products_without_batches():
    same(
        lambda x, y: [x @ y, gn.einsum("bij,bjk->bk", x, y), gn.tensordot(x, y, axes=[[0, 2], [0, 1]])],
        empty(0, 3, 4),
        empty(0, 4, 5),
    )
    same(lambda x, y: [gn.outer(x, y), gn.vecdot(x, x), gn.kron(x, y)], empty(0), empty(3))


@rows(
    "convolution of",
    [
        ((0, 8, 8, 3), (3, 3, 3, 4)),
        ((2, 8, 8, 0), (3, 3, 0, 4)),
        ((2, 8, 8, 3), (3, 3, 3, 0)),
        ((2, 2, 8, 3), (3, 3, 3, 4)),
    ],
)
def _(shapes):
    x, w = (empty(*shape) for shape in shapes)
    same(lambda x, w: gn.conv2d(x, w), x, w)
    same(lambda x, w: gn.conv2d(x, w, padding="same", stride=2), x, w)
    same(lambda x, w: list(gn.grad(gn.sum(gn.square(gn.conv2d(x, w, padding="same"))), [x, w])), x, w)


@rows("pooling of", [(0, 4, 4, 2), (2, 4, 4, 0), (2, 0, 4, 1), (2, 1, 4, 1)])
def _(shape):
    for function in (gn.max_pool, gn.avg_pool):
        same(lambda x: function(x, 2), empty(*shape))
        same(lambda x: gn.grad(gn.sum(function(x, 2)), x), empty(*shape))


@row
def moves():
    x = empty(0, 3)
    same(
        lambda x: [
            x.T,
            x[::-1],
            x.reshape(3, 0),
            x.reshape(0),
            gn.flip(x),
            gn.roll(x, 1, axis=0),
            gn.tile(x, (2, 2)),
            gn.repeat(x, 3),
        ],
        x,
    )
    same(
        lambda x: [gn.concat([x, x]), gn.concat([x, gn.ones((2, 3))]), gn.stack([x, x]), gn.pad(x, [(1, 2), (0, 0)])], x
    )
    same(
        lambda x: [
            gn.pad(x, [(0, 0), (2, 2)], mode="wrap"),
            gn.tril(x),
            gn.diagonal(x),
            gn.broadcast_to(x, (4, 0, 3)),
            gn.windows(x, 2, axis=1),
        ],
        x,
    )
    same(lambda x: gn.pad(x, [(1, 1), (0, 0)], mode="edge"), x)


@row
def empty_parts_of_what_is_not():
    x = np.arange(6.0)
    same(
        lambda x: [
            x[3:3],
            gn.sum(x[6:]),
            gn.prod(x[:0]),
            gn.concat([x[:0], x, x[6:]]),
            x[:0] @ x[:0],
            gn.split(x, [0, 6]),
        ],
        x,
    )
    same(lambda x: gn.grad(gn.sum(x[2:2]) + gn.sum(x), x), x)


@row
def loops_without_steps():
    def step(c, x):
        return c + gn.sum(x), c * x

    same(lambda x: list(gn.scan(step, gn.constant(1.0), x)), empty(0, 3))
    same(lambda x: list(gn.scan(step, gn.constant(1.0), x)), empty(3, 0))
    same(lambda x: list(gn.scan(step, x, x)), empty(0, 0))
    same(lambda x: gn.grad(gn.sum(gn.scan(step, gn.sum(x), x)[1]), x), empty(0, 3))
    same(lambda x: gn.scan(lambda c, _: (c * 2, c), x, length=0)[0], np.ones(2))
    same(lambda x: list(gn.scan(lambda c, _: (c * 2, c), x, length=3)), empty(2, 0))
    error_of(lambda x: gn.scan(lambda c, _: (c * 2, c), x, length=-1)[0], np.ones(2))


@row
def branches_of_nothing():
    same(lambda x, i: gn.switch(i, [lambda x: x, lambda x: x * 2, lambda x: x[::-1]], x), empty(0, 2), np.array(2))
    error_of(lambda x, i: gn.switch(i, [lambda x: x, lambda x: x * 2], x), empty(0, 2), np.array(2))
    same(lambda x: gn.while_loop(lambda c: gn.sum(c) > 0, lambda c: c - 1, x), empty(0, 2))
    error_of(lambda x: gn.switch(x[0].astype("int32"), [], x), np.ones(2))


@row
def normalisation():
    same(lambda x: [gn.layer_norm(x), gn.rms_norm(x), gn.one_hot(x.astype("int32"), 0)], empty(0, 4))
    same(lambda x: gn.one_hot(x.astype("int32"), 0), empty(3))
    same(lambda x: gn.grad(gn.sum(gn.layer_norm(x)), x), empty(0, 4))


@row
def random_numbers():
    same(
        lambda x: [
            gn.uniform(gn.stream(1), (0, 2)) + x,
            gn.normal(gn.stream(2), (0,)),
            gn.permutation(gn.stream(3), 0),
            gn.permutation(gn.stream(3), x),
        ],
        empty(0, 2),
    )


@row
def parameters_of_nothing():
    values = []
    for backend in ("native", "numpy"):
        w, v = gn.parameter("w", empty(0, 3)), gn.parameter("v", np.ones(3, "float32"))
        f = gn.function([], gn.sum(w), updates={w: w * 2 + 1, v: v + gn.sum(w, axis=0)}, backend=backend)
        values.append([(float(f()), v.value.tolist(), w.value.shape) for _ in range(3)])
    assert values[0] == values[1], values


@row
def many_results_of_nothing():
    same(lambda x: [x + i for i in range(40)], empty(0))
    same(lambda x: [gn.constant(np.zeros((0, 2))), gn.eye(0), gn.arange(0), gn.sum(x), x], empty(0))


@row
def linear_algebra():
    same(lambda x: [gn.det(x), gn.inv(x), gn.matrix_trace(x)], empty(0, 0))
    same(lambda x, y: gn.solve(x, y), empty(0, 0), empty(0, 2))


@row
def axes_of_size_one():
    x = np.ones((1, 1, 1), "float32")
    same(
        lambda x: [
            gn.sum(x),
            gn.max(x, axis=1),
            gn.softmax(x),
            x @ x,
            gn.sort(x),
            gn.cumulative_sum(x, axis=1),
            x.T,
            gn.argmax(x, axis=2),
        ],
        x,
    )


if __name__ == "__main__":
    main()
