"""What the host CPU can do: the target of all native code."""

from __future__ import annotations

import functools
import platform
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
