"""Ctrl-C in the midst of a call: what native code asks between two kernels, or between the steps of a loop.

It asks only after so much work that a person would notice, so calls that are over soon never do. Asking takes Python's lock
for a moment and lets the handlers of signals run; what they raise is kept until the call is about to return.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING

from graphnn.backend.native import jit
from graphnn.backend.native.target import binding

if TYPE_CHECKING:
    from graphnn.backend.native.emit import Module

PATIENCE = 50e6
"""Nanoseconds of work, roughly, after which native code asks."""

STOPPED = -1
"""What a native function gives if it was stopped: the exception is kept, see `resume`."""

_NAME = "graphnn_interrupted"
_PYTHON = (
    "PyThread_get_thread_ident", "PyGILState_Ensure", "PyGILState_Release", "PyErr_CheckSignals", "PyErr_Fetch",
    "PyErr_Restore",
)  # fmt: skip
# Signals are handled by the main thread only. The first 32 bits of its number are enough: some systems have no more.
_TEXT = f"""
@main = internal global i32 0
@kind = internal global ptr null
@value = internal global ptr null
@trace = internal global ptr null
declare i32 @PyThread_get_thread_ident()
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare i32 @PyErr_CheckSignals()
declare void @PyErr_Fetch(ptr, ptr, ptr)
declare void @PyErr_Restore(ptr, ptr, ptr)

define i32 @{_NAME}() {{
  %me = call i32 @PyThread_get_thread_ident()
  %first = load i32, ptr @main
  %mine = icmp eq i32 %me, %first
  br i1 %mine, label %ask, label %no
no:
  ret i32 0
ask:
  %state = call i32 @PyGILState_Ensure()
  %raised = call i32 @PyErr_CheckSignals()
  %is = icmp ne i32 %raised, 0
  br i1 %is, label %keep, label %done
keep:
  call void @PyErr_Fetch(ptr @kind, ptr @value, ptr @trace)
  br label %done
done:
  call void @PyGILState_Release(i32 %state)
  ret i32 %raised
}}

define void @graphnn_resume() {{
  %kind = load ptr, ptr @kind
  %value = load ptr, ptr @value
  %trace = load ptr, ptr @trace
  call void @PyErr_Restore(ptr %kind, ptr %value, ptr %trace)
  ret void
}}

define void @graphnn_main_is(i32 %ident) {{
  store i32 %ident, ptr @main
  ret void
}}
"""

_lock = threading.Lock()
_library: jit.Library | None = None


CALL = f"call i32 @{_NAME}()"
"""Asks; what it gives is 0, or `STOPPED`."""

DECLARATION = f"declare i32 @{_NAME}()"


def ask(module: Module, number: str) -> str:
    """The lines that ask, and end a function if it is to be stopped; `number` tells them from others in it."""
    module.declare(DECLARATION)
    return (
        f"%i{number} = {CALL}\n%i{number}n = icmp eq i32 %i{number}, 0\n"
        f"br i1 %i{number}n, label %g{number}, label %s{number}\ns{number}:\nret i32 {STOPPED}\ng{number}:"
    )


def link(text: str) -> None:
    """Make what a text calls known to the linker, if it asks at all."""
    if f"@{_NAME}" in text:
        _runtime()


def resume() -> None:
    """Raise what stopped the last call of this thread."""
    ctypes.PYFUNCTYPE(None)(_runtime().address("graphnn_resume"))()


def _runtime() -> jit.Library:
    global _library
    with _lock:
        if _library is None:
            for name in _PYTHON:
                address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
                binding().add_symbol(name, address)
            library = jit.compile(_TEXT, level=0)
            for name in (_NAME, "graphnn_resume"):
                binding().add_symbol(name, library.address(name))
            # Code that calls it may run until the process ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
            _library = library
            _main_is()
        return _library


def _main_is() -> None:
    if _library is not None:
        tell = ctypes.CFUNCTYPE(None, ctypes.c_uint32)(_library.address("graphnn_main_is"))
        tell((threading.main_thread().ident or 0) & 0xFFFFFFFF)


def _in_child() -> None:
    # The thread that called fork is the main one now; one that held the lock is gone.
    global _lock
    _lock = threading.Lock()
    _main_is()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
