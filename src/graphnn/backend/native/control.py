"""Loops and choices in native code: a body is a program of its own, with its own table of pointers, in the same module.

A step of a loop sets a few pointers and jumps: fixed values are read where they are, elements of arrays and of stacks by
their place, and carried values change between two buffers. A loop that runs as long as a condition holds stays with
NumPy, where it can be interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphnn.backend.native import interrupts
from graphnn.backend.native.build import Items, items_of, part_items
from graphnn.backend.native.emit import Builder, Module, Value
from graphnn.backend.native.items import Access, Item, Kernel, View, contiguous, is_whole
from graphnn.backend.native.lower import lower_bundle
from graphnn.backend.native.program import Program
from graphnn.ir.body import Body
from graphnn.ir.node import Node
from graphnn.transform.branches import Switch
from graphnn.transform.loops import Scan

_ALIGNMENT = 64


class _Inner(NamedTuple):
    """A body: its program, and where its table and its arena lie in the memory of the loop."""

    program: Program
    table: int
    arena: int


class _Room:
    """Memory that is divided among several, each aligned."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, size: int) -> int:
        """The offset of so many bytes."""
        start, self.size = self.size, self.size + -(-size // _ALIGNMENT) * _ALIGNMENT
        return start


def program_of(body: Body) -> Program | None:
    """The program of a body; None where NumPy has to do a part of it."""
    items: Items = items_of(body.outputs, body.inputs)
    if any(item.role == "host" for item in items.items) or any(
        isinstance(n, int) is False for item in items.arguments for n in item.shape
    ):
        return None
    return Program(items)


def _inner(program: Program, room: _Room) -> _Inner:
    return _Inner(program, room.take(8 * program.most_slots), room.take(program.arena.size))


def _constants(program: Program) -> list[Item]:
    """What is fixed in a body, and may be read by pointers."""
    return [item for item in program.items if item.role == "fixed" and item.size]


def _bytes(node: Node) -> int:
    shape: Any = node.shape
    size: int = math.prod(shape)
    return size * node.dtype.bits // 8


def _put(b: Builder, pointer: str, slot: int, table: str) -> None:
    b.store(Value(pointer, "ptr"), b.gep(table, "ptr", slot))


def _copy(b: Builder, target: str, source: str, size: int) -> None:
    b.module.declare("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    if size:
        b.line(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")


def _begin(b: Builder, inner: _Inner, constants: dict[Item, str]) -> str:
    """Fill the table of a body with what stays the same; its address."""
    table, arena = b.gep("%p0", "i8", inner.table), b.gep("%p0", "i8", inner.arena)
    _put(b, arena, 0, table)
    for item in inner.program.fixed:
        _put(b, constants[item], inner.program.places[item], table)
    return table


def _run(b: Builder, inner: _Inner, table: str) -> None:
    """Call the functions of a body; if one fails or is stopped, so is the loop."""
    for name in inner.program.steps:
        _check(b, f"call i32 @{name}(ptr {table})")


def _ask(b: Builder, number: Value, every: int) -> None:
    """Ask after every so many steps of a loop whether to stop."""
    asks, label = (
        b.icmp("eq", b.bin("urem", number, b.const("i64", every)), b.const("i64", every - 1)),
        b.fresh("a")[1:],
    )
    b.line(f"br i1 {asks.text}, label %{label}, label %{label}on")
    b.label(label)
    b.module.declare(interrupts.DECLARATION)
    _check(b, interrupts.CALL)
    b.line(f"br label %{label}on")
    b.label(f"{label}on")


def _check(b: Builder, call: str) -> None:
    made = b.fresh("r")
    b.line(f"{made} = {call}")
    fine, label, stopped = b.fresh("f"), b.fresh("ok")[1:], b.fresh("s")
    b.line(f"{fine} = icmp eq i32 {made}, 0\nbr i1 {fine}, label %{label}, label %{label}no")
    b.label(f"{label}no")
    b.line(f"{stopped} = icmp slt i32 {made}, 0\nbr i1 {stopped}, label %stopped, label %failed")
    b.label(label)


def _function(b: Builder, name: str, count: int) -> str:
    b.line("ret i32 0")
    b.label("failed")
    b.line("ret i32 1")
    b.label("stopped")
    b.line(f"ret i32 {interrupts.STOPPED}")
    return b.function(f"define internal i32 @{name}({', '.join(f'ptr %p{i}' for i in range(count))})")


@lower_bundle.register
def _(op: Scan, node: Node, views: Sequence[View], maker: Any) -> list[Item] | None:
    program = program_of(op.body)
    length: Any = op.length
    if program is None or 0 in (length, *[item.size for item in (*program.given, *program.ends)]):
        return None
    k, first = op.consts + op.carries, op.consts
    sources = [
        _readable(maker, view, operand, i >= k)
        for i, (view, operand) in enumerate(zip(views, node.inputs, strict=True))
    ]
    room = _Room()
    inner = _inner(program, room)
    sizes = [_bytes(out) for out in op.body.outputs]
    buffers = [(room.take(size), room.take(size)) for size in sizes[: op.carries]]
    anchor, parts = part_items(maker, node, room.size, sources)
    step_takes = 5 + program.nanoseconds
    anchor.inside = step_takes * length
    constants = _constants(program)
    own = [maker.fixed(item) for item in constants]

    def text(name: str, module: Module) -> str:
        program.emit(module, f"{name}.step")
        b = Builder(module)
        operand = {i: f"%p{1 + i}" for i in range(len(sources))}
        out = {i: f"%p{1 + len(sources) + i}" for i in range(len(parts))}
        given = {item: f"%p{1 + len(sources) + len(parts) + i}" for i, item in enumerate(constants)}
        table, places = _begin(b, inner, given), program.places
        for i in range(first):
            _put(b, operand[i], places[program.given[i]], table)
        pairs = [[b.gep("%p0", "i8", place) for place in pair] for pair in buffers]
        with b.loop(0, length) as number:
            step = b.bin("sub", b.const("i64", length - 1), number) if op.reverse else number
            begins = b.icmp("eq", number, b.const("i64", 0))
            odd = b.icmp("ne", b.bin("and", number, b.const("i64", 1)), b.const("i64", 0))
            for i in range(op.carries):
                one, two = (Value(pointer, "ptr") for pointer in pairs[i])
                before, after = b.select(odd, one, two), b.select(odd, two, one)
                before = b.select(begins, Value(operand[first + i], "ptr"), before)
                _put(b, before.text, places[program.given[first + i]], table)
                _put(b, after.text, places[program.ends[i]], table)
            for i in range(k, len(sources)):
                offset = b.bin("mul", step, b.const("i64", sources[i].strides[0] * program.given[i].dtype.bits // 8))
                _put(b, b.gep(operand[i], "i8", offset), places[program.given[i]], table)
            for i in range(op.carries, len(parts)):
                offset = b.bin("mul", step, b.const("i64", sizes[i]))
                _put(b, b.gep(out[i], "i8", offset), places[program.ends[i]], table)
            _run(b, inner, table)
            if module.stoppable and step_takes * length > interrupts.PATIENCE:
                _ask(b, number, max(1, int(interrupts.PATIENCE / step_takes)))
        for i in range(op.carries):
            _copy(b, out[i], pairs[i][(length - 1) % 2], sizes[i])
        return _function(b, name, 1 + len(sources) + len(parts) + len(constants))

    _finish(anchor, parts, sources, own, ("scan", anchor), text)
    return parts


@lower_bundle.register
def _(op: Switch, node: Node, views: Sequence[View], maker: Any) -> list[Item] | None:
    found = [program_of(body) for body in op.bodies]
    programs = [program for program in found if program is not None]
    index = node.inputs[0]
    if len(programs) < len(found) or index.dtype.name == "uint64":
        return None
    if any(item.size == 0 for program in programs for item in (*program.given, *program.ends)):
        return None
    sources = [_readable(maker, view, operand, False) for view, operand in zip(views, node.inputs, strict=True)]
    room = _Room()
    inners = [_inner(program, room) for program in programs]
    anchor, parts = part_items(maker, node, room.size, sources)
    anchor.inside = max(program.nanoseconds for program in programs)
    constants = [_constants(program) for program in programs]
    own = [maker.fixed(item) for group in constants for item in group]

    def text(name: str, module: Module) -> str:
        b = Builder(module)
        count = 1 + len(sources) + len(parts)
        kind = sources[0].item.kind
        raw = b.load("%p1", kind)
        signed = index.dtype.kind == "int"
        number = raw if kind == "i64" else b.cast("sext" if signed else "zext", raw, "i64")
        labels = " ".join(f"i64 {i}, label %branch{i}" for i in range(len(programs)))
        b.line(f"switch i64 {number.text}, label %failed [{labels}]")
        for i, inner in enumerate(inners):
            program = inner.program
            program.emit(module, f"{name}.branch{i}.")
            b.label(f"branch{i}")
            with b.scope():
                given = {item: f"%p{count + j}" for j, item in enumerate(constants[i])}
                count += len(constants[i])
                table = _begin(b, inner, given)
                for j, item in enumerate(program.given):
                    _put(b, f"%p{2 + j}", program.places[item], table)
                for j, item in enumerate(program.ends):
                    _put(b, f"%p{1 + len(sources) + j}", program.places[item], table)
                _run(b, inner, table)
                b.line("br label %done")
        b.label("done")
        return _function(b, name, count)

    _finish(anchor, parts, sources, own, ("switch", anchor), text)
    return parts


def _readable(maker: Any, view: View, node: Node, along: bool) -> View:
    """A view that a body can read as an array of its own: contiguous, or along the first axis any number of such."""
    if along:
        inside = math.prod(view.shape[1:])
        if view.strides[1:] == contiguous(view.shape[1:]) and (view.strides[0] >= inside or view.shape[0] == 1):
            return view
    elif is_whole(view):
        return view
    item = maker.copy(view, node)
    return View(item, 0, view.shape, contiguous(view.shape))


def _finish(
    anchor: Item,
    parts: list[Item],
    sources: Sequence[View],
    own: list[Item],
    key: Any,
    text: Callable[[str, Module], str],
) -> None:
    pointers = (
        (anchor, 0), *[(view.item, view.offset) for view in sources], *[(item, 0) for item in (*parts, *own)],
    )  # fmt: skip
    anchor.operands += [Access(item, 0, contiguous(item.shape)) for item in own]
    anchor.kernel = lambda module: Kernel(module.once(key, lambda name: text(name, module)), pointers, checked=True)
