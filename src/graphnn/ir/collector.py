"""Python's collector of reference cycles, paused while a graph is built or compiled.

It walks through all objects whenever many are new. While a large graph is worked on nearly everything new is still needed,
so it finds nothing, again and again: for a network of a thousand layers that took a fifth of the whole time.
"""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_pausing: set[object] = set()


def without_collector(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with the collector paused while it runs, unless it is off anyhow.

    Of several threads, the one that paused it lets it go on, maybe while others still work: no result depends on it.

    >>> without_collector(gc.isenabled)(), gc.isenabled()
    (False, True)
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if not gc.isenabled():
            return function(*args, **kwargs)
        token = object()
        _pausing.add(token)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()
            _pausing.discard(token)

    return run


def _in_child() -> None:
    # The thread that would let it go on may not live in a child.
    if _pausing:
        _pausing.clear()
        gc.enable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
