"""The driver: a graph of concrete sizes becomes one native module, and a call one jump into it.

What has no native lowering runs through NumPy's, between the native segments.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphnn.backend.base import Executable, Form, failure, where_it_comes_from
from graphnn.backend.native import convolution, jit, kernels
from graphnn.backend.native.build import items_of
from graphnn.backend.native.call import MOST_RESULTS, Call, available, bind, text_of
from graphnn.backend.native.call import Array as Slot
from graphnn.backend.native.emit import Module
from graphnn.backend.native.epilogue import absorb, kernel_of_product, settle
from graphnn.backend.native.explain import report
from graphnn.backend.native.items import Access, Item, Kernel, contiguous
from graphnn.backend.native.loops import is_literal, kernel_of
from graphnn.backend.native.memory import Arena
from graphnn.backend.native.products import Product
from graphnn.backend.native.regions import Group, Regions
from graphnn.backend.native.target import host
from graphnn.backend.numpy import NumpyBackend
from graphnn.backend.numpy.lower import lower as lower_to_numpy
from graphnn.errors import ExecutionError
from graphnn.ir.arrays import Array
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ir.spec import Bundle
from graphnn.ops.results import Result

_LONG = 100_000
"""Elements computed in a call that lets other Python threads run meanwhile; for fewer, switching would take as long."""


_CALLS = 40
"""Calls of kernels in one function of the module."""


class NativeBackend:
    """Compiles graphs to machine code by LLVM; where llvmlite is missing, runs them with NumPy."""

    name = "native"

    def keeps(self, op: Op) -> bool:
        """Composites are expanded: what belongs together is found again by fusion."""
        return False

    def compile(
        self, outputs: Sequence[Node], arguments: Sequence[Node], debug: str | None = None, form: Form | None = None
    ) -> Executable:
        """Make machine code for the graph; a search for NaN needs every value, and is left to NumPy."""
        reason = "a search for NaN looks at every value"
        if debug is None:
            try:
                host()
            except ImportError as error:
                reason = f"llvmlite cannot be imported: {error}"
            else:
                start = time.perf_counter()
                outputs = convolution.products(outputs)
                return Plan(outputs, arguments, form, {"convolutions as products": time.perf_counter() - start})
        plan = NumpyBackend().compile(outputs, arguments, debug, form)
        plan.reason = reason
        return plan


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
    separate = False  # a segment for each kernel, to measure them

    def __init__(
        self,
        outputs: Sequence[Node],
        arguments: Sequence[Node],
        form: Form | None = None,
        times: dict[str, float] | None = None,
    ) -> None:
        self.times = dict(times or {})
        started = time.perf_counter()
        items, given, ends = items_of(outputs, arguments)
        regions = Regions()
        for item in items:
            if item.role in ("element", "reduce", "kernel", "host"):
                regions.add(item)
        absorb(regions)
        updated = _updated(form, given, ends) if form is not None else []
        groups, in_place = regions.write_over(updated)
        _mark_stored(groups)
        settle(groups)
        self.times["regions"] = time.perf_counter() - started
        started = time.perf_counter()
        self.given, self.ends = given, ends
        self.outputs = [(item.shape, item.dtype.numpy, item.role == "host") for item in ends]
        self.places: dict[Item, int] = {}  # the slots of the table; slot 0 is the arena
        for item in [*given, *ends]:
            self._slot(item)
        self.arena = Arena(groups)
        self.seen_by_host: set[Item] = set()
        self.checked: list[Item] = []  # by the numbers with which segments say that one failed
        self.fixed: dict[Item, Array] = {}
        module = host().module()
        self.steps: list[Any] = []
        self.kernels: list[tuple[str, Group]] = []
        self.by_numpy = [group.items[0] for group in groups if group.items[0].role == "host"]
        calls: list[str] = []
        for group in groups:
            if group.items[0].role == "host":
                self._end_segment(module, calls)
                self.steps.append(self._host_step(group.items[0]))
            else:
                kernel = _kernel(module, group)
                calls.append("\n".join(self._call(kernel, group.items[0], len(calls))))
                self.kernels.append((kernel.name, group))
                if self.separate:
                    self._end_segment(module, calls)
        self._end_segment(module, calls)
        self.template = np.zeros(len(self.places) + 1, np.uint64)
        for item, array in self.fixed.items():
            self.template[self.places[item]] = array.ctypes.data
        call = None
        # An input that is not used may have a size that nothing tells.
        known = all(isinstance(n, int) for item in given for n in item.shape)
        few = len(ends) - len(in_place) <= MOST_RESULTS
        if form is not None and known and few and self.steps == ["segment0"] and available():
            call = self._call_of(form, in_place, groups)
            module.add(text_of(call, len(self.template)))
        self.text = module.text
        self.times["text of the module"] = time.perf_counter() - started
        self.native = any(isinstance(step, str) for step in self.steps)
        if self.native:
            started = time.perf_counter()
            kernels.link(self.text)
            self.times["kernels that all functions share"] = time.perf_counter() - started
            started = time.perf_counter()
            self.library = jit.compile(self.text)
            self.times["machine code"] = time.perf_counter() - started
            prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
            self.steps = [
                _Segment(prototype(self.library.address(step))) if isinstance(step, str) else step
                for step in self.steps
            ]
        self.fixed_arrays = {item: item.value for item in items if item.role == "fixed"}
        self._frames: list[_Frame] = []
        if call is not None and form is not None:
            cells = [variable.cell for variable in form.variables]
            self._bound = bind(self.library.address("call"), call, self.template, self._room(), cells)
            self.direct = self._bound.function

    @property
    def llvm(self) -> str:
        """The text of the module."""
        return self.text

    def explain(self) -> str:
        """What was made of the graph: passes, kernels, memory, and where the code came from."""
        return report(self)

    def _room(self) -> Any:
        """Memory for an arena."""
        room = np.empty(self.arena.size + 64, np.uint8)
        start = -room.ctypes.data % 64
        return room[start : start + self.arena.size]

    def _call_of(self, form: Form, in_place: set[Item], groups: list[Group]) -> Call:
        def seen(item: Item) -> Slot:
            return Slot(item.shape, item.dtype.numpy, self.places[item])

        first, count = len(self.given) - len(form.variables), len(self.ends) - len(form.updated)
        updated = [(count + i, variable, self.ends[count + i] in in_place) for i, variable in enumerate(form.updated)]
        work = sum(item.size for group in groups for item in group.items)
        work += sum(item.key.work // 8 for group in groups for item in group.items if isinstance(item.key, Product))
        return Call(
            "segment0",
            tuple(map(seen, self.given[:first])),
            tuple(map(seen, self.given[first:])),
            tuple(map(seen, self.ends)),
            tuple(updated),
            count,
            form.single,
            # What is written over must not be read by another thread meanwhile.
            work > _LONG and not in_place,
        )

    def _slot(self, item: Item) -> int:
        return self.places.setdefault(item, len(self.places) + 1)

    def _call(self, kernel: Kernel, item: Item, number: int) -> list[str]:
        """The lines that call a kernel with the pointers of its items; a checked one ends the segment if it fails."""
        lines, names = [], []
        for i, pointed in enumerate(kernel.pointers):
            if pointed is None:
                names.append("ptr null")
                continue
            (given, element), name = pointed, f"%a{number}.{i}"
            offset = element * given.dtype.bits // 8
            if given in self.arena.offsets:
                base, offset = "%arena", offset + self.arena.offsets[given]
            else:
                if given.role == "fixed":
                    self.fixed[given] = given.value
                base = name if offset == 0 else f"{name}b"
                lines.append(f"{name}p = getelementptr inbounds ptr, ptr %table, i64 {self._slot(given)}")
                lines.append(f"{base} = load ptr, ptr {name}p")
            if base != name:
                lines.append(f"{name} = getelementptr i8, ptr {base}, i64 {offset}")
            names.append(f"ptr {name}")
        if not kernel.checked:
            return [*lines, f"call void @{kernel.name}({', '.join(names)})"]
        self.checked.append(item)
        result = f"%r{number}"
        return [
            *lines,
            f"{result} = call i32 @{kernel.name}({', '.join(names)})",
            f"{result}b = icmp eq i32 {result}, 0",
            f"br i1 {result}b, label %c{number}, label %e{number}",
            f"e{number}:",
            f"ret i32 {len(self.checked)}",
            f"c{number}:",
        ]

    def _end_segment(self, module: Any, calls: list[str]) -> None:
        if not calls:
            return
        name = f"segment{len(self.steps)}"
        # Long functions compile slowly: a long segment is a chain of shorter ones.
        parts = [calls[i : i + _CALLS] for i in range(0, len(calls), _CALLS)]
        for number, part in enumerate(parts[:-1]):
            following = f"%s = tail call i32 @{name}.{number + 1}(ptr %table)"
            module.add(_segment(f"internal i32 @{name}.{number}" if number else f"i32 @{name}", part, following))
        number = len(parts) - 1
        last = parts[-1]
        module.add(_segment(f"internal i32 @{name}.{number}" if number else f"i32 @{name}", last, "%s = add i32 0, 0"))
        self.steps.append(name)
        calls.clear()

    def _host_step(self, item: Item) -> _HostStep:
        assert item.node is not None
        operands = []
        for access, node in zip(item.operands, item.node.inputs, strict=True):
            self.seen_by_host.add(access.item)
            operands.append((access, tuple(node.shape)))
        if item.output < 0:
            self._slot(item)
        return _HostStep(lower_to_numpy(item.node.op, item.node), item, tuple(operands))  # type: ignore[arg-type]

    def __call__(self, arguments: Sequence[Array]) -> list[Array]:
        try:
            frame = self._frames.pop()
        except IndexError:  # as many calls are in flight as never before
            frame = _Frame(self)
        table, results = frame.table, []
        for slot, array in enumerate(arguments, 1):
            table[slot] = array.ctypes.data
        for shape, dtype, late in self.outputs:
            results.append(None if late else np.empty(shape, dtype))
        for item, result in zip(self.ends, results, strict=True):
            if result is not None:
                table[self.places[item]] = result.ctypes.data
        values: dict[Item, Array] = {}
        if self.seen_by_host:
            values.update(frame.arrays)
            values.update(self.fixed_arrays)
            values.update(zip(self.given, arguments, strict=True))
            values.update((i, r) for i, r in zip(self.ends, results, strict=True) if r is not None)
        address = table.ctypes.data
        for step in self.steps:
            if type(step) is _Segment:
                failed = step.run(address)
                if failed:
                    raise self._error(self.checked[failed - 1], frame, arguments, results)
            else:
                self._run_host(step, frame, values, results)
        self._frames.append(frame)
        return results  # type: ignore[return-value]

    def _error(self, item: Item, frame: _Frame, arguments: Sequence[Array], results: list[Any]) -> Exception:
        """What NumPy raises for the node whose kernel failed; its operands are where they were."""
        node = item.node
        assert node is not None
        operands = []
        for access, operand in zip(item.operands, node.inputs, strict=True):
            base = self._value(access.item, frame, arguments, results)
            operands.append(_array(base, access, tuple(operand.shape)))  # type: ignore[arg-type]
        try:
            lower_to_numpy(node.op, node)(*operands)
        except Exception as error:
            return failure(node, operands, error)
        return ExecutionError(
            f"{node.op.name}: its native kernel failed, NumPy's did not", at=where_it_comes_from(node)
        )

    def _value(self, item: Item, frame: _Frame, arguments: Sequence[Array], results: list[Any]) -> Array:
        if item.role == "given":
            return arguments[self.given.index(item)]
        if item.role == "fixed":
            fixed: Array = item.value
            return fixed
        if item.output >= 0:
            result: Array = results[item.output]
            return result
        if item.role == "host":
            return frame.arrays[item]
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
            values[item] = frame.arrays[item] = made
            return
        made = np.asarray(made)
        if made.base is not None or not made.flags.c_contiguous or any(made is o for o in operands):
            made = np.array(made, order="C")
        elif isinstance(node.op, Result):  # its array is in the bundle, too
            made = made.copy()
        values[item] = frame.arrays[item] = made
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


def _updated(form: Form, given: list[Item], ends: list[Item]) -> list[tuple[Item, Item]]:
    """Pairs of a result and the variable that it becomes the value of."""
    first, count = len(given) - len(form.variables), len(ends) - len(form.updated)
    return [(ends[count + i], given[first + variable]) for i, variable in enumerate(form.updated)]


def _segment(head: str, calls: list[str], last: str) -> str:
    body = "\n".join(["%arena = load ptr, ptr %table", *calls, last, "ret i32 %s"])
    return f"define {head}(ptr %table) {{\n{body}\n}}"


def _kernel(module: Module, group: Group) -> Kernel:
    own = [item.kernel for item in group.items if item.kernel is not None]
    if not own:
        return kernel_of(module, group)
    return own[0](module) if len(group.items) == 1 else kernel_of_product(module, group)


def _mark_stored(groups: list[Group]) -> None:
    """Mark what is needed outside the group that computes it, or is a result."""
    for group in groups:
        inside = set(group.items)
        for item in group.items:
            alone = item.role in ("host", "kernel") and len(group.items) == 1
            if item.output >= 0 or alone:
                item.stored = True
            for access in item.operands:
                if access.item not in inside and not is_literal(access.item):
                    access.item.stored = True
