"""Numbers that stop a processor, or on which compilers may do what they like."""

import numpy as np
from killers import main, outcome, row, rows, same

import graphnn as gn

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
HARD = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    np.nan,
    np.inf,
    -np.inf,
    1e-45,
    5e-324,
    1e308,
    -1e308,
    3.5e38,
    1e19,
    -1e19,
    2.0**31,
    2.0**63,
]


def limits(dtype):
    found = np.iinfo(dtype)
    values = [found.min, found.min + 1, -2, -1, 0, 1, 2, found.max - 1, found.max]
    return np.array([v for v in values if v >= found.min], dtype)


def grid(dtype):
    values = limits(dtype)
    return values[:, None].repeat(4, 0), np.tile(values, 4)[None]


def division(x, y):
    return [gn.floor_divide(x, y), gn.remainder(x, y)]


@rows("division", SIGNED + UNSIGNED)
def _(dtype):
    same(division, *grid(dtype))


@rows("division of scalars", SIGNED + UNSIGNED)
def _(dtype):
    least = np.iinfo(dtype).min
    for x in (least, 1):
        for y in (0, -1 if least else 1):
            same(division, np.array(x, dtype), np.array(y, dtype))


@row
def division_of_constants():
    def build(x):
        least, none, minus = (gn.constant(np.array([v] * 3, "int32")) for v in (-(2**31), 0, -1))
        return [*division(least, none), *division(least, minus), *division(x, none), *division(least, x)]

    same(build, np.array([0, -1, 5], "int32"))


@row
def division_in_a_loop():
    def build(x):
        return gn.scan(
            lambda carry, each: (carry - 1, gn.floor_divide(each, carry) + gn.remainder(each, carry)), x[0] * 0 + 1, x
        )

    same(build, np.array([-(2**63)] * 9, "int64"))


@row
def division_in_a_reduction():
    same(lambda x, y: [gn.sum(gn.floor_divide(x, y)), gn.max(gn.remainder(x, y), axis=0)], *grid("int32"))


@rows("division of floats", FLOATS)
def _(dtype):
    values = np.array(HARD).astype(dtype)
    same(lambda x, y: [*division(x, y), x / y, gn.reciprocal(y)], values[:, None], values[None])


@rows("shift", SIGNED + UNSIGNED)
def _(dtype):
    bits = np.iinfo(dtype).bits
    by = [-(2**63), -65, -1, 0, 1, bits - 1, bits, bits + 1, 63, 64, 127, 2**31, 2**63 - 1]
    found = np.iinfo(dtype)
    shifts = np.array([v for v in by if found.min <= v <= found.max], dtype)
    same(lambda x, y: [gn.bitwise_left_shift(x, y), gn.bitwise_right_shift(x, y)], limits(dtype)[:, None], shifts[None])


@row
def shift_by_a_constant():
    same(
        lambda x: [gn.bitwise_left_shift(x, 200), gn.bitwise_right_shift(x, -1), gn.bitwise_left_shift(x, -(2**63))],
        limits("int64"),
    )


@rows("least number", SIGNED)
def _(dtype):
    same(lambda x: [gn.abs(x), -x, gn.sign(x), gn.square(x), x - 1, gn.clip(x, 1, -1)], limits(dtype))


@rows("overflow of sums and products", ("int8", "uint8", "int32", "int64", "uint64"))
def _(dtype):
    x = np.full((40, 3), np.iinfo(dtype).max, dtype)
    same(
        lambda x: [
            gn.sum(x),
            gn.prod(x, axis=0),
            gn.cumulative_sum(x, axis=0),
            gn.cumulative_prod(x, axis=1),
            x.T @ x,
            x * x,
        ],
        x,
    )


@rows("integer power", ("int32", "int64", "uint8"))
def _(dtype):
    same(lambda x, y: gn.pow(x, y), limits(dtype)[:, None], np.array([0, 1, 2, 63, 64, 100], dtype)[None])
    same(lambda x: [x**0, x**1, x**2, x**63, x**64], limits(dtype))


@row
def negative_integer_power():
    same(lambda x, y: gn.pow(x, y), np.array([0, 2, 3]), np.array([1, -1, 2]))
    same(lambda x: gn.pow(x, -1), np.array([0, 2, 3]))


@rows("float to integer", FLOATS)
def _(dtype):
    with np.errstate(all="ignore"):
        x = np.array([*HARD, 255.5, 256.0, -0.9, -128.9, 2.0**32, -(2.0**63)]).astype(dtype)
    same(lambda x: [x.astype(d) for d in (*SIGNED, "uint8", "uint16", "bool")], x)
    # What NumPy makes of numbers that do not fit into these differs from one place of an array to the next.
    for wide in ("uint32", "uint64"):
        fits = (x > -1) & (x <= np.iinfo(wide).max)
        same(lambda x, wide=wide: x.astype(wide), x[fits])
        assert (
            outcome("native", lambda x, wide=wide: x.astype(wide), [x])[fits].tolist() == x[fits].astype(wide).tolist()
        )


@row
def between_all_types():
    for dtype in (*SIGNED, *UNSIGNED):
        same(lambda x: [x.astype(d) for d in (*SIGNED, *UNSIGNED, "float16", *FLOATS, "bool")], limits(dtype))


@row
def bytes_that_are_no_bools():
    x = np.array([0, 1, 2, 128, 255], "uint8").view("bool")
    same(lambda x: [gn.where(x, 1, 0), ~x, gn.all(x), gn.any(x), x.astype("int32"), gn.sum(x.astype("int8"))], x)
    same(lambda x: gn.cond(x[4], lambda: gn.constant(1), lambda: gn.constant(0)), x)
    assert outcome_of_choice(x) == 1


def outcome_of_choice(x):
    node = gn.placeholder("x", (5,), "bool")
    return gn.function(
        [node], gn.switch(node[2].astype("int32"), [lambda: gn.constant(0), lambda: gn.constant(1)]), backend="native"
    )(x)


@rows("functions of hard numbers", FLOATS)
def _(dtype):
    x = np.array(HARD).astype(dtype)
    names = "exp exp2 expm1 log log1p log2 log10 sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf sigmoid"
    same(lambda x: [getattr(gn, name)(x) for name in names.split()], x, rtol=1e-3)
    same(
        lambda x, y: [gn.pow(x, y), gn.hypot(x, y), gn.atan2(x, y), gn.logaddexp(x, y)], x[:, None], x[None], rtol=1e-3
    )


@rows("rounding", FLOATS)
def _(dtype):
    same(
        lambda x: [gn.floor(x), gn.ceil(x), gn.trunc(x), gn.round(x), gn.sign(x), gn.signbit(x)],
        np.array([*HARD, 0.5, 1.5, -0.5]).astype(dtype),
    )


@rows("NaN in order", FLOATS)
def _(dtype):
    x = np.array([HARD, HARD[::-1], [np.nan] * len(HARD)]).astype(dtype)
    same(
        lambda x: [
            gn.max(x, axis=1),
            gn.min(x, axis=0),
            gn.argmax(x, axis=1),
            gn.argmin(x, axis=0),
            gn.maximum(x, x[::-1]),
        ],
        x,
    )
    same(
        lambda x: [gn.sort(x), gn.argsort(x, axis=0, descending=True), gn.top_k(x, 3), gn.cumulative_max(x, axis=1)], x
    )
    unsorted = outcome("native", lambda x, y: gn.searchsorted(x[0], y), [x, x[1]])  # any place will do
    assert np.all((unsorted >= 0) & (unsorted <= x.shape[1]))
    same(lambda x: gn.clip(x, np.nan, 1.0), x)


@rows("infinities together", FLOATS)
def _(dtype):
    x = np.array([[np.inf, -np.inf], [-np.inf, -np.inf], [np.nan, 0], [0, 0]]).astype(dtype)
    same(
        lambda x: [
            gn.sum(x, axis=1),
            gn.mean(x),
            gn.softmax(x),
            gn.logsumexp(x, axis=1),
            gn.log_softmax(x, axis=0),
            x @ x.T,
            gn.prod(x),
        ],
        x,
    )
    same(lambda x: gn.grad(gn.sum(gn.where(x > 0, gn.sqrt(x), x)), x), x)


@row
def payloads_of_nan():
    x = np.array([0x7F800001, 0x7FC12345, 0xFF800001, 0xFFFFFFFF], "uint32").view("float32")
    same(lambda x: [x + 1, x.astype("float64"), x.astype("int8"), gn.max(x), gn.sort(x), gn.isnan(x), -x], x)


@row
def a_remainder_by_the_smallest_number():
    same(lambda x, y: gn.remainder(x, y), np.array([1e308, 1.0, np.inf]), np.array([5e-324, 5e-324, 5e-324]))


if __name__ == "__main__":
    main()
