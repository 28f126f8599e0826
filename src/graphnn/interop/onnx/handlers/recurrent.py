"""Recurrent networks: RNN, GRU and LSTM.

Each is a step, a function of the carried state and of what the inputs contribute at one place, and `run`, which takes it along
the sequence. What the inputs contribute is computed for all places at once, before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import graphnn as gn
from graphnn.interop.onnx.handlers.convolution import number
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.node import Node

Activation = Callable[[Node], Node]
State = tuple[Node, ...]
Step = Callable[[State, Node], State]

LAID_OUT = 16
"""Up to so many steps a sequence is laid out step by step; a longer one, or one of a named size, is a `graphnn.scan`."""

# Activations with the usual values of alpha and beta; None where they have none.
_ACTIVATIONS: dict[str, tuple[Callable[..., Node], tuple[float, ...]]] = {
    "relu": (gn.relu, ()),
    "tanh": (gn.tanh, ()),
    "sigmoid": (gn.sigmoid, ()),
    "softsign": (gn.softsign, ()),
    "softplus": (gn.softplus, ()),
    "affine": (lambda x, alpha, beta: alpha * x + beta, (1.0, 0.0)),
    "leakyrelu": (lambda x, alpha: gn.leaky_relu(x, negative_slope=alpha), (0.01,)),
    "thresholdedrelu": (lambda x, alpha: gn.where(x > alpha, x, 0), (1.0,)),
    "scaledtanh": (lambda x, alpha, beta: alpha * gn.tanh(beta * x), (1.0, 1.0)),
    "hardsigmoid": (lambda x, alpha, beta: gn.hard_sigmoid(x, slope=alpha, offset=beta), (0.2, 0.5)),
    "elu": (lambda x, alpha: gn.elu(x, alpha=alpha), (1.0,)),
}


def _activations(call: Call, usual: Sequence[str], directions: int) -> list[list[Activation]]:
    """The activation functions of each direction."""
    names = call.texts("activations", tuple(usual) * directions)
    if len(names) != len(usual) * directions:
        raise call.error(f"{len(usual) * directions} activations are needed, not {list(names)}")
    given = {key: list(call.numbers(key, ())) for key in ("activation_alpha", "activation_beta")}
    clip = call.number("clip", 0.0)
    found = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            raise call.error(f"there is no activation {name!r}")
        function, parameters = _ACTIVATIONS[name.lower()]
        values = []
        for key, value in zip(("activation_alpha", "activation_beta"), parameters, strict=False):
            values.append(given[key].pop(0) if given[key] else value)
        found.append(_with(function, values, clip))
    return [found[i * len(usual) : (i + 1) * len(usual)] for i in range(directions)]


def _with(function: Callable[..., Node], values: Sequence[float], clip: float) -> Activation:
    return lambda x: function(gn.clip(x, -clip, clip) if clip > 0 else x, *values)


def along(
    step: Callable[[State, tuple[Node, ...]], tuple[State, Node]],
    start: State,
    inputs: tuple[Node, ...],
    backwards: bool = False,
) -> tuple[State, Node]:
    """A scan along the first axis of the inputs: the last state, and what the step gives, stacked."""
    count = inputs[0].shape[0]
    if not isinstance(count, int) or count > LAID_OUT or count == 0:
        return gn.scan(step, start, inputs, reverse=backwards)
    state, out = start, [start[0]] * count
    for t in reversed(range(count)) if backwards else range(count):
        state, out[t] = step(state, tuple(x[t] for x in inputs))
    return state, gn.stack(out)


def run(step: Step, start: State, inputs: Node, lengths: Node | None, backwards: bool) -> tuple[State, Node]:
    """Take a step along the first axis of the inputs: the last state, and the first part of the state at each place.

    A sequence that is shorter than others keeps its state behind its end, and gives zeros there.
    """

    def kept(state: State, item: tuple[Node, ...]) -> tuple[State, Node]:
        given, place = item
        after = step(state, given)
        if lengths is None:
            return after, after[0]
        inside = gn.expand_dims(lengths > place, axis=1)
        held = tuple(gn.where(inside, new, old) for new, old in zip(after, state, strict=True))
        return held, gn.where(inside, after[0], 0)

    places = gn.arange(inputs.shape[0], dtype="int64" if lengths is None else lengths.dtype)
    return along(kept, start, (inputs, places), backwards)


class Cell:
    """The inputs of an ONNX recurrent node, brought into one form, and what is done with them in each direction."""

    def __init__(self, call: Call, gates: int, x: Node, w: Node, r: Node, b: Node | None, lengths: Node | None) -> None:
        direction = call.text("direction", "forward")
        if direction not in ("forward", "reverse", "bidirectional"):
            raise call.error(f"direction is forward, reverse or bidirectional, not {direction!r}")
        self.call, self.batch_first = call, call.integer("layout", 0) == 1
        self.backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
        directions = len(self.backwards)
        if x.ndim != 3 or w.ndim != 3 or r.ndim != 3:
            raise call.error(f"the input {x.spec}, W {w.spec} and R {r.spec} have three axes")
        self.x = gn.permute_dims(x, (1, 0, 2)) if self.batch_first else x
        self.size = number(call, r, 2)
        if call.integer("hidden_size", self.size) != self.size:
            raise call.error(f"hidden_size is {call.integer('hidden_size')}, but R is {r.spec}")
        rows = self.size * gates
        good = w.shape == (directions, rows, x.shape[2]) and r.shape == (directions, rows, self.size)
        if not good or (b is not None and b.shape != (directions, 2 * rows)):
            raise call.error(f"W {w.spec}, R {r.spec} and the bias do not fit {gates} gates of {self.size}")
        self.w, self.r, self.b, self.lengths, self.rows = w, r, b, lengths, rows

    @property
    def directions(self) -> int:
        """1 or 2."""
        return len(self.backwards)

    def contribution(self, i: int, of_state: int = 0) -> Node:
        """What inputs and biases contribute to all gates, ``[length, batch, gates * size]``.

        The biases of the state go with those of the input, but for the last `of_state` rows.
        """
        y = self.x @ gn.matrix_transpose(self.w[i])
        if self.b is None:
            return y
        own, other = self.b[i, : self.rows], self.b[i, self.rows :]
        if not of_state:
            return y + (own + other)
        kept = gn.concat([other[: self.rows - of_state], gn.zeros((of_state,), dtype=other.dtype)])
        return y + (own + kept)

    def bias_of_state(self, i: int, first: int) -> Node | None:
        """The biases of the state from a row on."""
        return None if self.b is None else self.b[i, self.rows + first :]

    def start(self, i: int, initial: Node | None) -> Node:
        """The state before the first step, ``[batch, size]``."""
        if initial is None:
            return gn.zeros((self.x.shape[1], self.size), dtype=self.x.dtype)
        if initial.ndim != 3:
            raise self.call.error(f"an initial state has three axes, not {initial.spec}")
        return initial[:, i] if self.batch_first else initial[i]

    def results(self, steps: Sequence[Step], starts: Sequence[State]) -> tuple[Node | None, ...]:
        """Run all directions: the outputs at all places, and the last states."""
        last, outputs = [], []
        for i, backwards in enumerate(self.backwards):
            state, out = run(steps[i], starts[i], self.contributions[i], self.lengths, backwards)
            last.append(state)
            outputs.append(out)
        everything = None
        if self.call.wants(0):
            everything = gn.stack(outputs, axis=1)  # [length, directions, batch, size]
            everything = gn.permute_dims(everything, (2, 0, 1, 3)) if self.batch_first else everything
        axis = 1 if self.batch_first else 0
        return everything, *(gn.stack(list(parts), axis=axis) for parts in zip(*last, strict=True))

    contributions: list[Node]


@onnx_op("RNN")
def rnn(
    call: Call,
    x: Node,
    w: Node,
    r: Node,
    b: Node | None = None,
    lengths: Node | None = None,
    initial: Node | None = None,
) -> tuple[Node | None, ...]:
    """``h = f(x W + h R + b)``"""
    cell = Cell(call, 1, x, w, r, b, lengths)
    functions = _activations(call, ["Tanh"], cell.directions)
    cell.contributions = [cell.contribution(i) for i in range(cell.directions)]

    def step_of(i: int) -> Step:
        (f,) = functions[i]
        inner = gn.matrix_transpose(r[i])

        def step(state: State, given: Node) -> State:
            return (f(given + state[0] @ inner),)

        return step

    return cell.results(
        [step_of(i) for i in range(cell.directions)], [(cell.start(i, initial),) for i in range(cell.directions)]
    )


@onnx_op("GRU")
def gru(
    call: Call,
    x: Node,
    w: Node,
    r: Node,
    b: Node | None = None,
    lengths: Node | None = None,
    initial: Node | None = None,
) -> tuple[Node | None, ...]:
    """``h = (1 - z) * g(x W + (q * h) R + b) + z * h`` with gates z and q of the same kind."""
    cell = Cell(call, 3, x, w, r, b, lengths)
    functions = _activations(call, ["Sigmoid", "Tanh"], cell.directions)
    late = call.flag("linear_before_reset")
    n = cell.size
    cell.contributions = [cell.contribution(i, n if late else 0) for i in range(cell.directions)]

    def step_of(i: int) -> Step:
        f, g = functions[i]
        gates, inner = gn.matrix_transpose(r[i, : 2 * n]), gn.matrix_transpose(r[i, 2 * n :])
        bias = cell.bias_of_state(i, 2 * n)

        def step(state: State, given: Node) -> State:
            (h,) = state
            both = given[:, : 2 * n] + h @ gates
            z, q = f(both[:, :n]), f(both[:, n:])
            if late:
                of_state = h @ inner
                of_state = q * (of_state if bias is None else of_state + bias)
            else:
                of_state = (q * h) @ inner
            return ((1 - z) * g(given[:, 2 * n :] + of_state) + z * h,)

        return step

    return cell.results(
        [step_of(i) for i in range(cell.directions)], [(cell.start(i, initial),) for i in range(cell.directions)]
    )


@onnx_op("LSTM")
def lstm(
    call: Call,
    x: Node,
    w: Node,
    r: Node,
    b: Node | None = None,
    lengths: Node | None = None,
    initial: Node | None = None,
    initial_cell: Node | None = None,
    peepholes: Node | None = None,
) -> tuple[Node | None, ...]:
    """``c = f * c + i * g(x W + h R + b)`` and ``h = o * k(c)`` with gates i, o and f, which may see c too (peepholes)."""
    cell = Cell(call, 4, x, w, r, b, lengths)
    functions = _activations(call, ["Sigmoid", "Tanh", "Tanh"], cell.directions)
    coupled = call.flag("input_forget")
    n = cell.size
    if peepholes is not None and peepholes.shape != (cell.directions, 3 * n):
        raise call.error(f"the peepholes {peepholes.spec} are not [directions, 3 * hidden_size]")
    cell.contributions = [cell.contribution(i) for i in range(cell.directions)]

    def step_of(i: int) -> Step:
        f, g, k = functions[i]
        inner = gn.matrix_transpose(r[i])

        def seen(gate: int, c: Node, of: Node) -> Node:
            return of if peepholes is None else of + peepholes[i, gate * n : (gate + 1) * n] * c

        def step(state: State, given: Node) -> State:
            h, c = state
            gates = given + h @ inner
            of_i, of_o, of_f, of_c = (gates[:, j * n : (j + 1) * n] for j in range(4))
            let_in = f(seen(0, c, of_i))
            keep = 1 - let_in if coupled else f(seen(2, c, of_f))
            c = keep * c + let_in * g(of_c)
            return f(seen(1, c, of_o)) * k(c), c

        return step

    starts = [(cell.start(i, initial), cell.start(i, initial_cell)) for i in range(cell.directions)]
    return cell.results([step_of(i) for i in range(cell.directions)], starts)
