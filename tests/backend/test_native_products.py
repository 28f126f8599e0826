"""Products of the native backend against NumPy in double precision: shapes, strides, targets, epilogues, threads."""

import ctypes
import functools
import os

import numpy as np
import pytest

llvm = pytest.importorskip("llvmlite.binding")

from graphnn.backend.native import driver, jit, kernels, pool, products  # noqa: E402
from graphnn.backend.native.cuts import Plan, choose  # noqa: E402
from graphnn.backend.native.emit import Module  # noqa: E402
from graphnn.backend.native.products import Epilogue, Product, emit_product  # noqa: E402
from graphnn.backend.native.target import host  # noqa: E402

MANY = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1
SIZES = [1, 1, 2, 3, 4, 5, 7, 8, 10, 15, 16, 17, 31, 32, 33, 40, 64, 65, 100, 130, 600, 1100]
KINDS = {"float": np.float32, "double": np.float64}
TARGETS = {"host": host().module, "narrow": lambda: Module(16, 16, False)}
if host().fma:
    TARGETS["middle"] = lambda: Module(32, 16, True)


def compiled(products, module=None):
    """Functions of pointers, all from one module."""
    module = module or host().module()
    for i, p in enumerate(products):
        name = emit_product(module, p)
        parameters = ", ".join(f"ptr %p{j}" for j in range(4 + (p.epilogue.pointers if p.epilogue else 0)))
        module.add(f"define void @go{i}({parameters}) {{\ncall void @{name}({parameters})\nret void\n}}")
    kernels.link(module.text)
    library = jit.compile(module.text, level=1)
    return [_function(library, i, p) for i, p in enumerate(products)]


def _function(library, i, p):
    count = 4 + (p.epilogue.pointers if p.epilogue else 0)
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(library.address(f"go{i}"))

    def run(a, b, c, *further):
        assert library
        call(a.ctypes.data, b.ctypes.data, c.ctypes.data, None, *[x.ctypes.data for x in further])
        return c

    return run


def strides(x, axes=(-2, -1)):
    return tuple(x.strides[axis] // x.itemsize for axis in axes)


def check(found, a, b, dtype, extra=(), scale=1.0):
    """The error of a sum of k products is at most about k roundings of the sum of their absolute values."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    bound = (a.shape[-1] + 4) * np.finfo(dtype).eps * (scale * (abs(wide_a) @ abs(wide_b)) + sum(map(abs, extra)))
    error = abs(found - (scale * (wide_a @ wide_b) + sum(extra)))
    assert (error <= bound + 1e-300).all(), (error.max(), np.argwhere(~(error <= bound))[:5])


class Padded:
    """Random matrices of any layout inside larger arrays full of NaN."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def matrix(self, dtype, batch, rows, columns, turned=False):
        if turned:
            return self.matrix(dtype, batch, columns, rows).swapaxes(-1, -2)
        pad = self.rng.integers(0, 3, 3)
        whole = np.full((*batch, rows + pad[0], pad[1] + columns + pad[2]), np.nan, dtype)
        inside = whole[..., :rows, pad[1] : pad[1] + columns]
        inside[...] = self.rng.standard_normal((*batch, rows, columns))
        return inside


def bias_and_row(builder, value, spot, pointers):
    bias = builder.load(builder.gep(pointers[0], value.kind, spot.column), value.kind, value.lanes, spot.active)
    number = functools.reduce(
        lambda x, y: builder.bin("add", builder.bin("mul", x, builder.const("i64", 10)), y), spot.batch, spot.row
    )
    half = builder.bin("fmul", value, builder.const(value.kind, 0.5))
    return builder.bin("fadd", builder.bin("fadd", half, bias), builder.cast("sitofp", number, value.kind))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(4 * MANY))
def test_any_shape_and_layout(target, seed):
    make = Padded(seed)
    rng = make.rng
    products, data = [], []
    for _ in range(10):
        kind = rng.choice(list(KINDS)).item()
        dtype = KINDS[kind]
        m, n, k = (rng.choice(SIZES).item() for _ in range(3))
        if m * n * k > 2e7:
            k = 5
        batch = tuple(rng.integers(1, 4, rng.choice([0, 0, 1, 2])).tolist())
        a = make.matrix(dtype, batch, m, k, rng.integers(2))
        b = make.matrix(dtype, batch, k, n, rng.integers(2))
        c = make.matrix(dtype, batch, m, n, rng.integers(4) == 0)
        if rng.integers(6) == 0:
            b = np.repeat(np.repeat(b, 2, -1), 2, -2)[..., ::2, ::2]
        if rng.integers(6) == 0:
            a = a[..., ::-1, ::-1]
        if rng.integers(6) == 0:
            b = np.broadcast_to(b[..., :1], b.shape)
        ride = Epilogue("bias", 1, bias_and_row) if rng.integers(2) else None
        levels = tuple((count, *(x.strides[i] // x.itemsize for x in (a, b, c))) for i, count in enumerate(batch))
        products.append(Product(kind, m, n, k, strides(a), strides(b), strides(c), levels, ride))
        data.append((a, b, c, make.matrix(dtype, (), 1, n)))
    for run, p, (a, b, c, bias) in zip(compiled(products, TARGETS[target]()), products, data, strict=True):
        before = np.isnan(c.base).sum()
        run(a, b, c, *([bias] if p.epilogue else []))
        assert np.isnan(c.base).sum() == before  # nothing leaks in, nothing is written outside
        if p.epilogue is None:
            check(c, a, b, c.dtype)
        else:
            number = np.arange(p.m)[:, None]
            places = [np.arange(count).reshape(-1, *[1] * (c.ndim - i - 1)) for i, count in enumerate(c.shape[:-2])]
            number = functools.reduce(lambda x, y: x * 10 + y, places, number)
            check(c, a, b, c.dtype, (number, bias.astype(np.float64)), 0.5)


@pytest.mark.parametrize("target", TARGETS)
def test_further_axes_of_rows_and_depth(target):
    # A convolution and its gradient by the kernel, read in place.
    rng = np.random.default_rng(0)
    for step in (1, 2):
        x, w = rng.standard_normal((3, 9, 11, 5)), rng.standard_normal((2, 3, 5, 20))
        view = np.lib.stride_tricks.sliding_window_view(x, (2, 3), (1, 2))[:, ::step, ::step].transpose(
            0, 1, 2, 4, 5, 3
        )
        s = [each // 8 for each in view.strides]
        batch, high, wide = view.shape[:3]
        y = np.empty((batch, high, wide, 20))
        forward = Product(
            "double", wide, 20, 15, (s[2], 1), (20, 1), (20, 1), (), None,
            ((batch, s[0], high * wide * 20), (high, s[1], wide * 20)), ((2, s[3], 15 * 20),),
        )  # fmt: skip
        backward = Product(
            "double", 15, 20, wide, (1, s[2]), (20, 1), (20, 1), (), None,
            ((2, s[3], 15 * 20),), ((batch, s[0], high * wide * 20), (high, s[1], wide * 20)),
        )  # fmt: skip
        first, second = compiled([forward, backward], TARGETS[target]())
        first(x, w, y)
        np.testing.assert_allclose(y, np.einsum("nhwpqc,pqco->nhwo", view, w), rtol=1e-12, atol=1e-12)
        gradient = np.empty_like(w)
        second(x, y, gradient)
        np.testing.assert_allclose(gradient, np.einsum("nhwpqc,nhwo->pqco", view, y), rtol=1e-12, atol=1e-11)


PACKED = [  # m, n, k, batches: edges of tiles, of panels and of blocks, several items of each kind
    (64, 64, 64, ()),
    (65, 71, 300, ()),
    (131, 200, 257, ()),
    (47, 300, 1030, ()),
    (600, 40, 70, ()),
    (500, 97, 640, ()),
    (33, 50, 90, (3,)),
    (50, 65, 300, (2, 2)),
]


@pytest.mark.parametrize("ride", [None, Epilogue("bias", 1, bias_and_row)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_rows_that_lie_far_apart_are_packed(target, kind, ride):
    make, dtype = Padded(7), KINDS[kind]
    products, data = [], []
    for turned in (False, True):
        for m, n, k, batch in PACKED:
            a, c = make.matrix(dtype, batch, m, k, True), make.matrix(dtype, batch, m, n)
            b = make.matrix(dtype, batch, k, n, turned)
            levels = tuple((count, *(x.strides[i] // x.itemsize for x in (a, b, c))) for i, count in enumerate(batch))
            products.append(Product(kind, m, n, k, strides(a), strides(b), strides(c), levels, ride))
            data.append((a, b, c, make.matrix(dtype, (), 1, n)))
            assert Plan(TARGETS[target](), products[-1]).packs_rows
    before = []
    try:
        for threads in (1, 3):
            pool.set_num_threads(threads)
            runs = compiled(products, TARGETS[target]())
            for number, (run, p, (a, b, c, bias)) in enumerate(zip(runs, products, data, strict=True)):
                c[...] = 7
                nothing = np.isnan(c.base).sum()
                run(a, b, c, *([bias] if ride else []))
                assert np.isnan(c.base).sum() == nothing
                if threads > 1:
                    assert (c == before[number]).all()
                    continue
                before.append(c.copy())
                if ride is None:
                    check(c, a, b, dtype)
                    continue
                places = [np.arange(count).reshape(-1, *[1] * (c.ndim - i - 1)) for i, count in enumerate(c.shape[:-2])]
                rows = functools.reduce(lambda x, y: x * 10 + y, places, np.arange(p.m)[:, None])
                check(c, a, b, dtype, (rows, bias.astype(np.float64)), 0.5)
    finally:
        pool.set_num_threads(None)


@pytest.mark.parametrize("target", TARGETS)
def test_packed_rows_of_several_axes(target):
    # The gradient of a convolution by a large kernel: rows of two axes, a depth of three.
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((3, 9, 14, 40)), rng.standard_normal((3, 8, 12, 70))
    view = np.lib.stride_tricks.sliding_window_view(x, (2, 3), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
    s = [each // 8 for each in view.strides]
    batch, high, wide = view.shape[:3]
    p = Product(
        "double", 120, 70, wide, (1, s[2]), (70, 1), (70, 1), (), None,
        ((2, s[3], 120 * 70),), ((batch, s[0], high * wide * 70), (high, s[1], wide * 70)),
    )  # fmt: skip
    plan = Plan(TARGETS[target](), p)
    assert plan.packs_rows
    assert plan.by_runs
    (run,) = compiled([p], TARGETS[target]())
    gradient = run(x, y, np.empty((2, 3, 40, 70)))
    np.testing.assert_allclose(gradient, np.einsum("nhwpqc,nhwo->pqco", view, y), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("target", TARGETS)
def test_what_an_item_packs_has_room(target):
    rng, module = np.random.default_rng(9), TARGETS[target]()
    found = 0
    try:
        for threads in (1, 2, 16):
            pool.set_num_threads(threads)
            for _ in range(200):
                m, n, k, runs = (int(2 ** rng.uniform(0, top)) for top in (13, 13, 13, 5))
                kind = rng.choice(list(KINDS)).item()
                plan = Plan(module, Product(kind, m, n, k, (1, m), (n, 1), (n, 1), depth=((runs, m * k, n * k),)))
                sums = plan.row_units * plan.shape.rows * plan.group * plan.width * plan.size
                assert plan.once or sums <= driver.STRIP_BYTES
                assert plan.group * (plan.groups - 1) < plan.panels <= plan.group * plan.groups
                assert plan.row_units * (plan.row_blocks - 1) < plan.units <= plan.row_units * plan.row_blocks
                if plan.packs_rows:
                    found += 1
                    assert plan.steps * plan.shape.rows * plan.size <= plan.a_unit
                    assert plan.row_units * plan.a_unit <= driver.ROWS_BYTES
                    assert plan.steps * plan.width * plan.size <= driver.PANEL_BYTES
    finally:
        pool.set_num_threads(None)
    assert found > 100


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_sum_and_nothing_to_do(kind):
    dtype = KINDS[kind]
    a, b, bias = np.full(64, np.nan, dtype), np.full(64, np.nan, dtype), np.arange(8, dtype=dtype)
    ride = Epilogue("bias", 1, bias_and_row)
    products = [
        Product(kind, 3, 8, 0, (0, 1), (8, 1), (8, 1)),
        Product(kind, 3, 8, 0, (0, 1), (8, 1), (8, 1), (), ride),
        Product(kind, 3, 8, 2, (2, 1), (8, 1), (8, 1), (), None, (), ((0, 4, 4),)),
        Product(kind, 0, 8, 3, (3, 1), (8, 1), (8, 1)),
        Product(kind, 3, 0, 3, (3, 1), (0, 1), (0, 1)),
        Product(kind, 3, 8, 2, (2, 1), (8, 1), (8, 1), ((0, 0, 0, 0),)),
    ]
    zeros, started, empty, *nothing = compiled(products)
    c = np.full((3, 8), 7, dtype)
    assert (zeros(a, b, c) == 0).all()
    assert (started(a, b, c, bias) == bias + np.arange(3)[:, None]).all()
    assert (empty(a, b, c) == 0).all()
    for run in nothing:
        c[...] = 7
        assert (run(a, b, c) == 7).all()


def test_nan_stays_in_its_row_and_column():
    rng = np.random.default_rng(1)
    a, b, c = (rng.standard_normal(shape).astype(np.float32) for shape in ((21, 40), (40, 37), (21, 37)))
    a[13, 5], b[7, 20] = np.nan, np.inf
    (run,) = compiled([Product("float", 21, 37, 40, (40, 1), (37, 1), (37, 1))])
    run(a, b, c)
    finite = np.ones((21, 37), bool)
    finite[13], finite[:, 20] = False, False
    assert (np.isfinite(c) == finite).all()
    assert np.isnan(c[13]).all()


def test_an_update_in_place_rides_on_the_product():
    # w -= 0.1 * x.T @ g, where the epilogue reads what it is about to overwrite.
    rng = np.random.default_rng(2)

    def update(builder, value, spot, pointers):
        place = builder.bin("add", spot.line, spot.column)
        old = builder.load(builder.gep(pointers[0], value.kind, place), value.kind, value.lanes, spot.active)
        return builder.bin("fsub", old, builder.bin("fmul", value, builder.const(value.kind, 0.1)))

    for m in (83, 30, 5):
        x, g, w = rng.standard_normal((700, m)), rng.standard_normal((700, 50)), rng.standard_normal((m, 50))
        expected = w - 0.1 * (x.T @ g)
        p = Product("double", m, 50, 700, (1, m), (50, 1), (50, 1), (), Epilogue("update", 1, update))
        (run,) = compiled([p])
        run(x, g, w, w)
        np.testing.assert_allclose(w, expected, rtol=1e-10, atol=1e-10)


def add_row(builder, value, spot, pointers):
    return builder.bin("fadd", value, builder.cast("sitofp", spot.row, value.kind))


@pytest.mark.parametrize("kind", KINDS)
def test_deep_products_with_a_small_result(kind):
    # They are summed in parts, as many as their sizes tell, by any number of threads.
    rng = np.random.default_rng(5)
    dtype = KINDS[kind]
    for m, n, k in ((7, 33, 40000), (10, 10, 50001), (1, 1, 2**21), (33, 1, 2**17)):
        a, b = rng.standard_normal((k, m)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        (run,) = compiled([Product(kind, m, n, k, (1, m), (n, 1), (n, 1), (), Epilogue("row", 0, add_row))])
        found = []
        for count in (1, 3):
            pool.set_num_threads(count)
            found.append(run(a, b, np.empty((m, n), dtype)))
        pool.set_num_threads(None)
        check(found[0], a.T, b, dtype, [np.arange(m)[:, None]])
        assert (found[0] == found[1]).all()


def test_unaligned_operands():
    rng = np.random.default_rng(3)
    raw = [rng.integers(0, 255, n, np.uint8) for n in (20 * 30 * 4 + 1, 30 * 40 * 4 + 1, 20 * 40 * 4 + 1)]
    # Numbers begin at multiples of their size; vectors anywhere.
    a, b, c = (each[: -1 if len(each) % 4 else None].view(np.float32)[1:] for each in raw)
    a[...], b[...] = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
    (run,) = compiled([Product("float", 19, 39, 29, (29, 1), (39, 1), (39, 1))])
    run(a, b, c)
    left, right = a[: 19 * 29].reshape(19, 29), b[: 29 * 39].reshape(29, 39)
    check(c[: 19 * 39].reshape(19, 39), left, right, np.float32)


def test_bits_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(4)
    shapes = [(130, 300, 700), (999, 40, 65), (40, 1000, 33), (64, 64, 40)]
    products, data = [], []
    for m, n, k in shapes:
        batch = ((7, m * k, k * n, m * n),) if m == 64 else ()
        products.append(Product("float", m, n, k, (k, 1), (n, 1), (n, 1), batch))
        a, b = (rng.standard_normal(7 * x).astype(np.float32) for x in (m * k, k * n))
        data.append((a, b, [np.empty(7 * m * n if batch else m * n, np.float32) for _ in range(4)]))
    runs = compiled(products)
    try:
        for place, count in enumerate((1, 2, 3, 7)):
            pool.set_num_threads(count)
            for run, (a, b, found) in zip(runs, data, strict=True):
                for _ in range(3):
                    run(a, b, found[place])
    finally:
        pool.set_num_threads(None)
    for _, _, found in data:
        for other in found[1:]:
            assert (found[0] == other).all()


def test_tiles_fit_the_registers_and_the_matrix():
    for lanes, registers, fma in ((16, 32, True), (8, 32, True), (8, 16, True), (4, 16, False), (2, 16, False)):
        for m, n, k in ((1, 1, 1), (3, 1000, 5), (8, 5, 100), (128, 256, 784), (7, 7, 7), (1000, 1, 1000)):
            rows, vectors = choose(lanes, registers, fma, m, n, k)
            assert 1 <= rows <= min(m, 8)
            assert 1 <= vectors <= -(-n // lanes)
            assert rows * vectors + vectors + 1 + (not fma) <= min(registers, 31)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_done_in_registers_gives_the_same_bits(monkeypatch, target, kind):
    monkeypatch.setattr(products, "_WORTH_CODE", 0)
    make, dtype = Padded(11), KINDS[kind]
    shapes = [(m, n, k) for m in (8, 41, 64) for n in (31, 64, 97, 160) for k in (1, 70, 530, 1100)]
    rides = [Epilogue("update", 2, bias_and_update, light) for light in (True, False)]
    module, listed, data = TARGETS[target](), [], []
    for m, n, k in shapes:
        a, b = make.matrix(dtype, (), m, k, m == 64), make.matrix(dtype, (), k, n, n == 97)
        w, bias = make.rng.standard_normal((m, n)).astype(dtype), make.rng.standard_normal(n).astype(dtype)
        for ride in rides:
            listed.append(
                Product(kind, m, n, k, strides(a), strides(b), (n, 1), (), ride._replace(key=("u", ride.light)))
            )
            data.append((a, b, w.copy(), bias))
    runs = compiled(listed, module)
    assert "@whole." in module.text
    for number in range(0, len(runs), 2):
        results = []
        for run, (a, b, w, bias) in zip(runs[number : number + 2], data[number : number + 2], strict=True):
            old = w.copy()
            results.append(run(a, b, w, bias, w))  # written over what is read
        assert (results[0] == results[1]).all(), shapes[number // 2]
        wide = [x.astype(np.float64) for x in (a, b, old, bias)]
        sizes = abs(wide[0]) @ abs(wide[1]) + abs(wide[2]) + abs(wide[3])
        expected = wide[2] - (0.1 * (wide[0] @ wide[1]) - wide[3])
        assert (abs(results[0] - expected) <= (a.shape[1] + 4) * np.finfo(dtype).eps * sizes).all()


def bias_and_update(builder, value, spot, pointers):
    bias = builder.load(builder.gep(pointers[0], value.kind, spot.column), value.kind, value.lanes, spot.active)
    place = builder.bin("add", spot.line, spot.column)
    old = builder.load(builder.gep(pointers[1], value.kind, place), value.kind, value.lanes, spot.active)
    step = builder.bin("fsub", builder.bin("fmul", value, builder.const(value.kind, 0.1)), bias)
    return builder.bin("fsub", old, step)
