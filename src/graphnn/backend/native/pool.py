"""The work-sharing pool under products and loops."""

from __future__ import annotations

from graphnn.backend.native.emit import Module


def declare(module: Module) -> None:
    """Declare ``void @graphnn_parallel(ptr %function, ptr %data, i64 %count)`` in a module."""
    module.declare("declare void @graphnn_parallel(ptr, ptr, i64)")
