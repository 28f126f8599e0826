"""What a backend is, and the errors that all of them raise while a graph runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from graphnn.errors import ExecutionError, IndexRangeError, LoweringError
from graphnn.ir.arrays import Array
from graphnn.ir.leaves import Constant, Iota, Taken, Variable
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.op import Op


class Executable(Protocol):
    """A compiled graph: takes the arrays of its arguments, gives arrays that share memory with nothing else."""

    def __call__(self, arguments: Sequence[Array]) -> list[Array]: ...

    def explain(self) -> str:
        """What runs, in words."""
        ...


class Form(NamedTuple):
    """How a function calls its executable, for backends that can do some of that themselves.

    Parameters
    ----------
    variables : the last of the arguments: parameters and states
    updated : for each of the last outputs, the number of the variable that it becomes the value of
    single : whether the function returns its only output, not a tree of outputs
    taken : stands in the place of values while they are written over; see `graphnn.ir.leaves.Taken`
    """

    variables: tuple[Variable, ...]
    updated: tuple[int, ...]
    single: bool
    taken: Taken


class Backend(Protocol):
    """A way to run graphs."""

    name: str

    def keeps(self, op: Op) -> bool:
        """Whether it runs this composite by name; all others are expanded first."""
        ...

    def compile(
        self, outputs: Sequence[Node], arguments: Sequence[Node], debug: str | None, form: Form | None = None
    ) -> Executable:
        """Plan a graph of concrete sizes once, so that a call only executes.

        What it gives may have an attribute ``direct``: None, or a function that takes the arguments of a call but no
        variables, and does all of the call, updates too; or gives NotImplemented, and has done nothing.
        """
        ...


LARGEST = 2**63 - 1
"""Bytes that an array may have at most: what fits into a signed word."""


def value_of(node: Node) -> Array:
    """The array of a constant.

    Raises
    ------
    ExecutionError
        If there is no memory for it.
    """
    if isinstance(node.op, Constant):
        return node.op.payload.array
    if isinstance(node.op, Iota):
        size: Any = node.op.size
        try:
            return np.arange(size, dtype=np.int64).astype(node.op.dtype.numpy)
        except (MemoryError, ValueError) as error:
            raise failure(node, [], error) from error
    raise LoweringError(f"the backend got the leaf {node.label} ({node.op.name}), which has no value")


def where_it_comes_from(node: Node) -> str:
    """The pass and the user's line of a node, for messages."""
    if node.origin is not None:
        role, served = node.origin
        place = f", made at {served.source}" if served.source else ""
        return f"in the {role} pass of {served.label}{place}"
    return str(node.source) if node.source else ""


def failure(node: Node, operands: Sequence[Any], error: Exception) -> Exception:
    """The error to raise when the kernel of a node fails: it names the node, the user's line and what came in."""
    rows = [
        row._replace(spec=f"{np.asarray(value).dtype.name}{list(np.shape(value))}")
        for row, value in zip(operand_rows(node.inputs), operands, strict=False)
    ]
    kind = IndexRangeError if isinstance(error, IndexError) else ExecutionError
    size = node.spec.size
    # Of sizes that no address reaches, NumPy says in many ways that they are too large.
    if isinstance(error, MemoryError) or (isinstance(size, int) and size * node.dtype.bits // 8 > LARGEST):
        needed = f", which takes {size * node.dtype.bits // 8:,} bytes" if isinstance(size, int) else ""
        hint = f"There is no memory for {node.spec}{needed}."
        return ExecutionError(f"{node.op.name}: out of memory", hint, operands=rows, at=where_it_comes_from(node))
    hints = ("Indices count from 0; negative ones count from the end.",) if kind is IndexRangeError else ()
    return kind(f"{node.op.name}: {error}", *hints, operands=rows, at=where_it_comes_from(node))
