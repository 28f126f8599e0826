"""Work that threads share in chunks: the function of one chunk, and the one that has all of them done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphnn.backend.native import pool
from graphnn.backend.native.emit import Builder, Module, Value

MOST_CHUNKS = 64


def opened(b: Builder, count: int) -> Value:
    """The pointers ``%p0``, ``%p1`` ... in the function of a chunk; gives the number of the chunk."""
    for i in range(count):
        b.line(f"%p{i} = load ptr, ptr {b.gep('%data', 'ptr', i)}")
    return Value("%chunk", "i64")


def bounds(b: Builder, chunk: Value, size: int, n: int) -> tuple[Value, Value]:
    """Where a chunk of this size begins and ends among n places."""
    start = b.bin("mul", chunk, b.const("i64", size))
    return start, b.intrinsic("smin", b.bin("add", start, b.const("i64", size)), b.const("i64", n))


def shared(
    name: str,
    b: Builder,
    count: int,
    chunks: int,
    rooms: Sequence[str] = (),
    finish: Callable[[Builder], None] = lambda b: None,
) -> str:
    """The function of `count` pointers that does all chunks, and that of one chunk, whose body is written.

    `rooms` are the types of memory that the chunks share; its addresses are further pointers. `finish` writes what is done
    at the end, by one thread.
    """
    b.line("ret void")
    part = b.function(f"define internal void @{name}.part(ptr %data, i64 %chunk)")
    pool.declare(b.module)
    whole, total = Builder(b.module), count + len(rooms)
    whole.entry.append(f"%data = alloca [{total} x ptr]")
    whole.entry += [f"%p{i} = alloca {room}, align 64" for i, room in enumerate(rooms, count)]
    for i in range(total):
        whole.store(Value(f"%p{i}", "ptr"), whole.gep("%data", "ptr", i))
    whole.line(f"call void @graphnn_parallel(ptr @{name}.part, ptr %data, i64 {chunks})")
    finish(whole)
    whole.line("ret void")
    return part + "\n" + whole.function(f"define internal void @{name}({parameters(count)})")


def parameters(count: int) -> str:
    """Of a function that takes so many pointers."""
    return ", ".join(f"ptr %p{i}" for i in range(count))


def rows(
    module: Module, name: str, count: int, n: int, size: int, body: Callable[[Builder, Value, Value], None]
) -> str:
    """Functions whose chunks do `size` of n rows each; ``body(b, first, last)`` writes the work of some rows."""
    b = Builder(module)
    body(b, *bounds(b, opened(b, count), size, n))
    return shared(name, b, count, -(-n // size))
