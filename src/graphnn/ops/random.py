"""Random bits as a pure function of a stream state, and the op that lets a state advance.

The bits are those of Philox4x64-10, a counter-based generator: block number, step and stream select them, nothing is
hidden. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.ir.dtype import uint64
from graphnn.ir.leaves import State
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, Elementwise, General, Partial
from graphnn.ir.spec import Shape, Spec, as_shape, shape_text


class RandomBits(General):
    """64 random bits for each element, from a stream state (key, step) and the number of the draw

    Of a stack of states, each gives an array of its own.
    """

    shape: Shape
    draw: int
    latex = r"\operatorname{{bits}}_{{{draw}}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Spec:
        (stream,) = specs
        if stream.dtype is not uint64 or stream.shape[-1:] != (2,):
            raise _no_stream(stream)
        return Spec((*stream.shape[:-1], *self.shape), uint64)

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        return (None,)


def _no_stream(stream: Spec) -> DTypeError:
    return DTypeError(f"random_bits: a stream is uint64[2] (key, step), not {stream}", "Make one: gn.stream(seed).")


class Advance(Elementwise):
    """The first operand; a function that computes it also gives the state (second) its next value (third)"""

    latex = "{0}"

    def infer(self, *specs: Spec) -> Spec:
        value, state, following = specs
        if state != following:
            raise ShapeError(f"advance: the state is {state}, its next value {following}", "They must be equal.")
        return value

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return 1, None, None


def advance(value: Node, following: Mapping[Node, Node]) -> Node:
    """`value`, and a note in the graph: when a compiled function computes it, states get their next values.

    This is how a Dropout moves its random stream on, and a BatchNorm its running mean: the update is part of the graph,
    in sight, and `function` collects it. `evaluate` never changes a state.

    Parameters
    ----------
    value : the node whose computation advances the states
    following : the next value of each state

    >>> steps = gn.state("steps", 0)
    >>> f = gn.function([], gn.advance(steps * 10, {steps: steps + 1}))
    >>> [int(f()) for _ in range(3)]
    [0, 10, 20]
    """
    for state, node in following.items():
        if not isinstance(state.op, State):
            raise GraphError(f"advance: {state.label} is not a state", "Make it with gn.state(name, value).")
        value = Advance()(value, state, node)
    return value


def random_bits(stream: Node, shape: object, *, draw: int = 0) -> Node:
    """Random uint64 numbers: Philox4x64-10 with the key ``(stream[0], draw)`` and the counter ``(block, stream[1])``.

    Parameters
    ----------
    stream : uint64[2], the key and the step
    shape : the shape of the result
    draw : numbers the draws that share a stream within one step

    >>> gn.evaluate(gn.random_bits(gn.constant([1, 0], "uint64"), (2,))).dtype
    dtype('uint64')
    """
    if not isinstance(stream, Node):
        raise GraphError(f"random numbers come from a stream, not from {stream!r}", "Make one: gn.stream(seed).")
    sizes = as_shape(shape)
    if not isinstance(draw, int) or draw < 0:
        raise ShapeError(f"random_bits: the number of a draw is an int from 0, not {draw!r} for {shape_text(sizes)}")
    if stream.ndim > 1:
        raise explain(_no_stream(stream.spec), (stream,))
    return RandomBits(sizes, draw)(stream)
