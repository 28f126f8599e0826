"""Kernels that all functions of a process share: tiles, packing and the loops around them, compiled once when first needed.

A name tells all there is to know, as in ``graphnn.64x32f.tile.float.8.2``: vector registers of 64 bytes, 32 of them, with fused
multiplication and addition; the tile for floats with 8 rows and 2 vectors. So code from a cache finds its kernels by the
names it mentions.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable
from typing import Any

from graphnn.backend.native import driver, jit, packing, pool, tile
from graphnn.backend.native.emit import Module
from graphnn.backend.native.target import binding

_PACK = "ptr, i64, i64, ptr, i64, i64, i64"
_KINDS: dict[str, tuple[str, Callable[..., str]]] = {
    "tile": ("ptr, ptr, ptr, ptr, i1, ptr", tile.tile_text),
    "dots": ("ptr, ptr, ptr, ptr, i1, ptr", tile.dots_text),
    "pack_rows": (_PACK, packing.rows_text),
    "pack_columns": (_PACK, packing.columns_text),
    "store": ("ptr, ptr, ptr, i64, i64, i64, i64, i64, i64, i64, i64", driver.store_text),
    "run": ("ptr, ptr", driver.run_text),
}
_NAME = re.compile(r"@(graphnn\.(\d+)x(\d+)(f?)\.(\w+)((?:\.\w+)*))\(")
_lock = threading.Lock()
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
    missing = {found.group(1): found for found in _NAME.finditer(text) if found.group(1) not in _linked}
    if not missing:
        return
    with _lock:
        for name, found in missing.items():
            if name in _linked:
                continue
            library = jit.compile(kernel_text(found), passes=False)
            # Other code may call it as long as the process lives, whatever is let go at its end.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
            binding().add_symbol(name, library.address(name))
            _linked.add(name)


def kernel_text(found: re.Match[str]) -> str:
    """The module of the kernel with this name."""
    name, bytes_, registers, fused, what, rest = found.groups()
    module = Module(int(bytes_), int(registers), bool(fused))
    parameters: list[Any] = [int(each) if each.isdigit() else each for each in rest.split(".")[1:]]
    module.add(_KINDS[what][1](module, name, *parameters))
    return module.text
