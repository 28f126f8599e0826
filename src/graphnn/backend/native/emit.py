"""The emitting layer: LLVM IR as text, function by function, with vectors, loops and masked ends of arrays.

Text is written at once instead of building objects for every instruction: emission is a part of the compile time, and
the text of a module is also what the cache on disk is keyed by. Nothing here needs llvmlite.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

BYTES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8, "ptr": 8}
"""The size of a scalar in memory; an i1 is stored as a byte."""


class Value:
    """An SSA value: how it is written, the kind of its scalars and the number of its lanes (1: not a vector)."""

    __slots__ = ("kind", "lanes", "text")

    def __init__(self, text: str, kind: str, lanes: int = 1) -> None:
        self.text, self.kind, self.lanes = text, kind, lanes

    @property
    def type(self) -> str:
        """The type as LLVM writes it."""
        return type_text(self.kind, self.lanes)

    @property
    def typed(self) -> str:
        """Type and value, as an operand is written."""
        return f"{type_text(self.kind, self.lanes)} {self.text}"

    def __repr__(self) -> str:
        return self.typed


@functools.cache
def type_text(kind: str, lanes: int) -> str:
    """``float`` or ``<16 x float>``."""
    return kind if lanes == 1 else f"<{lanes} x {kind}>"


@functools.cache
def _literal(kind: str, number: float | int, sign: float) -> str:
    # `sign` keeps 0.0 and -0.0 apart in the cache.
    if kind in ("float", "double"):
        with np.errstate(all="ignore"):
            wide = float(np.float32(number)) if kind == "float" else float(number)
        return f"0x{struct.unpack('>Q', struct.pack('>d', wide))[0]:016X}"
    if kind == "i1":
        return "true" if number else "false"
    return str(int(number))


@functools.cache
def _intrinsic_suffix(kind: str, lanes: int) -> str:
    scalar = {"float": "f32", "double": "f64", "ptr": "p0"}.get(kind, kind)
    return scalar if lanes == 1 else f"v{lanes}{scalar}"


class Module:
    """The text of one LLVM module: functions that are emitted once for each key, and declarations.

    `vector_bytes` is the width of the vector registers it is made for, `registers` their number; `fma` tells whether a
    fused multiply-add is fast, `splat` whether this LLVM knows the short form of a constant vector (from LLVM 19 on).
    `bodies` are the texts of functions and constants in the order in which they were emitted.
    """

    def __init__(self, vector_bytes: int = 16, registers: int = 16, fma: bool = False, splat: bool = False) -> None:
        self.vector_bytes, self.registers, self.fma, self.splat = vector_bytes, registers, fma, splat
        self.functions: dict[Hashable, str] = {}
        self.bodies: list[str] = []
        self._texts: dict[str, str] = {}
        self._declared: dict[str, None] = {}
        self.stoppable = True  # whether what is emitted now may be stopped half-way; see interrupts.py

    def lanes(self, kind: str) -> int:
        """How many scalars of a kind fill a vector register."""
        return max(1, self.vector_bytes // BYTES[kind])

    def once(self, key: Hashable, make: Callable[[str], str]) -> str:
        """The name of the function of this key; ``make(name)`` gives its text when it is asked for the first time.

        Keys say more than the code does, as all sizes of a product: functions that turn out to be equal are one.
        """
        name = self.functions.get(key)
        if name is None:
            what = key[0] if isinstance(key, tuple) and key and isinstance(key[0], str) else "f"
            name = self.functions[key] = f"{what}.{len(self.functions)}"
            text = make(name)
            first = self._texts.setdefault(re.sub(rf"@{re.escape(name)}(?![\w.])", "@", text), name)
            if first == name:
                self.bodies.append(text)
            else:
                name = self.functions[key] = first
        return name

    def declare(self, line: str) -> None:
        """Add a line such as ``declare float @sinf(float)``, once."""
        self._declared[line] = None

    def add(self, text: str) -> None:
        """Add the text of a function that nobody asks for again."""
        self.bodies.append(text)

    @property
    def declarations(self) -> list[str]:
        """A line for each function that others define."""
        return list(self._declared)

    @property
    def text(self) -> str:
        """The module."""
        return "\n".join([*self._declared, *self.bodies, ""])


class Builder:
    """Writes the body of one function.

    Pure instructions with equal operands are written once for each loop body, so callers may ask for the same value
    as often as they like. The numbers of names begin after `names`.
    """

    def __init__(self, module: Module, names: int = 0) -> None:
        self.module = module
        self.lines: list[str] = []
        self.entry: list[str] = []  # allocas: they stand at the top
        self._count = names
        self._known: list[dict[Any, Value]] = [{}]
        self.block = "entry"

    def fresh(self, hint: str = "") -> str:
        """A new name."""
        self._count += 1
        return f"%{hint}{self._count}" if hint else f"%v{self._count}"

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append(text)

    def label(self, name: str) -> None:
        """Begin a block; `name` is without the percent sign."""
        self.lines.append(f"{name}:")
        self.block = name

    def function(self, head: str) -> str:
        """The text of the function with this head, such as ``define internal void @f(ptr %a)``."""
        body = "\n".join(["entry:", *self.entry, *self.lines])
        return f"{head} {{\n{body}\n}}"

    # Values

    def const(self, kind: str, number: float | int, lanes: int = 1) -> Value:
        """A constant, in every lane."""
        number = float(number) if kind in ("float", "double") else int(number)
        sign = 0.0 if number != 0 or isinstance(number, int) else float(np.copysign(1.0, number))
        text = _literal(kind, number, sign) if number == number else _literal(kind, float("nan"), 0.0)
        return Value(text if lanes == 1 else self._repeated(kind, text, lanes), kind, lanes)

    def _repeated(self, kind: str, text: str, lanes: int) -> str:
        if self.module.splat:
            return f"splat ({kind} {text})"
        return f"<{', '.join([f'{kind} {text}'] * lanes)}>"

    def consts(self, kind: str, numbers: Sequence[float | int]) -> Value:
        """A constant vector of different numbers."""
        parts = ", ".join([f"{kind} {self.const(kind, number).text}" for number in numbers])
        return Value(f"<{parts}>", kind, len(numbers))

    def pure(self, text: str, kind: str, lanes: int) -> Value:
        """The value of an instruction without side effects; equal texts give one value."""
        for known in self._known:
            found = known.get(text)
            if found is not None:
                return found
        self._count += 1
        made = Value(f"%v{self._count}", kind, lanes)
        self.lines.append(f"{made.text} = {text}")
        self._known[-1][text] = made
        return made

    def same_lanes(self, *values: Value) -> tuple[Value, ...]:
        """The values with as many lanes as the widest has; scalars are repeated."""
        lanes = max(value.lanes for value in values)
        return tuple([value if value.lanes == lanes else self.splat(value, lanes) for value in values])

    def splat(self, value: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if value.lanes == lanes:
            return value
        if not value.text.startswith("%"):
            return Value(self._repeated(value.kind, value.text, lanes), value.kind, lanes)
        vector = type_text(value.kind, lanes)
        one = self.pure(f"insertelement {vector} undef, {value.typed}, i32 0", value.kind, lanes)
        zeros = "zeroinitializer"
        return self.pure(f"shufflevector {one.typed}, {vector} undef, <{lanes} x i32> {zeros}", value.kind, lanes)

    def bin(self, op: str, x: Value, y: Value) -> Value:
        """``fadd``, ``mul``, ``and``, ``ashr`` and the like; flags may follow the name."""
        if x.lanes != y.lanes:
            x, y = self.same_lanes(x, y)
        return self.pure(f"{op} {x.typed}, {y.text}", x.kind, x.lanes)

    def neg(self, x: Value) -> Value:
        """Minus a floating-point x, by its sign alone."""
        return self.pure(f"fneg {x.typed}", x.kind, x.lanes)

    def fcmp(self, predicate: str, x: Value, y: Value) -> Value:
        """Compare floating-point values: ``oeq``, ``une``, ``olt``, ``uno`` ..."""
        x, y = self.same_lanes(x, y)
        return self.pure(f"fcmp {predicate} {x.typed}, {y.text}", "i1", x.lanes)

    def icmp(self, predicate: str, x: Value, y: Value) -> Value:
        """Compare integers: ``eq``, ``slt``, ``ult`` ..."""
        x, y = self.same_lanes(x, y)
        return self.pure(f"icmp {predicate} {x.typed}, {y.text}", "i1", x.lanes)

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """X where the condition holds, else y."""
        if condition.lanes == 1:
            x, y = self.same_lanes(x, y)
        else:
            condition, x, y = self.same_lanes(condition, x, y)
        return self.pure(f"select {condition.typed}, {x.typed}, {y.typed}", x.kind, x.lanes)

    def cast(self, op: str, x: Value, kind: str) -> Value:
        """``sext``, ``trunc``, ``sitofp``, ``fpext``, ``bitcast`` ... to another kind with as many lanes."""
        return x if x.kind == kind else self.pure(f"{op} {x.typed} to {type_text(kind, x.lanes)}", kind, x.lanes)

    def intrinsic(self, name: str, *operands: Value, immediate: str = "") -> Value:
        """An intrinsic of LLVM whose operands and result have one type: ``fma``, ``fabs``, ``floor``, ``smax`` ..."""
        operands = self.same_lanes(*operands)
        x = operands[0]
        full = f"llvm.{name}.{_intrinsic_suffix(x.kind, x.lanes)}"
        types = ", ".join([x.type] * len(operands) + (["i1"] if immediate else []))
        self.module.declare(f"declare {x.type} @{full}({types})")
        given = ", ".join([v.typed for v in operands] + ([immediate] if immediate else []))
        return self.pure(f"call {x.type} @{full}({given})", x.kind, x.lanes)

    def call(self, name: str, result: str, lanes: int, *operands: Value) -> Value:
        """A call of a pure function, defined or declared elsewhere, by its name without the at sign."""
        given = ", ".join([v.typed for v in operands])
        return self.pure(f"call {type_text(result, lanes)} @{name}({given})", result, lanes)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """``x * y + z``, rounded once where the machine can do that fast, else twice."""
        if self.module.fma:
            return self.intrinsic("fma", x, y, z)
        return self.bin("fadd", self.bin("fmul", x, y), z)

    # Memory

    def gep(self, pointer: str, kind: str, index: Value | int) -> str:
        """The address of element number `index` (an int or an i64) of an array of scalars of a kind."""
        if isinstance(index, int):
            if index == 0:
                return pointer
            index = Value(str(index), "i64")
        memory = "i8" if kind == "i1" else kind
        return self.pure(f"getelementptr inbounds {memory}, ptr {pointer}, {index.typed}", "ptr", 1).text

    def load(self, pointer: str, kind: str, lanes: int = 1, active: int | None = None) -> Value:
        """The scalar, or the vector of neighbours, at an address; of a vector only the first `active` lanes are read.

        The other lanes are zero. A bool is a byte in memory and an i1 here.
        """
        memory = "i8" if kind == "i1" else kind
        if lanes > 1 and active is not None and active < lanes:
            vector, mask = type_text(memory, lanes), self.mask(lanes, active)
            name = f"llvm.masked.load.{_intrinsic_suffix(memory, lanes)}.p0"
            self.module.declare(f"declare {vector} @{name}(ptr, i32, <{lanes} x i1>, {vector})")
            made = Value(self.fresh("l"), memory, lanes)
            self.line(
                f"{made.text} = call {vector} @{name}(ptr {pointer}, i32 {BYTES[memory]}, {mask.typed}, "
                f"{vector} zeroinitializer)"
            )
        else:
            made = Value(self.fresh("l"), memory, lanes)
            self.line(f"{made.text} = load {made.type}, ptr {pointer}, align {BYTES[memory]}")
        return self.icmp("ne", made, self.const("i8", 0, lanes)) if kind == "i1" else made

    def store(self, value: Value, pointer: str, active: int | None = None) -> None:
        """Write a scalar, or the first `active` lanes of a vector, to an address and its neighbours."""
        if value.kind == "i1":
            value = self.cast("zext", value, "i8")
        lanes = value.lanes
        if lanes > 1 and active is not None and active < lanes:
            name = f"llvm.masked.store.{_intrinsic_suffix(value.kind, lanes)}.p0"
            self.module.declare(f"declare void @{name}({value.type}, ptr, i32, <{lanes} x i1>)")
            mask = self.mask(lanes, active)
            self.line(f"call void @{name}({value.typed}, ptr {pointer}, i32 {BYTES[value.kind]}, {mask.typed})")
        else:
            self.line(f"store {value.typed}, ptr {pointer}, align {BYTES[value.kind]}")

    def gather(self, pointer: str, kind: str, lanes: int, stride: int, active: int) -> Value:
        """A vector of scalars that lie `stride` elements apart; lanes from `active` on are zero and not read."""
        made = self.const(kind, 0, lanes)
        for lane in range(active):
            one = self.load(self.gep(pointer, kind, lane * stride), kind)
            made = self.insert(made, one, lane)
        return made

    def scatter(self, value: Value, pointer: str, stride: int, active: int) -> None:
        """Write the first `active` lanes to addresses `stride` elements apart."""
        for lane in range(active):
            self.store(self.extract(value, lane), self.gep(pointer, value.kind, lane * stride))

    def insert(self, vector: Value, scalar: Value, lane: int) -> Value:
        """The vector with another scalar in a lane."""
        text = f"insertelement {vector.typed}, {scalar.typed}, i32 {lane}"
        return self.pure(text, vector.kind, vector.lanes)

    def extract(self, vector: Value, lane: int) -> Value:
        """The scalar in a lane."""
        return self.pure(f"extractelement {vector.typed}, i32 {lane}", vector.kind, 1)

    def mask(self, lanes: int, active: int) -> Value:
        """True in the first `active` lanes."""
        return self.consts("i1", [1] * active + [0] * (lanes - active))

    def variable(self, initial: Value) -> tuple[str, str, int]:
        """A variable for an accumulator; LLVM turns it into a register."""
        name = self.fresh("a")
        self.entry.append(f"{name} = alloca {initial.type}")
        self.line(f"store {initial.typed}, ptr {name}")
        return name, initial.kind, initial.lanes

    def get(self, variable: tuple[str, str, int]) -> Value:
        """The present value of a variable."""
        name, kind, lanes = variable
        made = Value(self.fresh("g"), kind, lanes)
        self.line(f"{made.text} = load {made.type}, ptr {name}")
        return made

    def set(self, variable: tuple[str, str, int], value: Value) -> None:
        """Give a variable a new value."""
        self.line(f"store {value.typed}, ptr {variable[0]}")

    # Control

    @contextmanager
    def loop(self, start: Value | int, stop: Value | int, step: int = 1) -> Iterator[Value]:
        """A loop over an i64; one of known bounds with a single round is no loop."""
        first = Value(str(start), "i64") if isinstance(start, int) else start
        last = Value(str(stop), "i64") if isinstance(stop, int) else stop
        known = isinstance(start, int) and isinstance(stop, int) and start < stop
        if isinstance(start, int) and isinstance(stop, int) and start < stop <= start + step:
            self._known.append({})
            yield first
            self._known.pop()
            return
        self._count += 1
        number = self._count
        body, done, index, following = f"loop{number}", f"done{number}", f"%i{number}", f"%n{number}"
        before = self.block
        if known:
            self.line(f"br label %{body}")
        else:
            self.line(f"%any{number} = icmp slt {first.typed}, {last.text}")
            self.line(f"br i1 %any{number}, label %{body}, label %{done}")
        self.label(body)
        place = len(self.lines)
        self.lines.append("")  # the phi, once the last block of the body is known
        self._known.append({})
        yield Value(index, "i64")
        self._known.pop()
        self.line(f"{following} = add nuw nsw i64 {index}, {step}")
        self.line(f"%more{number} = icmp slt i64 {following}, {last.text}")
        self.line(f"br i1 %more{number}, label %{body}, label %{done}")
        self.lines[place] = f"{index} = phi i64 [{first.text}, %{before}], [{following}, %{self.block}]"
        self.label(done)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Instructions that others, written later, do not follow on: their values are not used outside."""
        self._known.append({})
        yield
        self._known.pop()

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Instructions that run only where a scalar condition holds."""
        number = self.fresh("w")[2:]
        self.line(f"br {condition.typed}, label %then{number}, label %after{number}")
        self.label(f"then{number}")
        self._known.append({})
        yield
        self._known.pop()
        self.line(f"br label %after{number}")
        self.label(f"after{number}")
