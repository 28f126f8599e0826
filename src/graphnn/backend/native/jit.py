"""From the text of a module to machine code in memory."""

from __future__ import annotations

import threading
from typing import Any

from graphnn.backend.native import cache
from graphnn.backend.native.target import binding, host

_LOCK = threading.Lock()


class Library:
    """Machine code in memory; it stays there as long as this object lives."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def address(self, name: str) -> int:
        """Where the function of this name begins."""
        return int(self._engine.get_function_address(name))


def object_code(text: str, level: int = 2, passes: bool = True) -> bytes:
    """The object code of a module, after LLVM's function passes of this level (0 to 3), or without them."""
    llvm = binding()
    with _LOCK:
        machine = _machine(level)
        module = llvm.parse_assembly(text, _context())
        module.triple, module.data_layout = host().triple, str(machine.target_data)
        if level and passes:
            options = llvm.create_pipeline_tuning_options(speed_level=level)
            options.loop_vectorization = options.slp_vectorization = False
            builder = llvm.create_pass_builder(machine, options)
            always = llvm.create_new_module_pass_manager()
            always.add_always_inliner_pass()
            always.run(module, builder)
            manager = builder.getFunctionPassManager()
            for function in module.functions:
                if not function.is_declaration:
                    manager.run(function, builder)
        return bytes(machine.emit_object(module))


def load(code: bytes) -> Library:
    """Object code, ready to be called.

    Raises
    ------
    RuntimeError
        If it is no object code for this machine.
    """
    llvm = binding()
    with _LOCK:
        file = llvm.ObjectFileRef.from_data(code)
        # The empty module lives in LLVM's own context: a context of ours might be let go before the engine.
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(2))
        engine.add_object_file(file)
        engine.finalize_object()
        return Library(engine)


def compile(text: str, level: int = 2, passes: bool = True) -> Library:
    """The functions of a module, ready to be called; their code comes from the cache on disk if it is there."""
    target, llvm = host(), binding()
    versions = f"{llvm.llvm_version_info} {level} {passes}"
    name = cache.name_of(text, target.triple, target.cpu, target.features, versions)
    code = cache.load(name)
    if code is not None:
        try:
            return load(code)
        except RuntimeError:  # not what it should be: made again
            code = None
    code = object_code(text, level, passes)
    cache.store(name, code)
    return load(code)


def _machine(level: int) -> Any:
    target = host()
    return (
        binding()
        .Target.from_triple(target.triple)
        .create_target_machine(
            cpu=target.cpu, features=target.features, opt=min(level, 2), reloc="static", codemodel="jitdefault"
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
