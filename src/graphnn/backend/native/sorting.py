"""Sorting: a stable merge sort of keys with their places, and binary search; NaN comes last."""

from __future__ import annotations

from collections.abc import Callable

from graphnn.backend.native.assembly import walk
from graphnn.backend.native.emit import BYTES, Builder, Module, Value
from graphnn.backend.native.items import KINDS, Item, Kernel, View, contiguous
from graphnn.backend.native.lower import lower_whole
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node
from graphnn.ops.sorting import Argsort, Searchsorted


def _before(b: Builder, x: Value, y: Value, dtype: DType, descending: bool = False) -> Value:
    """Whether x has to stand before y: less, or greater if descending; any number before NaN."""
    if dtype.is_floating:
        number_first = b.bin("and", b.fcmp("ord", x, x), b.fcmp("uno", y, y))
        return b.bin("or", b.fcmp("ogt" if descending else "olt", x, y), number_first)
    sign = "s" if dtype.kind == "int" else "u"
    return b.icmp(sign + ("gt" if descending else "lt"), x, y)


def _merge_sort(module: Module, dtype: DType, descending: bool) -> str:
    """The name of ``ptr @sort(ptr %keys, ptr %places, ptr %keys2, ptr %places2, i64 %n)``, which gives the sorted places.

    Runs of 1, 2, 4 ... elements are merged from one pair of arrays into the other and back.
    """
    kind = KINDS[dtype.name]
    memory = "i8" if kind == "i1" else kind

    def text(name: str) -> str:
        compare = Builder(module)
        first = compare.load("%pa", kind)
        second = compare.load("%pb", kind)
        later = _before(compare, second, first, dtype, descending)  # only then does the second run go first
        compared = "\n".join(compare.lines)
        return f"""define internal ptr @{name}(ptr %keys, ptr %places, ptr %keys2, ptr %places2, i64 %n) {{
entry:
  br label %rounds
rounds:
  %width = phi i64 [1, %entry], [%double, %turned]
  %k = phi ptr [%keys, %entry], [%l, %turned]
  %p = phi ptr [%places, %entry], [%q, %turned]
  %l = phi ptr [%keys2, %entry], [%k, %turned]
  %q = phi ptr [%places2, %entry], [%p, %turned]
  %sorted = icmp sge i64 %width, %n
  br i1 %sorted, label %out, label %runs
runs:
  %low = phi i64 [0, %rounds], [%high, %merged]
  %ended = icmp sge i64 %low, %n
  br i1 %ended, label %turned, label %pair
pair:
  %m = add i64 %low, %width
  %middle = call i64 @llvm.smin.i64(i64 %m, i64 %n)
  %h = add i64 %middle, %width
  %high = call i64 @llvm.smin.i64(i64 %h, i64 %n)
  br label %step
step:
  %a = phi i64 [%low, %pair], [%a2, %took]
  %b = phi i64 [%middle, %pair], [%b2, %took]
  %t = phi i64 [%low, %pair], [%t2, %took]
  %full = icmp sge i64 %t, %high
  br i1 %full, label %merged, label %choose
choose:
  %left = icmp slt i64 %a, %middle
  br i1 %left, label %right, label %second
right:
  %some = icmp slt i64 %b, %high
  br i1 %some, label %compare, label %first
compare:
  %pa = getelementptr {memory}, ptr %k, i64 %a
  %pb = getelementptr {memory}, ptr %k, i64 %b
{compared}
  br {later.typed}, label %second, label %first
first:
  %a1 = add i64 %a, 1
  br label %took
second:
  %b1 = add i64 %b, 1
  br label %took
took:
  %from = phi i64 [%a, %first], [%b, %second]
  %a2 = phi i64 [%a1, %first], [%a, %second]
  %b2 = phi i64 [%b, %first], [%b1, %second]
  %kf = getelementptr {memory}, ptr %k, i64 %from
  %kt = getelementptr {memory}, ptr %l, i64 %t
  %key = load {memory}, ptr %kf, align {BYTES[memory]}
  store {memory} %key, ptr %kt, align {BYTES[memory]}
  %pf = getelementptr i64, ptr %p, i64 %from
  %pt = getelementptr i64, ptr %q, i64 %t
  %place = load i64, ptr %pf, align 8
  store i64 %place, ptr %pt, align 8
  %t2 = add i64 %t, 1
  br label %step
merged:
  br label %runs
turned:
  %double = mul i64 %width, 2
  br label %rounds
out:
  ret ptr %p
}}"""

    module.declare("declare i64 @llvm.smin.i64(i64, i64)")
    return module.once(("merge_sort", dtype.name, descending), text)


@lower_whole.register
def _(op: Argsort, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    (x,) = views
    dtype = node.inputs[0].dtype
    kind = KINDS.get(dtype.name)
    if kind is None or 0 in x.shape:
        return None
    memory = "i8" if kind == "i1" else kind
    n, to = x.shape[op.axis], contiguous(item.shape)
    outer = tuple([1 if axis == op.axis else size for axis, size in enumerate(x.shape)])

    def text(module: Module, name: str) -> str:
        sort = _merge_sort(module, dtype, op.descending)
        b = Builder(module)
        # Room for both pairs of arrays, behind one another; places come first, as they need the wider alignment.
        module.declare("declare ptr @malloc(i64)")
        module.declare("declare void @free(ptr)")
        size = n * (16 + 2 * BYTES[memory])
        b.line(f"%room = call ptr @malloc(i64 {size})\n%none = icmp eq ptr %room, null")
        b.line("br i1 %none, label %failed, label %begin")
        b.label("begin")
        places, places2, keys = "%room", b.gep("%room", "i64", n), b.gep("%room", "i64", 2 * n)
        keys2 = b.gep(keys, memory, n)
        with walk(b, outer, ("%p0", "i64", to), ("%p1", memory, x.strides)) as (into, out_of):
            with b.loop(b.const("i64", 0), b.const("i64", n)) as i:
                key = b.load(b.gep(out_of, memory, b.bin("mul", i, b.const("i64", x.strides[op.axis]))), memory)
                b.store(key, b.gep(keys, memory, i))
                b.store(i, b.gep(places, "i64", i))
            found = b.fresh("sorted")
            b.line(f"{found} = call ptr @{sort}(ptr {keys}, ptr {places}, ptr {keys2}, ptr {places2}, i64 {n})")
            with b.loop(b.const("i64", 0), b.const("i64", n)) as i:
                place = b.load(b.gep(found, "i64", i), "i64")
                b.store(place, b.gep(into, "i64", b.bin("mul", i, b.const("i64", to[op.axis]))))
        b.line("call void @free(ptr %room)\nret i32 0")
        b.label("failed")
        b.line("ret i32 1")
        return b.function(f"define internal i32 @{name}(ptr %p0, ptr %p1)")

    item.checks = frozenset([item])
    key = ("argsort", op, dtype.name, x.shape, x.strides)
    pointers = ((item, 0), (x.item, x.offset))
    return lambda module: Kernel(module.once(key, lambda name: text(module, name)), pointers, checked=True)


@lower_whole.register
def _(op: Searchsorted, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    x, values = views
    dtype = node.inputs[0].dtype
    kind = KINDS.get(dtype.name)
    if kind is None or node.inputs[1].dtype is not dtype or 0 in (*x.shape, *values.shape):
        return None
    memory = "i8" if kind == "i1" else kind
    n, to = x.shape[0], contiguous(item.shape)

    def text(module: Module, name: str) -> str:
        b = Builder(module)
        with walk(b, values.shape, ("%p0", "i64", to), ("%p2", memory, values.strides)) as (into, out_of):
            value = b.load(out_of, kind)
            # Between `low` and `low + left` lies the place; what is before it is less (not greater) than the value.
            low, left = b.variable(b.const("i64", 0)), b.variable(b.const("i64", n))
            b.set(low, b.const("i64", 0))
            b.set(left, b.const("i64", n))
            with b.loop(b.const("i64", 0), b.const("i64", n.bit_length())):
                start, count = b.get(low), b.get(left)
                some = b.icmp("sgt", count, b.const("i64", 0))
                half = b.bin("lshr", count, b.const("i64", 1))
                middle = b.bin("add", start, half)
                safe = b.select(some, middle, b.const("i64", 0))
                key = b.load(b.gep("%p1", memory, b.bin("mul", safe, b.const("i64", x.strides[0]))), kind)
                if op.side == "left":
                    before = _before(b, key, value, dtype)
                else:
                    before = b.bin("xor", _before(b, value, key, dtype), b.const("i1", 1))
                after = b.bin("and", before, some)
                rest = b.bin("sub", b.bin("sub", count, half), b.const("i64", 1))
                b.set(low, b.select(after, b.bin("add", middle, b.const("i64", 1)), start))
                b.set(left, b.select(some, b.select(before, rest, half), count))
            b.store(b.get(low), into)
        b.line("ret void")
        return b.function(f"define internal void @{name}(ptr %p0, ptr %p1, ptr %p2)")

    key = ("searchsorted", op, dtype.name, x.shape, x.strides, values.shape, values.strides)
    pointers = ((item, 0), (x.item, x.offset), (values.item, values.offset))
    return lambda module: Kernel(module.once(key, lambda name: text(module, name)), pointers)
