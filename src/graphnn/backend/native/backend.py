"""The door of the native backend: it loads the rest when a function is compiled with it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from graphnn.backend.base import Executable, Form
from graphnn.backend.numpy import NumpyBackend
from graphnn.ir.node import Node
from graphnn.ir.op import Op


class NativeBackend:
    """Compiles graphs to machine code by LLVM.

    NumPy runs them where llvmlite is missing, where nothing that is computed has a native lowering, and in a search for NaN;
    what it gives then has the reason.
    """

    name = "native"

    def keeps(self, op: Op) -> bool:
        """Composites are expanded: what belongs together is found again by fusion."""
        return False

    def compile(
        self, outputs: Sequence[Node], arguments: Sequence[Node], debug: str | None = None, form: Form | None = None
    ) -> Executable:
        """Make machine code for the graph; a search for NaN needs every value, and is left to NumPy."""
        reason = "a search for NaN looks at every value"
        if debug is None:
            # Only here: it serves llvmlite, which may be missing, and `import graphnn` would take a tenth longer.
            from graphnn.backend.native import convolution, plan, target

            try:
                target.host()
            except ImportError as error:
                reason = f"llvmlite cannot be imported: {error}"
            else:
                start = time.perf_counter()
                made = convolution.products(outputs)
                assert all(new.spec == old.spec for new, old in zip(made, outputs, strict=True))
                seconds = time.perf_counter() - start
                native = plan.plan_of(made, arguments, form, {"convolutions as products": seconds})
                target.rest()
                if native is not None:
                    return native
                reason = "native code would only move elements between them"
        numpy = NumpyBackend().compile(outputs, arguments, debug, form)
        numpy.reason = reason
        return numpy
