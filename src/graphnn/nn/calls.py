"""What modules that are being called know of the call around them: the mode, and the random draws already taken."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from graphnn.ir.graph import topological
from graphnn.ir.node import Node
from graphnn.ops.random import RandomBits


class Call:
    """One call of a module. Draws are counted in the outermost call, for the whole model."""

    __slots__ = ("draws", "inputs", "training")

    def __init__(self, inputs: tuple[Any, ...], training: bool | None, outer: Call | None) -> None:
        inherited = outer is not None and outer.training
        self.training: bool = inherited if training is None else bool(training)
        self.inputs: tuple[Any, ...] = inputs if outer is None else outer.inputs
        self.draws: dict[Node, int] = {} if outer is None else outer.draws


current_call: ContextVar[Call | None] = ContextVar("graphnn_module_call", default=None)


def is_training() -> bool:
    """Whether the module whose `forward` asks is called with ``training=True``; False outside of any call.

    >>> from graphnn import nn
    >>> class Shift(nn.Module):
    ...     def forward(self, x):
    ...         return x + 1 if nn.is_training() else x
    >>> x = gn.placeholder("x", ())
    >>> Shift()(x) is x, Shift()(x, training=True) is x
    (True, False)
    """
    call = current_call.get()
    return call is not None and call.training


def next_draw(source: Node) -> int:
    """The number of the next draw from a stream: each use of a layer within one call of a model draws anew.

    Draws that the inputs of the outermost call already depend on are counted too, so that a layer that is applied twice in
    a row, outside of any model, does not repeat itself.
    """
    call = current_call.get()
    if call is None:
        return 0
    if source not in call.draws:
        before = topological([node for node in call.inputs if isinstance(node, Node)])
        used = [node.op.draw for node in before if isinstance(node.op, RandomBits) and node.inputs[0] is source]
        call.draws[source] = max(used, default=-1) + 1
    call.draws[source] += 1
    return call.draws[source] - 1
