"""The way into native code: a C function that checks arrays, finds their memory, runs a plan and makes the results.

A call by way of Python and ctypes takes tens of microseconds; this one takes a fraction of one. It reads the fields of
arrays where CPython and NumPy keep them; that they are there is tried out first, and if not, the longer way is taken.
Where anything is unusual - another type, another shape, a key word - it gives ``NotImplemented``, and the longer way
says what is wrong.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphnn.ir.leaves import State, Variable, variable_like

# Where NumPy keeps the fields of an array, in bytes; tried out by `available`.
_DATA, _NDIM, _DIMS, _DTYPE, _FLAGS = 16, 24, 32, 56, 64
_PLAIN = 0x101  # contiguous in row-major order, and aligned
_NEW_ARRAY = 94  # PyArray_NewFromDescr in NumPy's table of functions
_FASTCALL = 0x80

# What the context holds behind the table of pointers, in words.
_WORDS = (
    "busy", "taken", "array", "not_implemented", "new_array", "save", "restore", "increase", "decrease", "new_tuple",
    "set_item",
)  # fmt: skip


MOST_RESULTS = 24
"""New arrays that are made in one call; for more, the longer way costs little beside them."""


class Array(NamedTuple):
    """An argument, a variable or a result as a call sees it: shape, data type and its slot in the table."""

    shape: tuple[int, ...]
    dtype: Any
    slot: int


class Call(NamedTuple):
    """What the C function of a plan does.

    Parameters
    ----------
    segment : the name of the native function
    arguments, variables, results : as they are given, held and made
    updated : for each result that becomes the value of a variable, (result, variable, in place)
    returned : how many results are returned, the first ones
    single : return the only one itself, not a tuple
    release : run without Python's lock
    take : what is written over is taken out of its cells meanwhile, see `graphnn.ir.leaves.Taken`
    stops : the native function may be stopped by a signal, see interrupts.py
    """

    segment: str
    arguments: tuple[Array, ...]
    variables: tuple[Array, ...]
    results: tuple[Array, ...]
    updated: tuple[tuple[int, int, bool], ...]
    returned: int
    single: bool
    release: bool
    take: bool = False
    stops: bool = False


@functools.cache
def _cell_offset() -> int:
    """Where a cell keeps its array, or 0 if it is not found."""
    probe: Variable = variable_like(State(), "probe", np.zeros(1), trainable=False)
    size = type(probe.cell).__basicsize__
    words = (ctypes.c_uint64 * (size // 8)).from_address(id(probe.cell))
    places = [i for i, word in enumerate(words) if word == id(probe.cell.held)]
    return places[0] * 8 if len(places) == 1 else 0


@functools.cache
def available() -> bool:
    """Whether arrays and cells lie in memory as this file believes."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8 or object.__basicsize__ != 16:
        return False
    probe = np.zeros((3, 5), np.float32)
    at = id(probe)
    words = [ctypes.c_uint64.from_address(at + place).value for place in (_DATA, _DTYPE)]
    dims = ctypes.c_uint64.from_address(at + _DIMS).value
    return (
        words == [probe.ctypes.data, id(probe.dtype)]
        and ctypes.c_uint64.from_address(at + 8).value == id(np.ndarray)
        and ctypes.c_int32.from_address(at + _NDIM).value == 2
        and list((ctypes.c_int64 * 2).from_address(dims)) == [3, 5]
        and ctypes.c_int32.from_address(at + _FLAGS).value == probe.flags.num
        and ctypes.c_uint32.from_address(at).value == sys.getrefcount(probe) - 1
        and _cell_offset() > 0
    )


@functools.cache
def pointer() -> Callable[[Any], int]:
    """The function that tells where the elements of an array begin; ``array.ctypes.data`` takes ten times as long."""
    if not available():
        return lambda array: int(array.ctypes.data)
    word = ctypes.c_uint64.from_address
    return lambda array: word(id(array) + _DATA).value


@functools.cache
def _functions() -> dict[str, int]:
    """The addresses that every context holds."""
    python = ctypes.pythonapi
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = python.PyCapsule_GetPointer(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
    found = {
        "save": python.PyEval_SaveThread,
        "restore": python.PyEval_RestoreThread,
        "increase": python.Py_IncRef,
        "decrease": python.Py_DecRef,
        "new_tuple": python.PyTuple_New,
        "set_item": python.PyTuple_SetItem,
    }
    addresses = {name: ctypes.cast(function, ctypes.c_void_p).value or 0 for name, function in found.items()}
    addresses["new_array"] = ctypes.c_uint64.from_address(table + 8 * _NEW_ARRAY).value
    addresses["array"] = id(np.ndarray)
    addresses["not_implemented"] = id(NotImplemented)
    return addresses


def text_of(call: Call, slots: int) -> str:
    """The C function ``@call`` of a plan whose table of pointers has so many slots."""
    return _Text(call, slots).text()


class _Text:
    def __init__(self, call: Call, slots: int) -> None:
        self.call, self.count = call, 0
        self.lines: list[str] = []
        self.words = {name: slots + i for i, name in enumerate(_WORDS)}
        first = slots + len(_WORDS)
        self.dtypes = first  # of the arguments
        self.cells = first + len(call.arguments)
        self.made = self.cells + 3 * len(call.variables)  # data type and sizes of each result

    def line(self, text: str) -> None:
        self.lines.append(text)

    def name(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def at(self, pointer: str, offset: int, kind: str) -> str:
        """What stands so many bytes behind an address."""
        place, value = self.name(), self.name()
        self.line(f"{place} = getelementptr i8, ptr {pointer}, i64 {offset}")
        self.line(f"{value} = load {kind}, ptr {place}")
        return value

    def put(self, value: str, pointer: str, offset: int, kind: str = "ptr") -> None:
        place = self.name()
        self.line(f"{place} = getelementptr i8, ptr {pointer}, i64 {offset}")
        self.line(f"store {kind} {value}, ptr {place}")

    def word(self, name: str) -> str:
        return self.at("%t", 8 * self.words[name], "ptr")

    def must(self, kind: str, value: str, wanted: str) -> None:
        """Take the longer way unless both are equal."""
        same, label = self.name(), f"n{self.count}"
        self.line(f"{same} = icmp eq {kind} {value}, {wanted}")
        self.line(f"br i1 {same}, label %{label}, label %slow")
        self.line(f"{label}:")

    def text(self) -> str:
        call = self.call
        self.line("define ptr @call(ptr %self, ptr %args, i64 %nargs) {\nentry:")
        self.line(f"%tp = getelementptr i8, ptr %self, i64 {_DATA}\n%t = load ptr, ptr %tp")
        self.must("i64", "%nargs", str(len(call.arguments)))
        self.must("i64", self.at("%t", 8 * self.words["busy"], "i64"), "0")
        array = self.word("array")
        for i, argument in enumerate(call.arguments):
            self._argument(self.at("%args", 8 * i, "ptr"), argument, array, 8 * (self.dtypes + i))
        self._variables(array)
        made = self._results(array)
        self._run()
        replaced = []
        for result, variable, here in call.updated:
            if not here:
                cell = self.at("%t", 8 * (self.cells + 3 * variable), "ptr")
                replaced.append(self.at(cell, _cell_offset(), "ptr"))
                self.put(made[result], cell, _cell_offset())
        for old in replaced:  # to let go of an array may run Python code: after all are set
            self._reference("decrease", old)
        if call.single:
            self.line(f"ret ptr {made[0]}")
        else:
            together = self.name()
            self.line(f"{together} = call ptr {self.word('new_tuple')}(i64 {call.returned})")
            for i in range(call.returned):
                ignored = self.name()
                self.line(f"{ignored} = call i32 {self.word('set_item')}(ptr {together}, i64 {i}, ptr {made[i]})")
            self.line(f"ret ptr {together}")
        self.line("failed:")
        for each in made.values():
            self._reference("decrease", each)
        if call.stops:
            self.line("%stopped = icmp slt i32 %status, 0\nbr i1 %stopped, label %resume, label %slow\nresume:")
            self.line("call void @graphnn_resume()\nret ptr null\nslow:")
        else:
            self.line("br label %slow\nslow:")
        answer = self.word("not_implemented")
        self._reference("increase", answer)
        self.line(f"ret ptr {answer}\n}}")
        return "\n".join(self.lines)

    def _argument(self, given: str, argument: Array, array: str, dtype: int) -> None:
        self.must("ptr", self.at(given, 8, "ptr"), array)
        self.must("ptr", self.at(given, _DTYPE, "ptr"), self.at("%t", dtype, "ptr"))
        self.must("i32", self.at(given, _NDIM, "i32"), str(len(argument.shape)))
        plain = self.name()
        self.line(f"{plain} = and i32 {self.at(given, _FLAGS, 'i32')}, {_PLAIN}")
        self.must("i32", plain, str(_PLAIN))
        if argument.shape:
            dims = self.at(given, _DIMS, "ptr")
            for axis, size in enumerate(argument.shape):
                self.must("i64", self.at(dims, 8 * axis, "i64"), str(size))
        self.put(self.at(given, _DATA, "ptr"), "%t", 8 * argument.slot)

    def _variables(self, array: str) -> None:
        """A loop over the variables.

        Each has three words: its cell, the slot of the result that is written over its value, or 0, and room for the
        value that is held while other threads run.
        """
        if not self.call.variables:
            return
        first = self.call.variables[0].slot
        self.line("%vt = getelementptr i8, ptr %t, i64 " + str(8 * self.cells))
        self.line(
            "br label %vbefore\nvbefore:\nbr label %variables\nvariables:\n%vi = phi i64 [0, %vbefore], [%vnext, %vend]"
        )
        self.line("%vo = mul i64 %vi, 24\n%vp = getelementptr i8, ptr %vt, i64 %vo")
        cell, over = self.at("%vp", 0, "ptr"), self.at("%vp", 8, "i64")
        value = self.at(cell, _cell_offset(), "ptr")
        self.must("ptr", self.at(value, 8, "ptr"), array)
        data = self.at(value, _DATA, "ptr")
        self.line(f"%vs = add i64 %vi, {first}\n%vq = getelementptr ptr, ptr %t, i64 %vs\nstore ptr {data}, ptr %vq")
        self.line("%vh = icmp eq i64 %over, 0\nbr i1 %vh, label %vend, label %vin\nvin:".replace("%over", over))
        # Written over only if nobody else holds it: a call in another thread may be reading it.
        self.must("i32", self.at(value, 0, "i32"), "1")
        self.line(f"%vr = getelementptr ptr, ptr %t, i64 {over}\nstore ptr {data}, ptr %vr\nbr label %vend\nvend:")
        self.line(f"%vnext = add i64 %vi, 1\n%vmore = icmp slt i64 %vnext, {len(self.call.variables)}")
        self.line("br i1 %vmore, label %variables, label %vdone\nvdone:")

    def _hold(self, hold: bool) -> None:
        """Hold the value of each variable, or let go of it: another thread may set the variable meanwhile.

        Those that are written over are taken out of their cells, and put back where nobody has set another value.
        """
        if not self.call.variables:
            return
        label, function = ("h", self.word("increase")) if hold else ("l", self.word("decrease"))
        taken = self.word("taken") if self.call.take else ""
        self.line(f"br label %{label}b\n{label}b:\nbr label %{label}\n{label}:")
        self.line(f"%{label}i = phi i64 [0, %{label}b], [%{label}n, %{label}e]")
        self.line(f"%{label}o = mul i64 %{label}i, 24\n%{label}p = getelementptr i8, ptr %vt, i64 %{label}o")
        cell = self.at(f"%{label}p", 0, "ptr")
        now = self.at(cell, _cell_offset(), "ptr")
        if hold:
            value = now
            self.put(value, f"%{label}p", 16)
        else:
            value = self.at(f"%{label}p", 16, "ptr")
        if taken:
            # The reference goes from the cell to this call and back, that to what stands in its place the other way.
            if hold:
                self.line(f"%{label}w = icmp ne i64 {self.at(f'%{label}p', 8, 'i64')}, 0")
            else:
                self.line(f"%{label}w = icmp eq ptr {now}, {taken}")
            self.line(f"br i1 %{label}w, label %{label}t, label %{label}k\n{label}t:")
            self.put(taken if hold else value, cell, _cell_offset())
            self.line(f"call void {function}(ptr {taken})\nbr label %{label}e\n{label}k:")
        self.line(f"call void {function}(ptr {value})\nbr label %{label}e\n{label}e:")
        self.line(f"%{label}n = add i64 %{label}i, 1\n%{label}m = icmp slt i64 %{label}n, {len(self.call.variables)}")
        self.line(f"br i1 %{label}m, label %{label}, label %{label}d\n{label}d:")

    def _results(self, array: str) -> dict[int, str]:
        """New arrays for the results; out of memory, those made so far are let go, and the longer way says so."""
        made: dict[int, str] = {}
        in_place = {result for result, _, here in self.call.updated if here}
        for i, result in enumerate(self.call.results):
            if i in in_place:
                continue
            dtype = self.at("%t", 8 * (self.made + 2 * i), "ptr")
            dims = self.at("%t", 8 * (self.made + 2 * i + 1), "ptr")
            self._reference("increase", dtype)  # the new array takes it over
            new = self.name()
            self.line(
                f"{new} = call ptr {self.word('new_array')}(ptr {array}, ptr {dtype}, i32 {len(result.shape)}, "
                f"ptr {dims}, ptr null, ptr null, i32 0, ptr null)"
            )
            self.count += 1
            there, label = self.name(), f"r{self.count}"
            self.line(f"{there} = icmp ne ptr {new}, null\nbr i1 {there}, label %{label}, label %{label}no")
            self.line(f"{label}no:")
            for each in made.values():
                self._reference("decrease", each)
            self.line(f"ret ptr null\n{label}:")
            made[i] = new
            self.put(self.at(new, _DATA, "ptr"), "%t", 8 * result.slot)
        return made

    def _run(self) -> None:
        busy = 8 * self.words["busy"]
        self.put("1", "%t", busy, "i64")
        if self.call.release:
            self._hold(True)
            self.line(f"%state = call ptr {self.word('save')}()")
        self.line(f"%status = call i32 @{self.call.segment}(ptr %t)")
        if self.call.release:
            self.line(f"call void {self.word('restore')}(ptr %state)")
            self._hold(False)
        self.put("0", "%t", busy, "i64")
        self.line("%fine = icmp eq i32 %status, 0\nbr i1 %fine, label %done, label %failed\ndone:")

    def _reference(self, change: str, value: str) -> None:
        self.line(f"call void {self.word(change)}(ptr {value})")


class _Context(np.ndarray[Any, Any]):
    """The words that the C function reads, and what must live as long as it: a call may outlive its plan."""

    held: tuple[Any, ...]


class _Method(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    )  # fmt: skip


def bind(
    address: int, call: Call, template: Any, arena: Any, cells: Sequence[Any], taken: Any, held: tuple[Any, ...]
) -> Callable[..., Any]:
    """The C function at an address as a Python function.

    Parameters
    ----------
    template : the table of pointers with what is fixed in it
    arena : memory for what lies between kernels
    cells : of the variables
    taken : the `Taken` that stands in for what is written over
    held : what else must live as long as the function, such as the machine code and the constants
    """
    shapes = [np.array(result.shape or (0,), np.int64) for result in call.results]
    known = {**_functions(), "busy": 0, "taken": id(taken)}
    words = [known[name] for name in _WORDS]
    words += [id(argument.dtype) for argument in call.arguments]
    over = {variable: call.results[result].slot for result, variable, here in call.updated if here}
    for number, cell in enumerate(cells):
        words += [id(cell), over.get(number, 0), 0]
    for result, shape in zip(call.results, shapes, strict=True):
        words += [id(result.dtype), shape.ctypes.data]
    context = np.concatenate([template, np.array(words, np.uint64)]).view(_Context)
    context[0] = arena.ctypes.data
    method = _Method(b"call", address, _FASTCALL, None)
    context.held = (method, shapes, arena, call, tuple(cells), taken, held)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    function: Callable[..., Any] = make(ctypes.addressof(method), context, None)
    return function
