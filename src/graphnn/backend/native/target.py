"""What the host CPU can do: the target of all native code."""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import re
import struct
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

    What was relocated when it was loaded is read-only too, but not what the file says: in the file it may be written to.
    The system would tell which pages those are, but looks at all of a process's memory for it.
    """
    if not sys.platform.startswith("linux"):
        return []
    try:
        with open("/proc/self/maps") as maps:
            found = _FIRST.search(maps.read())
        if found is None:
            return []
        with open(found[2], "rb") as file:
            parts = _read_only(file)
    except (OSError, struct.error):
        return []
    base = int(found[1], 16)
    return [(base + start, size) for start, size in parts]


_FIRST = re.compile(r"^(\w+)-\w+ \S+ 0+ [^/\n]*(/\S*libllvmlite\S*)$", re.MULTILINE)
_LOADED, _LINKED, _WRITABLE = 1, 2, 2  # PT_LOAD, PT_DYNAMIC, PF_W
_FLAGS, _TEXT_RELOCATIONS, _IN_TEXT = 30, 22, 4  # DT_FLAGS, DT_TEXTREL, DF_TEXTREL


def _read_only(file: Any) -> list[tuple[int, int]]:
    """Whole pages of an ELF library, from its beginning, that are loaded as they are; none where code itself is relocated."""
    head = file.read(64)
    if head[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian
        return []
    (place,), (size, count) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
    file.seek(place)
    table = file.read(size * count)
    parts = []
    for number in range(count):
        kind, flags, offset, start, _, length, memory, _ = struct.unpack_from("<IIQQQQQQ", table, size * number)
        if kind == _LINKED:
            file.seek(offset)
            words = struct.unpack(f"<{length // 8}Q", file.read(length))
            tags = dict(zip(words[::2], words[1::2], strict=True))
            if _TEXT_RELOCATIONS in tags or tags.get(_FLAGS, 0) & _IN_TEXT:
                return []
        elif kind == _LOADED and not flags & _WRITABLE:
            first, end = -(-start // mmap.PAGESIZE), (start + memory) // mmap.PAGESIZE
            parts.append((first * mmap.PAGESIZE, max(0, end - first) * mmap.PAGESIZE))
    return parts
