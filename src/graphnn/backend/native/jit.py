"""From the text of a module to machine code in memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from graphnn.backend.native import cache
from graphnn.backend.native.target import binding, host

# It can be taken again by the thread that holds it: a finalizer or a signal handler may compile, too.
_LOCK = threading.RLock()
_helper = threading.local()
_ready: dict[str, tuple[bytes, str]] = {}
"""Object code that `prepare` has found or made, and where it came from, until `compile` takes it; by its name."""


class Library:
    """Machine code in memory; it stays there as long as this object lives. `origin` tells where it came from."""

    def __init__(self, engine: Any, origin: str = "") -> None:
        self._engine, self.origin = engine, origin

    def address(self, name: str) -> int:
        """Where the function of this name begins."""
        return int(self._engine.get_function_address(name))


def _turn() -> Any:
    # Whoever has helpers holds the lock for them; a finalizer that runs in a helper may compile, too.
    return contextlib.nullcontext() if getattr(_helper, "works", False) else _LOCK


def object_code(text: str, level: int = 1, passes: bool = True) -> bytes:
    """The object code of a module, made with this effort (0 to 2), after a few of LLVM's passes or without them.

    Loops are emitted as they are to be, with vectors and with what does not change outside of them; so little is left to
    be done than to bring variables into registers and to clean up, which takes a tenth of the time of the usual pipeline.
    """
    with _turn():
        return _object_code(text, level, passes)


def _object_code(text: str, level: int, passes: bool) -> bytes:
    llvm = binding()
    machine = _machine(level)
    module = llvm.parse_assembly(text, _context())
    module.triple, module.data_layout = host().triple, str(machine.target_data)
    if passes and level:
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
        manager = _passes(llvm, builder)
        for function in module.functions:
            if not function.is_declaration:
                manager.run(function, builder)
    return _emit(machine, module)


def _emit(machine: Any, module: Any) -> bytes:
    """``machine.emit_object(module)``, but other threads may be in LLVM at the same time.

    llvmlite lets one thread at a time into LLVM, since modules share a context unless told otherwise. Ours have contexts and
    machines of their own, which is what LLVM asks for.
    """
    from llvmlite.binding import ffi

    emit = getattr(ffi.lib.LLVMPY_TargetMachineEmitToMemory, "_cfn", None)
    if emit is None:  # a llvmlite that is made in another way
        return bytes(machine.emit_object(module))
    with ffi.OutputString() as problem:
        buffer = emit(machine, module, 1, problem)
        if not buffer:
            raise RuntimeError(str(problem))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def prepare(modules: Sequence[tuple[str, int, bool]], threads: int) -> None:
    """Make the object code of modules that the cache on disk lacks, by several threads, for `compile` to take it.

    Parameters
    ----------
    modules : texts, and how to compile them, as for `compile`
    threads : how many may work on it, the caller among them
    """
    missing = []
    for text, level, passes in modules:
        name = _name(text, level, passes)
        code, origin = _load(name)
        if code is None:
            missing.append((name, text, level, passes, origin))
        else:
            _ready[name] = code, origin
    missing.sort(key=lambda each: len(each[1]))
    if len(missing) < 2 or threads < 2:
        return  # `compile` does it

    def work() -> None:
        while missing:
            try:
                name, text, level, passes, why = missing.pop()  # the longest first
            except IndexError:
                return
            try:
                code = _object_code(text, level, passes)
            except Exception:
                return  # `compile` tries once more, and tells
            cache.store(name, code)
            _ready[name] = code, f"{_COMPILED}{why} ({name[:12]})"

    def help_out() -> None:
        _helper.works = True
        work()

    with _turn():
        helpers = [threading.Thread(target=help_out) for _ in range(min(threads, len(missing)) - 1)]
        for helper in helpers:
            try:
                helper.start()
            except RuntimeError:
                break
        work()
        for helper in helpers:
            if helper.ident is not None:
                helper.join()


def _passes(llvm: Any, builder: Any) -> Any:
    manager = llvm.create_new_function_pass_manager()
    if not hasattr(manager, "add_sroa_pass"):  # llvmlite 0.44 knows only whole pipelines
        return builder.getFunctionPassManager()
    manager.add_sroa_pass()
    manager.add_instruction_combine_pass()
    manager.add_simplify_cfg_pass()
    return manager


def load(*codes: bytes, origin: str = "") -> Library:
    """Object code, ready to be called; what one of several lacks is found in the others.

    Raises
    ------
    RuntimeError
        If it is no object code for this machine.
    """
    llvm = binding()
    with _turn():
        files = [llvm.ObjectFileRef.from_data(code) for code in codes]
        # The empty module lives in LLVM's own context: a context of ours might be let go before the engine.
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(2))
        for file in files:
            engine.add_object_file(file)
        engine.finalize_object()
        return Library(engine, origin)


def compile(text: str, level: int = 1, passes: bool = True) -> Library:
    """The functions of a module, ready to be called; their code comes from the cache on disk if it is there."""
    return together([(text, level, passes)])


def together(modules: Sequence[tuple[str, int, bool]]) -> Library:
    """The functions of several modules that call each other; see `compile`."""
    names = [_name(*module) for module in modules]
    found: list[tuple[bytes | None, str]] = []
    for name in names:
        prepared = _ready.pop(name, None)
        found.append(_load(name) if prepared is None else prepared)
    codes = [code for code, _ in found if code is not None]
    origins = [origin if code is None or origin.startswith(_COMPILED) else "" for code, origin in found]
    why = next(filter(None, origins), found[0][1])
    if len(codes) == len(modules):
        try:
            return load(*codes, origin=why)
        except RuntimeError:
            found, why = [(None, "")] * len(modules), "the file in the cache on disk is not what it should be"
    codes = []
    for name, module, (code, _) in zip(names, modules, found, strict=True):
        if code is None:
            code = object_code(*module)
            cache.store(name, code)
        codes.append(code)
    return load(*codes, origin=why if why.startswith(_COMPILED) else f"{_COMPILED}{why} ({names[0][:12]})")


_COMPILED = "compiled: "


def _name(text: str, level: int, passes: bool) -> str:
    target = host()
    versions = f"{binding().llvm_version_info} {level} {passes} {cache.stamp()}"
    return cache.name_of(text, target.triple, target.cpu, target.features, versions)


def _load(name: str) -> tuple[bytes | None, str]:
    """Code from the cache on disk and where it came from; or why there is none."""
    code = cache.load(name)
    if code is not None:
        return code, f"read from the cache on disk ({name[:12]})"
    return None, cache.miss(name)


def _before_fork() -> None:
    # LLVM in the middle of something would stay so in the child, and its lock would be held by a thread that is not there.
    _LOCK.acquire()
    for lock in _llvm_lock():
        lock.__enter__()


def _after_fork() -> None:
    for lock in _llvm_lock():
        lock.__exit__(None, None, None)
    _LOCK.release()


def _llvm_lock() -> list[Any]:
    ffi = sys.modules.get("llvmlite.binding.ffi")
    lock = getattr(getattr(ffi, "lib", None), "_lock", None)
    return [lock] if hasattr(lock, "__enter__") else []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _machine(effort: int) -> Any:
    target = host()
    return (
        binding()
        .Target.from_triple(target.triple)
        .create_target_machine(
            cpu=target.cpu, features=target.features, opt=min(effort, 2), reloc="static", codemodel="jitdefault"
        )
    )


def _context() -> Any:
    # A context for each module, so that its types and constants are let go with it. Until llvmlite 0.45, pointers with
    # types were the default; ours have none.
    from llvmlite.binding import context

    if getattr(context, "opaque_pointers_enabled", True):
        return context.create_context()
    context.opaque_pointers_enabled = True
    try:
        return context.create_context()
    finally:
        context.opaque_pointers_enabled = False
