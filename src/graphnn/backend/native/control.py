"""Loops and choices in native code: a body is a program of its own, with its own table of pointers, in the same module.

A step of a loop sets a few pointers and jumps: fixed values are read where they are, elements of arrays and of stacks by
their place, and carried values change between two buffers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphnn.backend.native import interrupts
from graphnn.backend.native.build import Items, Reading, items_of, part_items
from graphnn.backend.native.emit import Builder, Module, Value
from graphnn.backend.native.items import Access, Item, Kernel, View, contiguous, is_whole, whole
from graphnn.backend.native.lower import lower_bundle
from graphnn.backend.native.program import Program
from graphnn.ir.body import Body
from graphnn.ir.node import Node
from graphnn.ir.spec import Bundle
from graphnn.transform.branches import Switch
from graphnn.transform.loops import Scan, While

_ALIGNMENT = 64
_STEP = 5.0
"""Nanoseconds that a step of a loop takes beside what its body computes."""


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


def _runs(items: Items) -> bool:
    """Whether NumPy has nothing to do of a body."""
    return not any(item.role == "host" for item in items.items) and all(
        isinstance(n, int) for item in items.arguments for n in item.shape
    )


def program_of(body: Body) -> Program | None:
    """The program of a body; None where NumPy has to do a part of it."""
    items = items_of(body.outputs, body.inputs)
    return Program(items) if _runs(items) else None


def _inner(program: Program, room: _Room) -> _Inner:
    return _Inner(program, room.take(8 * program.most_slots), room.take(program.arena.size))


def _constants(program: Program) -> list[Item]:
    """What is fixed in a body, and may be read by pointers."""
    return [item for item in program.items if item.role == "fixed" and item.size]


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


def _ask(b: Builder, number: Value, step_takes: float) -> None:
    """Ask whether to stop after steps that take so long together that a person would notice."""
    if not b.module.stoppable:
        return
    every = max(1, int(interrupts.PATIENCE / step_takes))
    b.module.declare(interrupts.DECLARATION)
    with b.when(b.icmp("eq", b.bin("urem", number, b.const("i64", every)), b.const("i64", every - 1))):
        _check(b, interrupts.CALL)


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
def _(op: Scan, node: Node, views: Sequence[View], maker: Any) -> list[View] | None:
    k, first = op.consts + op.carries, op.consts
    length: Any = op.length
    if 0 in (length, *[n for each in (*node.inputs, *op.body.outputs) for n in each.shape]):
        return None
    apart = {i: views[i].strides[1:] for i in range(k, len(views)) if _steps(views[i])}
    stacks = _Stacks(op, Reading(op.body.outputs, op.body.inputs, apart))
    if not _runs(stacks.made):
        return None
    program = Program(stacks.made)
    sources = [
        view if i >= k and i in apart else _readable(maker, view, operand)
        for i, (view, operand) in enumerate(zip(views, node.inputs, strict=True))
    ]
    room = _Room()
    inner = _inner(program, room)
    sizes = [item.bytes for item in program.ends]
    pairs = {i: (room.take(sizes[i]), room.take(sizes[i])) for i in range(op.carries) if i not in stacks.lines}
    anchor, parts = part_items(maker, node, room.size, sources, stacks.parts(length))
    step_takes = _STEP + program.nanoseconds
    anchor.inside, anchor.bodies = step_takes * length, ((program, length),)
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
        for i in stacks.lines:
            _copy(b, b.gep(out[i], "i8", sizes[i] * length * op.reverse), operand[first + i], sizes[i])
        buffers = {i: [b.gep("%p0", "i8", place) for place in pair] for i, pair in pairs.items()}
        with b.loop(0, length) as number:
            step = b.bin("sub", b.const("i64", length - 1), number) if op.reverse else number
            begins = b.icmp("eq", number, b.const("i64", 0))
            odd = b.icmp("ne", b.bin("and", number, b.const("i64", 1)), b.const("i64", 0))

            def along(pointer: str, stride: int) -> str:
                return b.gep(pointer, "i8", b.bin("mul", step, b.const("i64", stride)))

            for i in range(op.carries):
                if i in stacks.lines:  # the value before the step lies beside that after it
                    low = along(out[i], sizes[i])
                    high = b.gep(low, "i8", sizes[i])
                    before, after = (high, low) if op.reverse else (low, high)
                else:
                    one, two = (Value(pointer, "ptr") for pointer in buffers[i])
                    after = b.select(odd, two, one).text
                    before = b.select(begins, Value(operand[first + i], "ptr"), b.select(odd, one, two)).text
                _put(b, before, places[program.given[first + i]], table)
                _put(b, after, places[program.ends[i]], table)
            for i in range(k, len(sources)):
                stride = sources[i].strides[0] * program.given[i].dtype.bits // 8
                _put(b, along(operand[i], stride), places[program.given[i]], table)
            for i in range(op.carries, len(parts)):
                _put(b, along(out[i], sizes[i]), places[program.ends[i]], table)
            _run(b, inner, table)
            if step_takes * length > interrupts.PATIENCE:
                _ask(b, number, step_takes)
        for i, pair in buffers.items():
            _copy(b, out[i], pair[(length - 1) % 2], sizes[i])
        return _function(b, name, 1 + len(sources) + len(parts) + len(constants))

    _finish(anchor, parts, sources, own, ("scan", op, *[source.strides for source in sources[k:]]), text)
    return stacks.views(parts, length)


class _Stacks:
    """What a scan keeps of each step, and where its results lie in it.

    A carried value of which the values before or after each step are stacked goes along one array with a place more than
    there are steps. Of stacked parts of one value, as of the gates of an LSTM, the value is stacked as a whole.

    Attributes
    ----------
    made : the items of the body; its ends are the carried values, and then what is stacked
    lines : the carried values that go along an array
    """

    def __init__(self, op: Scan, reading: Reading) -> None:
        self.op = op
        before = {node: i for i, node in enumerate(op.body.inputs[op.consts : op.consts + op.carries])}
        after = {node: i for i, node in reversed(list(enumerate(op.body.outputs[: op.carries])))}
        self.lines: set[int] = set()
        self.places: list[
            tuple[int, bool, View | None]
        ] = []  # of each stack: the end, if after the step, the view of it
        ends: list[Node | Item] = list(op.body.outputs[: op.carries])
        number: dict[Node | Item, int] = {}
        stacked = op.body.outputs[op.carries :]
        shared = self._shared(
            [reading.view(n) for n in stacked], [reading.view(n) for n in op.body.outputs[: op.carries]]
        )
        for node in stacked:
            line = before.get(node, after.get(node, -1))
            view = reading.view(node)
            if line >= 0:
                self.lines.add(line)
                self.places.append((line, node not in before, None))
                continue
            end: Node | Item = view.item if view.item in shared else node
            if end not in number:
                number[end] = len(ends)
                ends.append(end)
            self.places.append((number[end], False, view if isinstance(end, Item) else None))
        self.made = reading.items(ends)

    @staticmethod
    def _shared(stacked: Sequence[View], carried: Sequence[View]) -> set[Item]:
        """Items that are stacked instead of parts of them, where that is not much more."""
        parts: dict[Item, int] = {}
        for view in dict.fromkeys(stacked):
            if view.item.role in ("element", "reduce", "kernel", "part"):
                parts[view.item] = parts.get(view.item, 0) + math.prod(view.shape)
        taken = {view.item for view in carried}
        return {item for item, size in parts.items() if item not in taken and item.size <= 2 * size}

    def parts(self, length: int) -> list[tuple[Any, Any]]:
        """The shapes and the data types of the arrays."""
        return [
            (item.shape if i < self.op.carries and i not in self.lines else (length + (i in self.lines), *item.shape),
             item.dtype)
            for i, item in enumerate(self.made.outputs)
        ]  # fmt: skip

    def views(self, parts: Sequence[Item], length: int) -> list[View]:
        """Where the results lie in the arrays."""
        found = []
        for i, item in enumerate(self.made.outputs[: self.op.carries]):
            last = 0 if self.op.reverse or i not in self.lines else length * item.size
            found.append(View(parts[i], last, item.shape, contiguous(item.shape)))
        for i, late, view in self.places:
            item = self.made.outputs[i]
            inside = View(item, 0, item.shape, contiguous(item.shape)) if view is None else view
            # Backwards, the value after a step lies before the one it came from.
            offset = inside.offset + (item.size if i in self.lines and late != self.op.reverse else 0)
            found.append(View(parts[i], offset, (length, *inside.shape), (item.size, *inside.strides)))
        return found


@lower_bundle.register
def _(op: While, node: Node, views: Sequence[View], maker: Any) -> list[View] | None:
    if any(0 in operand.shape for operand in node.inputs):
        return None
    body, condition = program_of(op.body), program_of(op.condition)
    if body is None or condition is None:
        return None
    sources = [_readable(maker, view, operand) for view, operand in zip(views, node.inputs, strict=True)]
    room = _Room()
    inners = [_inner(condition, room), _inner(body, room)]
    answer, sizes = room.take(1), [item.bytes for item in body.ends]
    pairs = [(room.take(size), room.take(size)) for size in sizes]
    anchor, parts = part_items(maker, node, room.size, sources, _parts_of(node))
    step_takes = _STEP + condition.nanoseconds + body.nanoseconds
    anchor.inside = 2 * interrupts.PATIENCE  # nobody knows: as long as what can be stopped
    anchor.bodies = ((condition, 1), (body, 1))
    constants = [_constants(condition), _constants(body)]
    own = [maker.fixed(item) for group in constants for item in group]

    def text(name: str, module: Module) -> str:
        condition.emit(module, f"{name}.condition")
        body.emit(module, f"{name}.step")
        b = Builder(module)
        count = 1 + len(sources) + len(parts)
        tables = []
        for inner, group in zip(inners, constants, strict=True):
            tables.append(_begin(b, inner, {item: f"%p{count + j}" for j, item in enumerate(group)}))
            count += len(group)
            for i in range(op.consts):
                _put(b, f"%p{1 + i}", inner.program.places[inner.program.given[i]], tables[-1])
        found = b.gep("%p0", "i8", answer)
        _put(b, found, condition.places[condition.ends[0]], tables[0])
        buffers = [[Value(b.gep("%p0", "i8", place), "ptr") for place in pair] for pair in pairs]
        b.entry.append("%steps = alloca i64")
        b.store(b.const("i64", 0), "%steps")
        b.line("br label %ask")
        b.label("ask")
        number = b.load("%steps", "i64")
        begins = b.icmp("eq", number, b.const("i64", 0))
        odd = b.icmp("ne", b.bin("and", number, b.const("i64", 1)), b.const("i64", 0))
        now = []
        for i, (one, two) in enumerate(buffers):
            start = Value(f"%p{1 + op.consts + i}", "ptr")
            now.append(b.select(begins, start, b.select(odd, one, two)).text)
            for inner, table in zip(inners, tables, strict=True):
                _put(b, now[i], inner.program.places[inner.program.given[op.consts + i]], table)
            _put(b, b.select(odd, two, one).text, body.places[body.ends[i]], tables[1])
        _run(b, inners[0], tables[0])
        b.line(f"br {b.load(found, condition.ends[0].kind).typed}, label %go, label %done")
        b.label("go")
        _run(b, inners[1], tables[1])
        following = b.bin("add", number, b.const("i64", 1))
        b.store(following, "%steps")
        _ask(b, number, step_takes)
        b.line("br label %ask")
        b.label("done")
        for i, pointer in enumerate(now):
            _copy(b, f"%p{1 + len(sources) + i}", pointer, sizes[i])
        return _function(b, name, count)

    _finish(anchor, parts, sources, own, ("while", op), text)
    return [whole(item) for item in parts]


@lower_bundle.register
def _(op: Switch, node: Node, views: Sequence[View], maker: Any) -> list[View] | None:
    found = [program_of(body) for body in op.bodies]
    programs = [program for program in found if program is not None]
    index = node.inputs[0]
    if len(programs) < len(found) or index.dtype.name == "uint64":
        return None
    if any(item.size == 0 for program in programs for item in (*program.given, *program.ends)):
        return None
    sources = [_readable(maker, view, operand) for view, operand in zip(views, node.inputs, strict=True)]
    room = _Room()
    inners = [_inner(program, room) for program in programs]
    anchor, parts = part_items(maker, node, room.size, sources, _parts_of(node))
    anchor.inside = max(program.nanoseconds for program in programs)
    anchor.bodies = tuple([(program, 1) for program in programs])
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

    _finish(anchor, parts, sources, own, ("switch", op), text)
    return [whole(item) for item in parts]


def _parts_of(node: Node) -> list[tuple[Any, Any]]:
    assert isinstance(node.spec, Bundle)
    return [(part.shape, part.dtype) for part in node.spec.parts]


def _steps(view: View) -> bool:
    """Whether the elements of an array can be read one by one where they are: their rows must be rows in memory."""
    return len(view.shape) == 1 or view.strides[-1] == 1 or view.shape[-1] == 1


def _readable(maker: Any, view: View, node: Node) -> View:
    """A view that a body can read as an array of its own."""
    return view if is_whole(view) else whole(maker.copy(view, node))


def _finish(
    anchor: Item,
    parts: list[Item],
    sources: Sequence[View],
    own: list[Item],
    key: Any,
    text: Callable[[str, Module], str],
) -> None:
    """The kernel of an operation with bodies; equal ones that may be stopped alike share their code."""
    pointers = (
        (anchor, 0), *[(view.item, view.offset) for view in sources], *[(item, 0) for item in (*parts, *own)],
    )  # fmt: skip
    anchor.operands += [Access(item, 0, contiguous(item.shape)) for item in own]
    anchor.checks = frozenset([anchor])

    def kernel(module: Module) -> Kernel:
        name = module.once((*key, module.stoppable), lambda name: text(name, module))
        return Kernel(name, pointers, checked=True)

    anchor.kernel = kernel
