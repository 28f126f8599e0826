"""Random bits: Philox4x64-10, the same as NumPy's.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphnn.backend.native.assembly import walk
from graphnn.backend.native.emit import Builder, Module, Value
from graphnn.backend.native.items import Item, Kernel, View, contiguous
from graphnn.backend.native.lower import lower_whole
from graphnn.ir.node import Node
from graphnn.ops.random import RandomBits

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10


def _word(b: Builder, number: int) -> Value:
    number &= (1 << 64) - 1
    return b.const("i64", number - (1 << 64) if number >> 63 else number)


def _product(b: Builder, x: Value, factor: int) -> tuple[Value, Value]:
    """The upper and the lower half of a product."""
    whole = b.bin("mul", b.cast("zext", x, "i128"), b.cast("zext", _word(b, factor), "i128"))
    return b.cast("trunc", b.bin("lshr", whole, b.const("i128", 64)), "i64"), b.bin("mul", x, _word(b, factor))


def _block(b: Builder, number: Value, step: Value, key: Value, draw: int) -> list[Value]:
    """The four words of a block."""
    zero = b.const("i64", 0)
    c = [number, step, zero, zero]
    for turn in range(_ROUNDS):
        first = b.bin("add", key, _word(b, turn * _WEYL[0]))
        second = _word(b, draw + turn * _WEYL[1])
        high0, low0 = _product(b, c[0], _MULTIPLIERS[0])
        high1, low1 = _product(b, c[2], _MULTIPLIERS[1])
        c = [
            b.bin("xor", b.bin("xor", high1, c[1]), first),
            low1,
            b.bin("xor", b.bin("xor", high0, c[3]), second),
            low0,
        ]
    return c


@lower_whole.register
def _(op: RandomBits, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel]:
    (streams,) = views
    stack, draw, stride = streams.shape[:-1], op.draw, streams.strides[-1]
    count = item.size // math.prod(stack)
    strides = tuple([step * count for step in contiguous(stack)])

    def text(name: str, module: Module) -> str:
        b = Builder(module)
        with walk(b, stack, ("%p0", "i64", strides), ("%p1", "i64", streams.strides[:-1])) as (target, stream):
            key, step = b.load(stream, "i64"), b.load(b.gep(stream, "i64", stride), "i64")
            whole = count // 4
            with b.loop(0, whole) as number:
                place = b.gep(target, "i64", b.bin("mul", number, b.const("i64", 4)))
                for i, word in enumerate(_block(b, number, step, key, draw)):
                    b.store(word, b.gep(place, "i64", i))
            if count % 4:
                last = _block(b, b.const("i64", whole), step, key, draw)
                for i in range(count % 4):
                    b.store(last[i], b.gep(target, "i64", 4 * whole + i))
        b.line("ret void")
        return b.function(f"define internal void @{name}(ptr %p0, ptr %p1)")

    pointers = ((item, 0), (streams.item, streams.offset))
    key = ("random", count, draw, stack, streams.strides)
    return lambda module: Kernel(module.once(key, lambda name: text(name, module)), pointers)
