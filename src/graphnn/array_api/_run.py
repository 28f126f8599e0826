"""How a function of nodes is applied to arrays at once: a graph is built and planned once for each kind of call.

The key of a plan is the function, its static arguments, and shape and data type of each operand. A later call with the
same key only runs the plan, so what is left of the price of eager computing is one look-up in a dict.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphnn.backend.base import Executable
from graphnn.backend.numpy import NumpyBackend
from graphnn.errors import ExecutionError, GraphnnError
from graphnn.ir.arrays import Array as NumpyArray
from graphnn.ir.dtype import as_dtype
from graphnn.ir.graph import topological
from graphnn.ir.leaves import placeholder
from graphnn.ir.node import Node
from graphnn.ir.source import user_source
from graphnn.rewrite.pipeline import optimize

MOST_PLANS = 4096
"""How many plans are kept; the oldest goes first."""

MOST_BYTES = 1 << 16
"""A plan whose constants take more than this is not kept: it would hold memory that nobody sees."""

BACKEND = NumpyBackend()
_PLANS: dict[tuple[Any, ...], Executable] = {}


def run(function: Callable[..., Any], arrays: Sequence[NumpyArray], **static: Any) -> list[NumpyArray]:
    """The results of a function of nodes, or of a tuple of nodes, for these arrays; they share memory with nothing."""
    key = (function, *static.items(), *[(array.shape, array.dtype.num) for array in arrays])
    plan = _PLANS.get(key)
    if plan is None:
        plan = _planned(key, function, arrays, static)
    try:
        return plan(arrays)
    except ExecutionError as error:
        raise _here(error) from None


def run_once(function: Callable[..., Any], arrays: Sequence[NumpyArray], **static: Any) -> list[NumpyArray]:
    """The same for arguments that will hardly come again, such as the bounds of a range: the plan is not kept."""
    plan, _ = _plan(function, arrays, static)
    try:
        return plan(arrays)
    except ExecutionError as error:
        raise _here(error) from None


def _planned(
    key: tuple[Any, ...], function: Callable[..., Any], arrays: Sequence[NumpyArray], static: dict[str, Any]
) -> Executable:
    plan, held = _plan(function, arrays, static)
    if held <= MOST_BYTES:
        _PLANS[key] = plan
        if len(_PLANS) > MOST_PLANS:
            _PLANS.pop(next(iter(_PLANS)), None)
    return plan


def _plan(function: Callable[..., Any], arrays: Sequence[NumpyArray], static: dict[str, Any]) -> tuple[Executable, int]:
    """The plan, and how many bytes its constants take."""
    inputs = [placeholder(f"x{i + 1}", array.shape, as_dtype(array.dtype)) for i, array in enumerate(arrays)]
    try:
        made = function(*inputs, **static)
    except GraphnnError as error:
        raise reworded(error) from None
    outputs = optimize([made] if isinstance(made, Node) else list(made), BACKEND.keeps)
    given = set(inputs)
    leaves = [node for node in topological(outputs) if not node.inputs and node not in given]
    held = sum(math.prod(map(int, node.shape)) * node.dtype.bits // 8 for node in leaves)
    return BACKEND.compile(outputs, inputs), held


def _here(error: ExecutionError) -> ExecutionError:
    # The plan remembers the line of the first call; what failed is this one.
    rows = [row._replace(where="") for row in error.operands]
    return type(error)(error.headline, *error.hints, operands=rows, at=str(user_source() or ""))


_METHOD = re.compile(r"([\w\[\]]+)\.astype\('(\w+)'\)(?:\.(mean|sum)\(\))?")

_NAME = re.compile(r"\bgn\.(\w+)")


def reworded(error: GraphnnError) -> GraphnnError:
    """The same error with advice in the words of the standard, whose arrays have no methods."""

    def function(match: re.Match[str]) -> str:
        x, dtype, more = match.groups()
        return f"xp.{more}(xp.astype({x}, xp.{dtype}))" if more else f"xp.astype({x}, xp.{dtype})"

    here = sys.modules["graphnn.array_api"]

    def name(match: re.Match[str]) -> str:
        return f"xp.{match[1]}" if match[1] in vars(here) else match[0]

    hints = [_NAME.sub(name, _METHOD.sub(function, hint)) for hint in error.hints]
    return type(error)(error.headline, *hints, operands=error.operands, at=error.at)


def scalar_array(value: bool | int | float, dtype: np.dtype[Any]) -> NumpyArray:
    """A number as an array without axes; beyond the range of a float it is infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(value, dtype)
