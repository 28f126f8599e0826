"""The work-sharing pool under products and loops, as native code.

A job is a function, its data and a number of indices. The caller publishes it under a new generation number, then takes
indices like everybody else; nobody has to come. An index is claimed by exchanging one 64-bit word that holds the generation
and the next index, so a helper that arrives late can never take an index of another job. The caller waits for indices that
are being worked on, not for helpers.

Helpers are Python threads that sit in a native loop without the interpreter's lock. They look for jobs for some tens of
microseconds, then sleep until they are woken. They are made by the first job that could use them, in a forked child anew. While
one job runs, others, also those inside it, are done by their callers alone.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
import threading
import time
from typing import Any

from graphnn.backend.native import jit
from graphnn.backend.native.emit import Module
from graphnn.backend.native.sharing import FUTEX, runtime_text
from graphnn.backend.native.target import binding
from graphnn.errors import GraphError

_SPIN = 50e-6  # seconds that a helper looks for a job before it sleeps
MOST_THREADS = 1024
"""More are refused: some ten thousand take what a process may map of memory, and then LLVM or NumPy ends it."""
_lock = threading.RLock()  # taken while helpers are made or sent home
_helpers: list[threading.Thread] = []
_wanted: int | None = None
_runtime: _Runtime | None = None


def declare(module: Module) -> None:
    """Declare ``void @graphnn_parallel(ptr %function, ptr %data, i64 %count)`` in a module."""
    module.declare("declare void @graphnn_parallel(ptr, ptr, i64)")


def register() -> None:
    """Compile the runtime at the first time, and make ``graphnn_parallel`` known to all code that is linked later."""
    _runtime_of_process()


def num_threads() -> int:
    """How many threads share the work of native functions, the caller among them.

    It is what `set_num_threads` chose, else the environment variable ``GRAPHNN_NUM_THREADS``, else the number of cores this
    process may use; never more than 1024.

    >>> gn.num_threads() >= 1
    True
    """
    if _wanted is not None:
        return _wanted
    given = os.environ.get("GRAPHNN_NUM_THREADS", "")
    if given.isdecimal() and len(given) < 20 and int(given) > 0:
        return min(int(given), MOST_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_THREADS)
    return min(os.cpu_count() or 1, MOST_THREADS)


def set_num_threads(count: int | None, /) -> None:
    """Choose how many threads share the work of native functions; None for the default. Results do not depend on it.

    Helpers are made when there is work for them. To use one core only, choose 1; more than there are cores gain nothing.

    >>> gn.set_num_threads(1)
    >>> gn.num_threads()
    1
    >>> gn.set_num_threads(None)

    Raises
    ------
    GraphError
        If the number is not None and no int from 1 to 1024.
    """
    global _wanted
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise GraphError(
                f"set_num_threads: {count!r} is no number of threads",
                "Give an int from 1, or None for as many as there are cores.",
            )
        if count > MOST_THREADS:
            raise GraphError(
                f"set_num_threads: at most {MOST_THREADS} threads share work, {count} are wanted",
                "More than there are cores gain nothing; None takes as many as there are cores.",
            )
    with _lock:
        _wanted = count
        _send_home()


class _Runtime:
    """The compiled runtime and its functions."""

    def __init__(self) -> None:
        name, spare = _system()
        for symbol, address in spare.items():
            binding().add_symbol(symbol, address)
        self.library = jit.compile(runtime_text(name), level=0)
        self.prepare = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.library.address("graphnn_pool_prepare"))
        self.announce = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self.library.address("graphnn_pool_announce"))
        self.help = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self.library.address("graphnn_pool_help"))
        self.reopen = ctypes.CFUNCTYPE(None)(self.library.address("graphnn_pool_reopen"))
        self.stop = ctypes.CFUNCTYPE(None)(self.library.address("graphnn_pool_stop"))
        pause = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self.library.address("graphnn_pool_pause"))
        self.call_back = ctypes.CFUNCTYPE(None)(_start)
        self.prepare(ctypes.cast(self.call_back, ctypes.c_void_p))
        # How long the processor's hint for waiting takes differs by a factor of ten.
        pause(100)
        start = time.perf_counter()
        pause(1000)
        self.spin = max(50, int(1000 * _SPIN / max(time.perf_counter() - start, 1e-7)))
        binding().add_symbol("graphnn_parallel", self.library.address("graphnn_parallel"))
        # Helpers may still run when the interpreter has let go of everything: their code stays.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.library))


def _runtime_of_process() -> _Runtime:
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = _Runtime()
            atexit.register(_end)
        return _runtime


def _start() -> None:
    """Make the helpers; called by the first job of a process."""
    with _lock:
        assert _runtime is not None
        count = num_threads() - 1 - len(_helpers)
        try:
            for number in range(max(0, count)):
                helper = threading.Thread(
                    target=_runtime.help, args=(_runtime.spin,), name=f"graphnn-{number}", daemon=True
                )
                helper.start()
                _helpers.append(helper)
        except RuntimeError:
            pass  # no more threads to be had, or the interpreter is about to end: the callers work alone
        _runtime.announce(len(_helpers))


def _send_home() -> None:
    # The lock is held.
    if _runtime is not None and _helpers:
        _runtime.stop()
        for helper in _helpers:
            helper.join(5)
    _helpers.clear()
    if _runtime is not None:
        _runtime.reopen()  # a job that is running now goes on


def _end() -> None:
    with _lock:
        _send_home()
        if _runtime is not None:
            _runtime.announce(0)  # who still works, works alone


def _in_child() -> None:
    # Only the thread that called fork lives on here. What it found of the pool is void.
    global _lock
    _lock = threading.RLock()
    _helpers.clear()
    if _runtime is not None:
        _runtime.prepare(ctypes.cast(_runtime.call_back, ctypes.c_void_p))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _system() -> tuple[str, dict[str, int]]:
    """How threads sleep here, and the addresses of functions that the linker would not find."""
    if sys.platform.startswith("linux") and platform.machine() in FUTEX:
        return "futex", {}
    if sys.platform == "win32":
        base: Any = ctypes.WinDLL("kernelbase")  # type: ignore[attr-defined, unused-ignore]
        names = ("WaitOnAddress", "WakeByAddressAll", "SwitchToThread", "QueryPerformanceCounter")
        return "windows", {name: ctypes.cast(getattr(base, name), ctypes.c_void_p).value or 0 for name in names}
    return "posix", {}
