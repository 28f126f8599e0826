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
from graphnn.backend.native import control, jit, kernels
from graphnn.backend.native.build import Items, items_of
from graphnn.backend.native.call import MOST_RESULTS, Call, available, bind, text_of
from graphnn.backend.native.call import Array as Slot
from graphnn.backend.native.explain import report, times
from graphnn.backend.native.items import Access, Item, contiguous
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
_LONG = 100_000
"""Elements computed in a call that lets other Python threads run meanwhile; for fewer, switching would take as long."""


class _Segment(NamedTuple):
    """A native function of the table of pointers."""

    run: Any


class _HostStep(NamedTuple):
    """A NumPy kernel: where its operands lie, and the item that it makes."""

    kernel: Any
    item: Item
    operands: tuple[tuple[Access, tuple[int, ...]], ...]


class _Frame:
    """The memory of one call in flight: the arena, and the table of pointers."""

    __slots__ = ("arena", "arrays", "table")

    def __init__(self, plan: Plan) -> None:
        self.arena = plan._room()
        self.table = plan.template.copy()
        self.table[0] = self.arena.ctypes.data
        self.arrays: dict[Item, Array] = {}
        for item, offset in plan.arena.offsets.items():
            if item in plan.seen_by_host:
                part = self.arena[offset : offset + item.bytes]
                self.arrays[item] = part.view(item.dtype.numpy).reshape(item.shape)


class Plan:
    """A compiled graph."""

    direct: Callable[..., Any] | None = None
    _timed: list[float] | None = None  # seconds of each step, while they are measured

    def __init__(
        self,
        outputs: Sequence[Node],
        arguments: Sequence[Node],
        form: Form | None = None,
        times: dict[str, float] | None = None,
        separate: bool = False,
    ) -> None:
        self.times = dict(times or {})
        self._made_of = (outputs, arguments)
        started = time.perf_counter()
        made = items_of(outputs, arguments)
        updated = _updated(form, made) if form is not None else []
        program = self.program = Program(made, updated)
        given, ends = program.given, program.ends
        self.times["regions"] = time.perf_counter() - started
        started = time.perf_counter()
        self.outputs = [(item.shape, item.dtype.numpy, item.role == "host") for item in ends]
        module = host().module()
        program.emit(module, separate=separate)
        self.by_numpy = [step for step in program.steps if isinstance(step, Item)]
        self.seen_by_host = {access.item for item in self.by_numpy for access in item.operands}
        for item in self.by_numpy:
            program.slot(item)
        self.arena, self.places, self.kernels = program.arena, program.places, program.kernels
        self.template = np.zeros(len(self.places) + 1, np.uint64)
        for item, array in program.fixed.items():
            self.template[self.places[item]] = array.ctypes.data
        call = None
        # An input that is not used may have a size that nothing tells.
        known = all(isinstance(n, int) for item in given for n in item.shape)
        few = len(ends) - len(program.in_place) <= MOST_RESULTS
        if form is not None and known and few and program.steps == ["segment0"] and available():
            call = self._call_of(form)
            module.add(text_of(call, len(self.template)))
        self.text = module.text
        self.times["text of the module"] = time.perf_counter() - started
        self.native = bool(program.kernels)
        if self.native:
            started = time.perf_counter()
            kernels.prepare(self.text)
            self.times["object code"] = time.perf_counter() - started
            started = time.perf_counter()
            kernels.link(self.text)
            self.times["kernels that all functions share"] = time.perf_counter() - started
            started = time.perf_counter()
            self.library = jit.compile(self.text)
            self.times["machine code"] = time.perf_counter() - started
        prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
        self.steps = [
            _host_step(step) if isinstance(step, Item) else _Segment(prototype(self.library.address(step)))
            for step in program.steps
        ]
        self.fixed_arrays = {item: item.value for item in program.items if item.role == "fixed"}
        self._frames: list[_Frame] = []
        if call is not None and form is not None:
            cells = [variable.cell for variable in form.variables]
            with contextlib.suppress(MemoryError):  # each call says so
                self.direct = bind(
                    self.library.address("call"), call, self.template, self._room(), cells, (program, self.library)
                )

    @property
    def llvm(self) -> str:
        """The text of the module."""
        return self.text

    def explain(self) -> str:
        """What was made of the graph: passes, kernels, memory, and where the code came from."""
        return report(self)

    def profile(self, arguments: Sequence[Array], rounds: int) -> str:
        """Run every kernel by itself, so many times, and tell how long each took."""
        apart = Plan(*self._made_of, separate=True)
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

    def _call_of(self, form: Form) -> Call:
        given, ends, in_place = self.program.given, self.program.ends, self.program.in_place

        def seen(item: Item) -> Slot:
            return Slot(item.shape, item.dtype.numpy, self.places[item])

        first, count = len(given) - len(form.variables), len(ends) - len(form.updated)
        updated = [(count + i, variable, ends[count + i] in in_place) for i, variable in enumerate(form.updated)]
        work = sum(item.size for group in self.program.groups for item in group.items)
        work += sum(
            item.key.work // 8 for group in self.program.groups for item in group.items if isinstance(item.key, Product)
        )
        return Call(
            "segment0",
            tuple(map(seen, given[:first])),
            tuple(map(seen, given[first:])),
            tuple(map(seen, ends)),
            tuple(updated),
            count,
            form.single,
            # What is written over must not be read by another thread meanwhile.
            work > _LONG and not in_place,
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
        table = frame.table
        for slot, array in enumerate(arguments, 1):
            table[slot] = array.ctypes.data
        for item, result in zip(self.program.ends, results, strict=True):
            if result is not None:
                table[self.places[item]] = result.ctypes.data
        values: dict[Item, Array] = {}
        if self.seen_by_host:
            values.update(frame.arrays)
            values.update(self.fixed_arrays)
            values.update(zip(self.program.given, arguments, strict=True))
            values.update((i, r) for i, r in zip(self.program.ends, results, strict=True) if r is not None)
        address = table.ctypes.data
        for step in self.steps:
            started = 0.0 if self._timed is None else time.perf_counter()
            if isinstance(step, _Segment):
                failed = step.run(address)
                if failed:
                    raise self._error(self.program.checked[failed - 1], frame, values, arguments, results)
            else:
                self._run_host(step, frame, values, results)
            if self._timed is not None:
                self._timed.append(time.perf_counter() - started)
        self._frames.append(frame)
        return results

    def _no_memory(self) -> ExecutionError:
        sizes = [math.prod(shape) * dtype.itemsize for shape, dtype, _ in self.outputs]
        return ExecutionError(
            "out of memory",
            f"The results take {sum(sizes):,} bytes, and what lies between them another {self.arena.size:,}.",
        )

    def _error(
        self, item: Item, frame: _Frame, values: dict[Item, Array], arguments: Sequence[Array], results: list[Any]
    ) -> Exception:
        """What NumPy raises for the node whose kernel failed; its operands are where they were."""
        node = item.node
        assert node is not None
        operands = []
        for access, operand in zip(item.operands, node.inputs, strict=False):  # of a loop, constants come after them
            base = values[access.item] if access.item in values else self._value(access.item, frame, arguments, results)
            operands.append(_array(base, access, tuple(operand.shape)))  # type: ignore[arg-type]
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

    def _run_host(self, step: _HostStep, frame: _Frame, values: dict[Item, Array], results: list[Any]) -> None:
        item, node = step.item, step.item.node
        assert node is not None
        operands = [_array(values[access.item], access, shape) for access, shape in step.operands]
        try:
            with np.errstate(all="ignore"):
                made = step.kernel(*operands)
        except Exception as error:
            if isinstance(error, ExecutionError) and error.at:  # inside of a loop: it says already where
                raise
            raise failure(node, operands, error) from error
        if isinstance(node.spec, Bundle):
            values[item] = made
            return
        made = np.asarray(made)
        if made.base is not None or not made.flags.c_contiguous or any(made is o for o in operands):
            made = np.array(made, order="C")
        elif isinstance(node.op, Result):  # its array is in the bundle, too
            made = made.copy()
        values[item] = made
        if item.output >= 0:
            results[item.output] = made
        frame.table[self.places[item]] = made.ctypes.data


def _array(base: Array, access: Access, shape: tuple[int, ...]) -> Array:
    """The view of an array that an access describes; the results of an operation with several as they are."""
    if not isinstance(base, np.ndarray):
        return base
    if shape == base.shape and access.offset == 0 and access.strides == contiguous(shape):
        return base
    if 0 in shape:
        return np.empty(shape, base.dtype)
    flat = base.reshape(-1)[access.offset :]
    return np.lib.stride_tricks.as_strided(
        flat, shape, [stride * base.itemsize for stride in access.strides], writeable=False
    )


def _host_step(item: Item) -> _HostStep:
    node = item.node
    assert node is not None
    operands = [(access, tuple(operand.shape)) for access, operand in zip(item.operands, node.inputs, strict=True)]
    return _HostStep(lower_to_numpy(node.op, node), item, tuple(operands))  # type: ignore[arg-type]


def _updated(form: Form, made: Items) -> list[tuple[Item, Item]]:
    """Pairs of a result and the variable that it becomes the value of."""
    _, given, ends = made
    first, count = len(given) - len(form.variables), len(ends) - len(form.updated)
    return [(ends[count + i], given[first + variable]) for i, variable in enumerate(form.updated)]
