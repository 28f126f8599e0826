"""`lower`: from an op to the instructions of one element. One registration per op class; what has none runs by NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from graphnn.backend.native.emit import Builder, Module, Value
from graphnn.backend.native.items import KINDS, Emit, Item, Kernel, View
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node
from graphnn.ir.op import Op


@functools.singledispatch
def lower(op: Op, node: Node) -> Emit | None:
    """``emit(builder, *values)`` for an element-wise node; None where it has no native lowering."""
    return None


@functools.singledispatch
def view_of(op: Op, node: Node, view: View) -> View | None:
    """The value of a node as a view of its first operand; None where it is none."""
    return None


@functools.singledispatch
def lower_whole(op: Op, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    """What emits the kernel of a node that is computed as a whole into `item`; None where there is none."""
    return None


@functools.singledispatch
def lower_bundle(op: Op, node: Node, views: Sequence[View], maker: Any) -> list[View] | None:
    """Where the results of an operation with several lie; None where NumPy runs it."""
    return None


def has_kind(*nodes: Node) -> bool:
    """Whether the data types of all nodes have instructions of their own."""
    return all(node.dtype.name in KINDS for node in nodes)


def convert(b: Builder, x: Value, given: DType, wanted: DType) -> Value:
    """A value in another data type, as NumPy casts it."""
    if given is wanted:
        return x
    kind = KINDS[wanted.name]
    if wanted.kind == "bool":
        zero = b.const(x.kind, 0, x.lanes)
        return b.fcmp("une", x, zero) if given.is_floating else b.icmp("ne", x, zero)
    if given.kind == "bool":
        return b.cast("uitofp" if wanted.is_floating else "zext", x, kind)
    if given.is_floating:
        if wanted.is_floating:
            return b.cast("fpext" if wanted.bits > given.bits else "fptrunc", x, kind)
        return _to_integer(b, x, wanted)
    if wanted.is_floating:
        return b.cast("sitofp" if given.kind == "int" else "uitofp", x, kind)
    if wanted.bits == given.bits:
        return x
    if wanted.bits < given.bits:
        return b.cast("trunc", x, kind)
    return b.cast("sext" if given.kind == "int" else "zext", x, kind)


def _to_integer(b: Builder, x: Value, wanted: DType) -> Value:
    # LLVM leaves open what becomes of NaN and of numbers out of range; the machines on which NumPy's own answer is
    # known give the smallest number of the register that they convert in.
    kind = KINDS[wanted.name]
    if wanted.bits < 32 or wanted.name == "int32":
        made = _truncated(b, x, "i32")
        return b.cast("trunc", made, kind)
    if wanted.name == "uint32":
        return b.cast("trunc", _truncated(b, x, "i64"), kind)
    if wanted.name == "int64":
        return _truncated(b, x, "i64")
    half = b.const(x.kind, 2.0**63, x.lanes)
    low, high = _truncated(b, x, "i64"), _truncated(b, b.bin("fsub", x, half), "i64")
    top = b.const("i64", -(2**63), x.lanes)
    return b.select(b.fcmp("olt", x, half), low, b.bin("xor", high, top))


def _truncated(b: Builder, x: Value, kind: str) -> Value:
    bits = int(kind[1:])
    bound = 2.0 ** (bits - 1)
    fits = b.bin(
        "and", b.fcmp("oge", x, b.const(x.kind, -bound, x.lanes)), b.fcmp("olt", x, b.const(x.kind, bound, x.lanes))
    )
    safe = b.select(fits, x, b.const(x.kind, 0.0, x.lanes))
    made = b.cast("fptosi", safe, kind)
    return b.select(fits, made, b.const(kind, -(2 ** (bits - 1)), x.lanes))


def casting(emit: Any, node: Node, wanted: DType) -> Emit:
    """The emitter with its operands converted to a data type first."""
    given = [operand.dtype for operand in node.inputs]
    if all(dtype is wanted for dtype in given):
        return emit  # type: ignore[no-any-return]

    def converted(b: Builder, *values: Value) -> Value:
        return emit(b, *[convert(b, v, d, wanted) for v, d in zip(values, given, strict=True)])  # type: ignore[no-any-return]

    return converted
