"""Kernels that all functions of a process share: tiles, packing and the loops around them, compiled once when first needed.

A name tells all there is to know, as in ``graphnn.64x32f.tile.float.8.2``: vector registers of 64 bytes, 32 of them, with fused
multiplication and addition; the tile for floats with 8 rows and 2 vectors. So code from a cache finds its kernels by the
names it mentions.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from graphnn.backend.native import driver, interrupts, jit, packing, pool, tile
from graphnn.backend.native.emit import Module
from graphnn.backend.native.target import binding

_PACK = "ptr, i64, i64, ptr, i64, i64, i64"
_KINDS: dict[str, tuple[str, Callable[..., str]]] = {
    "tile": ("ptr, ptr, ptr, ptr, i1, ptr", tile.tile_text),
    "dots": ("ptr, ptr, ptr, ptr, i1, ptr", tile.dots_text),
    "pack_rows": (_PACK, packing.rows_text),
    "pack_columns": (_PACK, packing.columns_text),
    "pack_left": ("ptr, i64, ptr, i64, i64, i64, i64", packing.left_text),
    "store": ("ptr, ptr, ptr, i64, i64, i64, i64, i64, i64, i64, i64, i64", driver.store_text),
    "touch": ("ptr, i64, i64, i64", driver.touch_text),
    "run": ("ptr, ptr", driver.run_text),
}
_LEVELS = {"run": 0}
"""What is not worth LLVM's time: it would take longer to optimise than it ever takes to run."""
_BUNDLES = (
    ("tile.{kind}.{rows}.2.0", "tile.{kind}.{rows}.2.1", "touch.{kind}"),
    ("tile.{kind}.{rows}.1.0", "pack_rows.{kind}", "pack_columns.{kind}.1", "store.{kind}"),
)
_NAME = re.compile(r"@(graphnn\.\w+(?:\.\w+)+)\(")
_TARGET = re.compile(r"(\d+)x(\d+)(f?)")
_lock = threading.RLock()
_linked: set[str] = set()


def declare(module: Module, what: str, *parameters: str | int) -> str:
    """Declare a kernel in a module; its name, with the at sign."""
    target = f"graphnn.{module.vector_bytes}x{module.registers}{'f' if module.fma else ''}"
    name = ".".join([target, what, *[str(each) for each in parameters]])
    module.declare(f"declare void @{name}({_KINDS[what][0]})")
    return f"@{name}"


def link(text: str) -> None:
    """Make the kernels that a text mentions known to the linker; those this process lacks are compiled."""
    if "@graphnn_parallel" in text or ".run(" in text:
        pool.register()
    interrupts.link(text)
    wanted = dict.fromkeys(_NAME.findall(text))
    if _linked.issuperset(wanted):
        return
    with _lock:
        missing = _missing(wanted)
        if missing:
            library = jit.together(list(missing))
            # Other code may call them as long as the process lives, whatever is let go at its end.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
            for name in [name for names in missing.values() for name in names]:
                binding().add_symbol(name, library.address(name))
                _linked.add(name)


def prepare(text: str, parts: Sequence[tuple[str, int, bool]]) -> None:
    """Make the missing object code of the parts of a text, and of the kernels that it mentions, at the same time."""
    modules = dict.fromkeys(parts)
    modules.update(dict.fromkeys(_missing(_NAME.findall(text))))
    jit.prepare(list(modules), pool.num_threads())


def _missing(wanted: Iterable[str]) -> dict[tuple[str, int, bool], list[str]]:
    """The modules that hold the kernels that this process lacks, with the names of all that they define."""
    found: dict[tuple[str, int, bool], list[str]] = {}
    known = set(_linked)
    for name in dict.fromkeys(wanted):
        if name not in known:
            names, code, level = _module_with(name)
            found[code, level, False] = names
            known.update(names)
    return found


def _module_with(name: str) -> tuple[list[str], str, int]:
    """The names and the text of the module that holds a kernel, and the level at which it is compiled.

    Kernels that are mostly needed together are compiled together. What a module holds depends on nothing else, so that
    every program finds it in the cache.
    """
    target, rest = name.split(".", 2)[1:]
    width, registers, fused = _TARGET.fullmatch(target).groups()  # type: ignore[union-attr]
    module = Module(int(width), int(registers), bool(fused))
    what, *parameters = rest.split(".")
    names = [rest]
    for bundle in _BUNDLES:
        rows = "8" if module.registers > 16 else "6"
        members = [each.format(kind=parameters[0], rows=rows) for each in bundle] if parameters else []
        if rest in members:
            names = members
    for each in names:
        kernel, *given = each.split(".")
        made: list[Any] = [int(x) if x.isdigit() else x for x in given]
        module.add(_KINDS[kernel][1](module, f"graphnn.{target}.{each}", *made))
    return [f"graphnn.{target}.{each}" for each in names], module.text, _LEVELS.get(what, 2)


if hasattr(os, "register_at_fork"):
    # A thread that held the lock does not live on in a child; what is half done there is done again.
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.RLock()))
