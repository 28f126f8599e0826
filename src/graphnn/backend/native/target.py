"""What the host CPU can do: the target of all native code."""

from __future__ import annotations

import ctypes
import functools
import platform
import re
import sys
from typing import Any, NamedTuple

from graphnn.backend.native.emit import Module


class Target(NamedTuple):
    """A CPU as LLVM names it, its features, and what follows from them for vectors."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fma: bool
    splat: bool

    def module(self) -> Module:
        """An empty module for it."""
        return Module(self.vector_bytes, self.registers, self.fma, self.splat)


@functools.cache
def binding() -> Any:
    """``llvmlite.binding``, ready to make code for this machine.

    Raises
    ------
    ImportError
        If llvmlite is not there, or cannot be loaded on this machine.
    """
    try:
        import llvmlite.binding as llvm
    except OSError as error:  # it is there, its library cannot be loaded
        raise ImportError(str(error)) from error

    if not hasattr(llvm, "create_pass_builder"):
        raise ImportError("llvmlite is older than 0.44")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def host() -> Target:
    """The machine this process runs on."""
    llvm = binding()
    found = llvm.get_host_cpu_features()
    features = found.flatten() if found else ""
    have = {name for name, present in found.items() if present} if found else set()
    machine = platform.machine().lower()
    fma = "fma" in have
    if "avx512f" in have and "avx512vl" in have and "avx512bw" in have and "avx512dq" in have:
        width, registers = 64, 32
    elif "avx2" in have:
        width, registers = 32, 16
    elif machine in ("aarch64", "arm64"):
        width, registers, fma = 16, 32, True
    else:
        width, registers = 16, 16
    return Target(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        features,
        width,
        registers,
        fma,
        llvm.llvm_version_info >= (19,),
    )


def rest() -> None:
    """Give back what compiling took, as far as nothing needs it.

    The pages of LLVM's library, some 70 MB after a compilation, leave this process's memory until they are used again. They
    are read-only and come back from the system's cache of files, in 1 or 2 ms for all that a compilation uses. And what was
    freed, some 3 MB by LLVM, goes back to the system: the C library would keep it.
    """
    if not sys.platform.startswith("linux"):
        return
    c = ctypes.CDLL(None)
    for start, size in _pages():
        c.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONTNEED)
    if hasattr(c, "malloc_trim"):  # only glibc has it
        c.malloc_trim(ctypes.c_size_t(0))


_DONTNEED = 4


@functools.cache
def _pages() -> list[tuple[int, int]]:
    """Start and size of the parts of LLVM's library that nobody may write to and nobody wrote to; only known on Linux.

    What was relocated when it was loaded is read-only too, but not what the file says: the system counts it as anonymous.
    """
    if not sys.platform.startswith("linux"):
        return []
    try:
        with open("/proc/self/smaps") as file:
            text = file.read()
    except OSError:
        return []
    found = [(int(start, 16), int(end, 16)) for start, end, copied in _MAPPING.findall(text) if copied == "0"]
    return [(start, end - start) for start, end in found]


_MAPPING = re.compile(
    r"^(\w+)-(\w+) r-[x-]p [^\n]*libllvmlite[^\n]*\n(?:(?!Anonymous:)[^\n]*\n)*Anonymous: +(\d+)", re.MULTILINE
)
