"""Every exception class of graphnn and the one layout that all messages share.

The first line says what is wrong and can be understood alone. Then come the operands, by the user's own names; the
user's line; and how to mend it. Nothing here knows nodes: messages are made of plain data, so that every floor of
the library can raise them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Operand(NamedTuple):
    """One row of the operand table of a message."""

    role: str
    name: str
    spec: str
    kind: str
    where: str


class GraphnnError(Exception):
    """Base class of all errors that graphnn raises on purpose.

    Parameters
    ----------
    headline : the first line, understandable alone
    hints : how to mend it, a line each
    operands : rows of the operand table
    at : the user's line

    >>> print(GraphnnError("stack: there is nothing to stack", "Give at least one array."))
    stack: there is nothing to stack
    <BLANKLINE>
      Give at least one array.
    """

    def __init__(self, headline: str, *hints: str, operands: Sequence[Operand] = (), at: str = "") -> None:
        super().__init__(headline, *hints)
        self.headline, self.hints, self.operands, self.at = headline, hints, tuple(operands), at

    def __str__(self) -> str:
        return layout(self.headline, self.operands, self.at, self.hints)


class ShapeError(GraphnnError, ValueError):
    """Sizes or axes do not fit."""


class AxisError(ShapeError, IndexError):
    """An axis is out of range. As in NumPy it is an IndexError too."""


class DTypeError(GraphnnError, TypeError):
    """Data types do not fit, or there is no lossless way from one to the other."""


class GraphError(GraphnnError, ValueError):
    """A graph is built or called in a way that has no meaning: missing, unknown or duplicate inputs, cycles."""


class NodeUseError(GraphError, TypeError):
    """A node is used as if it were a value (``if node:``, ``len(node)``, ``float(node)``)."""


class DifferentiationError(GraphnnError, ValueError):
    """A derivative was asked for that does not exist."""


class LoweringError(GraphnnError, NotImplementedError):
    """A backend cannot run an operation."""


class ExecutionError(GraphnnError, RuntimeError):
    """An operation failed while a compiled function ran."""


class IndexRangeError(ExecutionError, IndexError):
    """An index lies outside the axis that it indexes."""


class DeviceError(GraphnnError, ValueError):
    """There is no such device, or it cannot do what is asked of it."""


class RewriteError(GraphnnError, RuntimeError):
    """A rewrite produced an illegal graph: an error in graphnn or in a rule, not in the user's model."""


class DataError(GraphnnError, ValueError):
    """A data file is missing, damaged or not what it claims to be."""


class ModelError(GraphnnError, ValueError):
    """A model from another tool is damaged, contradicts its standard, or is larger than allowed."""


class UnsupportedError(GraphnnError, NotImplementedError):
    """A model from another tool asks for an operator, a version or a data type that graphnn does not have."""


class UnknownNameError(GraphnnError, AttributeError):
    """graphnn has no such name; the message says what it is called here."""


class RenderError(GraphnnError, RuntimeError):
    """A picture could not be drawn or written."""


def layout(headline: str, operands: Sequence[Operand] = (), at: str = "", hints: Iterable[str] = ()) -> str:
    """Put a message together: headline, table of operands, the user's line, how to mend it.

    >>> print(
    ...     layout(
    ...         "matmul: inner sizes differ: 3 != 4",
    ...         [Operand("left", "x", "float32[2, 3]", "placeholder", "m.py:1")],
    ...         "m.py:3    y = x @ w",
    ...         ["matmul contracts the last axis of the left."],
    ...     )
    ... )
    matmul: inner sizes differ: 3 != 4
    <BLANKLINE>
      left   x   float32[2, 3]   placeholder   m.py:1
    <BLANKLINE>
      at m.py:3    y = x @ w
      matmul contracts the last axis of the left.
    """
    blocks = [headline]
    if operands:
        widths = [max(len(row[i]) for row in operands) for i in range(4)]
        blocks.append(
            "\n".join(
                (
                    "  " + "   ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row.where])
                ).rstrip()
                for row in operands
            )
        )
    # A node of a derivative is no line of the user: its place reads "in the reverse pass of ...".
    tail = ([f"  {at}" if at.startswith("in the ") else f"  at {at}"] if at else []) + [
        f"  {hint}" for hint in hints if hint
    ]
    if tail:
        blocks.append("\n".join(tail))
    return "\n\n".join(blocks)


def listing(names: Iterable[object], limit: int = 8) -> str:
    """Names in quotes, separated by commas, cut after `limit`.

    >>> listing(["x", "t"])
    "'x', 't'"
    """
    shown = [repr(str(name)) for name in names]
    more = len(shown) - limit
    return ", ".join(shown[:limit]) + (f" and {more} more" if more > 0 else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint ``Did you mean 'x'?`` where one of the known names is close, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else ""
