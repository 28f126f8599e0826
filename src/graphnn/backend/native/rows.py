"""Functions that call kernels one after the other: as code, or as data where there are many.

As code a thousand layers are thousands of calls, and LLVM takes most of its time for them; as data they are there at once,
and a loop reads which kernel comes next, and where its arrays lie. A row holds the number of a function, how many bytes
there are to the next row (0: this is the last one), and for each pointer of the kernel a slot of the table and what to
add to the address in it, in bytes. Where the kernel may fail, the last word is what the function then returns. There is
one small function for each kernel, which reads all this from the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphnn.backend.native import interrupts
from graphnn.backend.native.emit import Module
from graphnn.ir.arrays import Array


class Call(NamedTuple):
    """A call of a kernel: for each pointer a slot and an offset in bytes, or None.

    `failed` is what is returned if it fails; 0 where it cannot.
    """

    name: str
    pointers: tuple[tuple[int, int] | None, ...]
    failed: int = 0


_CALLS = 40  # in one function

ASK = Call("", ())
"""Not a kernel, but the question whether to stop."""


def in_code(module: Module, name: str, calls: Sequence[Call]) -> None:
    """Emit the function that makes these calls, as a chain of shorter ones: long functions compile slowly."""
    parts = [calls[i : i + _CALLS] for i in range(0, len(calls), _CALLS)]
    for number, part in enumerate(parts):
        head = f"internal i32 @{name}.{number}" if number else f"i32 @{name}"
        lines = [f"define {head}(ptr %table) {{\n%arena = load ptr, ptr %table"]
        for i, call in enumerate(part):
            lines += _lines(module, call, i)
        if number + 1 < len(parts):
            lines.append(f"%s = tail call i32 @{name}.{number + 1}(ptr %table)\nret i32 %s\n}}")
        else:
            lines.append("ret i32 0\n}")
        module.add("\n".join(lines))


def _lines(module: Module, call: Call, number: int) -> list[str]:
    if call is ASK:
        return [interrupts.ask(module, str(number))]
    lines, names = [], []
    for i, pointer in enumerate(call.pointers):
        if pointer is None:
            names.append("ptr null")
            continue
        (slot, offset), name = pointer, f"%a{number}.{i}"
        base = "%arena" if slot == 0 else name if offset == 0 else f"{name}b"
        if slot:
            lines.append(f"{name}p = getelementptr inbounds ptr, ptr %table, i64 {slot}")
            lines.append(f"{base} = load ptr, ptr {name}p")
        if base != name:
            lines.append(f"{name} = getelementptr i8, ptr {base}, i64 {offset}")
        names.append(f"ptr {name}")
    if not call.failed:
        return [*lines, f"call void @{call.name}({', '.join(names)})"]
    result = f"%r{number}"
    return [
        *lines,
        f"{result} = call i32 @{call.name}({', '.join(names)})",
        f"{result}b = icmp eq i32 {result}, 0",
        f"br i1 {result}b, label %c{number}, label %e{number}",
        f"e{number}:",
        f"{result}s = icmp slt i32 {result}, 0",
        f"{result}e = select i1 {result}s, i32 {result}, i32 {call.failed}",
        f"ret i32 {result}e",
        f"c{number}:",
    ]


def in_rows(module: Module, name: str, calls: Sequence[Call], slot: int) -> Array:
    """Emit the function that makes these calls, in which a slot of the table points to the rows; the rows."""
    numbers: dict[tuple[str, tuple[bool, ...], bool], int] = {}
    words: list[list[int]] = []
    for call in calls:
        kind = call.name, tuple([pointer is None for pointer in call.pointers]), call.failed > 0
        words.append([numbers.setdefault(kind, len(numbers)), 0])
        for pointer in call.pointers:
            words[-1] += pointer or ()
        if call.failed:
            words[-1].append(call.failed)
    for row in words[:-1]:
        row[1] = 8 * len(row)
    for (kernel, missing, checked), number in numbers.items():
        module.add(_one(f"{name}.call.{number}", kernel, missing, checked))
    functions = ", ".join(f"ptr @{name}.call.{number}" for number in numbers.values())
    module.add(f"@{name}.kernels = internal constant [{len(numbers)} x ptr] [{functions}]")
    module.add(
        f"""define internal i32 @{name}.rows(ptr %table) {{
entry:
%place = getelementptr inbounds ptr, ptr %table, i64 {slot}
%first = load ptr, ptr %place
br label %loop
loop:
%row = phi ptr [%first, %entry], [%next, %on]
%number = load i64, ptr %row
%which = getelementptr inbounds ptr, ptr @{name}.kernels, i64 %number
%function = load ptr, ptr %which
%pointers = getelementptr inbounds i64, ptr %row, i64 2
%status = call i32 %function(ptr %table, ptr %pointers)
%fine = icmp eq i32 %status, 0
br i1 %fine, label %on, label %done
on:
%step = getelementptr inbounds i64, ptr %row, i64 1
%bytes = load i64, ptr %step
%next = getelementptr inbounds i8, ptr %row, i64 %bytes
%more = icmp ne i64 %bytes, 0
br i1 %more, label %loop, label %done
done:
ret i32 %status
}}"""
    )
    module.add(f"define i32 @{name}(ptr %table) {{\n%status = call i32 @{name}.rows(ptr %table)\nret i32 %status\n}}")
    return np.array([word for row in words for word in row], np.int64)


def _one(name: str, kernel: str, missing: Sequence[bool], checked: bool) -> str:
    """The function that calls one kernel with what a row says."""
    lines, given, word = [f"define internal i32 @{name}(ptr %table, ptr %row) {{"], [], 0

    def load(value: str) -> str:
        nonlocal word
        lines.append(f"%w{word} = getelementptr inbounds i64, ptr %row, i64 {word}\n{value} = load i64, ptr %w{word}")
        word += 1
        return value

    for i, none in enumerate(missing):
        if none:
            given.append("ptr null")
            continue
        slot, offset = load(f"%s{i}"), load(f"%o{i}")
        lines.append(f"%p{i} = getelementptr inbounds ptr, ptr %table, i64 {slot}\n%b{i} = load ptr, ptr %p{i}")
        lines.append(f"%a{i} = getelementptr i8, ptr %b{i}, i64 {offset}")
        given.append(f"ptr %a{i}")
    if not kernel:
        lines.append(f"%status = {interrupts.CALL}\nret i32 %status\n}}")
    elif checked:
        number = load("%number")
        lines.append(f"%status = call i32 @{kernel}({', '.join(given)})")
        lines.append(f"%failed = trunc i64 {number} to i32\n%stopped = icmp slt i32 %status, 0")
        lines.append("%other = select i1 %stopped, i32 %status, i32 %failed\n%fine = icmp eq i32 %status, 0")
        lines.append("%all = select i1 %fine, i32 0, i32 %other\nret i32 %all\n}")
    else:
        lines.append(f"call void @{kernel}({', '.join(given)})\nret i32 0\n}}")
    return "\n".join(lines)
