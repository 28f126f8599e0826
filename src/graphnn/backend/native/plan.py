"""The driver: a graph of concrete sizes becomes one native module, and a call one jump into it.

What has no native lowering runs through NumPy's, between the native segments.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphnn.backend.base import Form, failure, where_it_comes_from
from graphnn.backend.native import control, interrupts, jit, kernels
from graphnn.backend.native.build import Items, items_of
from graphnn.backend.native.call import MOST_RESULTS, Call, available, bind, pointer, text_of
from graphnn.backend.native.call import Array as Slot
from graphnn.backend.native.explain import report, times
from graphnn.backend.native.items import Access, Item, contiguous
from graphnn.backend.native.parts import parts
from graphnn.backend.native.products import Product
from graphnn.backend.native.program import Program
from graphnn.backend.native.target import host
from graphnn.backend.numpy.lower import lower as lower_to_numpy
from graphnn.errors import ExecutionError
from graphnn.ir.arrays import Array
from graphnn.ir.node import Node
from graphnn.ir.spec import Bundle
from graphnn.ops.results import Result

_LOWERINGS = (control,)  # importing it registers loops and choices
_AXES = 64
_LONG = 100_000
"""Elements computed in a call that lets other Python threads run meanwhile; for fewer, switching would take as long."""
_TURN = 5e6
"""Nanoseconds for which a thread of Python keeps the lock anyhow, so also a call that writes over variables."""


def plan_of(
    outputs: Sequence[Node], arguments: Sequence[Node], form: Form | None, times: dict[str, float]
) -> Plan | None:
    """The plan of a graph; None where NumPy would do all that is to be computed, and does better without native moves."""
    started = time.perf_counter()
    made = items_of(outputs, arguments)
    program = Program(made, _updated(form, made) if form is not None else ())
    times = {**times, "regions": time.perf_counter() - started}
    return Plan(program, (outputs, arguments), form, times) if program.worth_it else None


class _Segment(NamedTuple):
    """A native function of the table of pointers."""

    run: Any


class _HostStep(NamedTuple):
    """A NumPy kernel: its node, the numbers of the values that it takes, with views of them, and of the one it gives.

    `slot` is that of its result in the table of pointers, 0 if no native kernel reads it, and `output` the number of the
    result of the function that it is, or -1.
    """

    kernel: Any
    node: Node
    takes: tuple[tuple[int, _Strided | None], ...]
    gives: int
    slot: int
    output: int


class _Strided(NamedTuple):
    """A view of an array: shape, data type, the offset and the strides in bytes."""

    shape: tuple[int, ...]
    dtype: Any
    offset: int
    strides: tuple[int, ...]


class _Frame:
    """The memory of one call in flight: the arena, the table of pointers, and the arrays that NumPy's kernels see."""

    __slots__ = ("arena", "table", "values")

    def __init__(self, plan: Plan) -> None:
        self.arena = plan._room()
        self.table = plan.template.copy()
        self.table[0] = self.arena.ctypes.data
        self.values: list[Any] = [None] * len(plan.numbers)
        for item, number in plan.numbers.items():
            if item.role == "fixed":
                self.values[number] = item.value
            elif item in plan.arena.offsets:
                offset = plan.arena.offsets[item]
                part = self.arena[offset : offset + item.bytes]
                self.values[number] = part.view(item.dtype.numpy).reshape(item.shape)


class Plan:
    """A compiled graph."""

    direct: Callable[..., Any] | None = None
    _timed: list[float] | None = None  # seconds of each step, while they are measured

    def __init__(
        self,
        program: Program,
        made_of: tuple[Sequence[Node], Sequence[Node]],
        form: Form | None = None,
        times: dict[str, float] | None = None,
        separate: bool = False,
    ) -> None:
        self.times = dict(times or {})
        self.program, self._made_of = program, made_of
        given, ends = program.given, program.ends
        started = time.perf_counter()
        self.outputs = [(item.shape, item.dtype.numpy, item.role == "host") for item in ends]
        for shape, _, _ in self.outputs:
            if len(shape) > _AXES:
                raise ExecutionError(f"a result has {len(shape)} axes; arrays of NumPy have at most {_AXES}")
        module = host().module()
        program.emit(module, separate=separate)
        self.by_numpy = [step for step in program.steps if isinstance(step, Item)]
        self.numbers = self._seen_by_host()
        for item in self.by_numpy:
            program.slot(item)
        self.arena, self.places, self.kernels = program.arena, program.places, program.kernels
        self.template = np.zeros(len(self.places) + 1, np.uint64)
        for item, array in program.fixed.items():
            self.template[self.places[item]] = array.ctypes.data
        for slot, rows in program.rows.items():
            self.template[slot] = rows.ctypes.data
        call = None
        # An input that is not used may have a size that nothing tells.
        known = all(isinstance(n, int) for item in given for n in item.shape)
        few = len(ends) - len(program.in_place) <= MOST_RESULTS
        if form is not None and known and few and program.steps == ["segment0"] and available():
            call = self._call_of(form, module.text)
            if call.stops:
                module.declare("declare void @graphnn_resume()")
            module.add(text_of(call, len(self.template)))
        self.text = module.text
        self.times["text of the module"] = time.perf_counter() - started
        self.native = bool(program.kernels)
        if self.native:
            started = time.perf_counter()
            modules = parts(module)
            kernels.prepare(self.text, modules)
            self.times["object code"] = time.perf_counter() - started
            started = time.perf_counter()
            kernels.link(self.text)
            self.times["kernels that all functions share"] = time.perf_counter() - started
            started = time.perf_counter()
            self.library = jit.together(modules)
            self.times["machine code"] = time.perf_counter() - started
        prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
        self.steps = [
            self._host_step(step) if isinstance(step, Item) else _Segment(prototype(self.library.address(step)))
            for step in program.steps
        ]
        # Only what a native kernel reads needs a pointer.
        self.read = [(slot, number) for number, item in enumerate(given) if (slot := self.places[item]) in program.read]
        self.written = [
            (self.places[item], number, self.numbers.get(item, -1))
            for number, item in enumerate(ends)
            if item.role != "host"
        ]
        self._pointer = pointer()
        self._frames: list[_Frame] = []
        if call is not None and form is not None:
            cells = [variable.cell for variable in form.variables]
            with contextlib.suppress(MemoryError):  # each call says so
                direct = bind(
                    self.library.address("call"),
                    call,
                    self.template,
                    self._room(),
                    cells,
                    form.taken,
                    (program, self.library),
                )
                run = form.taken.run
                self.direct = (lambda *arguments: run(direct, arguments)) if call.take else direct

    @property
    def llvm(self) -> str:
        """The text of the module."""
        return self.text

    def explain(self) -> str:
        """What was made of the graph: passes, kernels, memory, and where the code came from."""
        return report(self)

    def profile(self, arguments: Sequence[Array], rounds: int) -> str:
        """Run every kernel by itself, so many times, and tell how long each took."""
        apart = Plan(Program(items_of(*self._made_of)), self._made_of, separate=True)
        apart(arguments)
        best = [math.inf] * len(apart.steps)
        for _ in range(rounds):
            apart._timed = []
            apart(arguments)
            best = list(map(min, best, apart._timed))
        return times(apart, best)

    def _room(self) -> Any:
        """Memory for an arena."""
        room = np.empty(self.arena.size + 64, np.uint8)
        start = -room.ctypes.data % 64
        return room[start : start + self.arena.size]

    def _call_of(self, form: Form, text: str) -> Call:
        given, ends, in_place = self.program.given, self.program.ends, self.program.in_place

        def seen(item: Item) -> Slot:
            return Slot(item.shape, item.dtype.numpy, self.places[item])

        first, count = len(given) - len(form.variables), len(ends) - len(form.updated)
        updated = [(count + i, variable, ends[count + i] in in_place) for i, variable in enumerate(form.updated)]
        work = sum(item.size for group in self.program.groups for item in group.items)
        work += sum(
            item.key.work // 8 for group in self.program.groups for item in group.items if isinstance(item.key, Product)
        )
        long = self.program.nanoseconds > _TURN
        return Call(
            "segment0",
            tuple(map(seen, given[:first])),
            tuple(map(seen, given[first:])),
            tuple(map(seen, ends)),
            tuple(updated),
            count,
            form.single,
            long or (work > _LONG and not in_place),
            long and bool(in_place),
            interrupts.CALL in text,
        )

    def __call__(self, arguments: Sequence[Array]) -> list[Array]:
        results: list[Any]
        try:
            try:
                frame = self._frames.pop()
            except IndexError:  # as many calls are in flight as never before
                frame = _Frame(self)
            results = [None if late else np.empty(shape, dtype) for shape, dtype, late in self.outputs]
        except MemoryError as error:
            raise self._no_memory() from error
        table, pointer = frame.table, self._pointer
        for slot, number in self.read:
            table[slot] = pointer(arguments[number])
        values = frame.values.copy()
        if self.by_numpy:
            values[: len(arguments)] = arguments
        for slot, number, seen in self.written:
            table[slot] = pointer(results[number])
            if seen >= 0:
                values[seen] = results[number]
        if self.by_numpy:
            with np.errstate(all="ignore"):  # NaN and infinity are values here, not warnings
                self._run(frame, values, arguments, results)
        else:
            self._run(frame, values, arguments, results)
        self._frames.append(frame)
        return results

    def _run(self, frame: _Frame, values: list[Any], arguments: Sequence[Array], results: list[Any]) -> None:
        address = self._pointer(frame.table)
        for step in self.steps:
            started = 0.0 if self._timed is None else time.perf_counter()
            if isinstance(step, _Segment):
                failed = step.run(address)
                if failed < 0:
                    interrupts.resume()
                if failed:
                    raise self._error(self.program.checked[failed - 1], frame, values, arguments, results)
            else:
                self._run_host(step, frame, values, results)
            if self._timed is not None:
                self._timed.append(time.perf_counter() - started)

    def _no_memory(self) -> ExecutionError:
        sizes = [math.prod(shape) * dtype.itemsize for shape, dtype, _ in self.outputs]
        return ExecutionError(
            "out of memory",
            f"The results take {sum(sizes):,} bytes, and what lies between them another {self.arena.size:,}.",
        )

    def _error(
        self, item: Item, frame: _Frame, values: list[Any], arguments: Sequence[Array], results: list[Any]
    ) -> Exception:
        """What NumPy raises for the node whose kernel failed; its operands are where they were."""
        node = item.node
        assert node is not None
        operands = []
        for access, operand in zip(item.operands, node.inputs, strict=False):  # of a loop, constants come after them
            number = self.numbers.get(access.item)
            base = self._value(access.item, frame, arguments, results) if number is None else values[number]
            operands.append(_view(base, _strided(access, operand)))
        try:
            lower_to_numpy(node.op, node)(*operands)
        except Exception as error:
            inside = isinstance(error, ExecutionError) and error.at  # of a loop: it says already where
            return error if inside else failure(node, operands, error)
        return ExecutionError(
            f"{node.op.name}: its native kernel failed, NumPy's did not", at=where_it_comes_from(node)
        )

    def _value(self, item: Item, frame: _Frame, arguments: Sequence[Array], results: list[Any]) -> Array:
        if item.role == "given":
            return arguments[self.program.given.index(item)]
        if item.role == "fixed":
            fixed: Array = item.value
            return fixed
        if item.output >= 0:
            result: Array = results[item.output]
            return result
        offset = self.arena.offsets[item]
        part: Array = frame.arena[offset : offset + item.bytes]
        return part.view(item.dtype.numpy).reshape(item.shape)

    def _run_host(self, step: _HostStep, frame: _Frame, values: list[Any], results: list[Any]) -> None:
        operands = [values[at] if strided is None else _view(values[at], strided) for at, strided in step.takes]
        try:
            made = step.kernel(*operands)
        except Exception as error:
            if isinstance(error, ExecutionError) and error.at:  # inside of a loop: it says already where
                raise
            raise failure(step.node, operands, error) from error
        if type(made) is not np.ndarray:
            if isinstance(step.node.spec, Bundle):
                values[step.gives] = made
                return
            made = np.asarray(made)
        # Its memory is its own. A `Result` is in its bundle, too; what is a view may be one of an argument.
        if made.base is not None or not made.flags.c_contiguous or isinstance(step.node.op, Result):
            made = np.array(made, order="C")
        elif any(made is operand for operand in operands):
            made = made.copy()
        values[step.gives] = made
        if step.output >= 0:
            results[step.output] = made
        if step.slot:
            frame.table[step.slot] = self._pointer(made)

    def _seen_by_host(self) -> dict[Item, int]:
        """What NumPy's kernels read and make, numbered; first come the arguments."""
        if not self.by_numpy:
            return {}
        seen = dict.fromkeys(self.program.given)
        for item in self.by_numpy:
            seen.update(dict.fromkeys([*(access.item for access in item.operands), item]))
        return {item: number for number, item in enumerate(seen)}

    def _host_step(self, item: Item) -> _HostStep:
        node = item.node
        assert node is not None
        takes = [(self.numbers[a.item], _strided(a, o)) for a, o in zip(item.operands, node.inputs, strict=True)]
        slot = self.places[item] if self.places[item] in self.program.read else 0
        return _HostStep(lower_to_numpy(node.op, node), node, tuple(takes), self.numbers[item], slot, item.output)


def _strided(access: Access, operand: Node) -> _Strided | None:
    """The view of an item that an access describes; None for all of it, and for the bundle of an operation's results."""
    item, shape = access.item, tuple(operand.shape)
    if isinstance(operand.spec, Bundle) or (
        shape == item.shape and access.offset == 0 and access.strides == contiguous(item.shape)
    ):
        return None
    size, dtype = item.dtype.bits // 8, item.dtype.numpy
    return _Strided(shape, dtype, access.offset * size, tuple([s * size for s in access.strides]))  # type: ignore[arg-type]


def _view(base: Array, strided: _Strided | None) -> Array:
    if strided is None:
        return base
    if 0 in strided.shape:
        return np.empty(strided.shape, strided.dtype)
    # By way of bytes, since not every data type can be a buffer; `as_strided` takes ten times as long.
    return np.ndarray(strided.shape, strided.dtype, base.reshape(-1).view(np.uint8), strided.offset, strided.strides)


def _updated(form: Form, made: Items) -> list[tuple[Item, Item]]:
    """Pairs of a result and the variable that it becomes the value of."""
    _, given, ends = made
    first, count = len(given) - len(form.variables), len(ends) - len(form.updated)
    return [(ends[count + i], given[first + variable]) for i, variable in enumerate(form.updated)]
