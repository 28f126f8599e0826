"""Recurrent layers: a cell that is stepped along a sequence by `scan`. Sequences are ``[batch, time, inputs]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from graphnn.errors import GraphError, ShapeError
from graphnn.functions.activations import relu, sigmoid
from graphnn.functions.manipulation import split
from graphnn.ir.arrays import Array
from graphnn.ir.dims import as_size
from graphnn.ir.dtype import as_dtype
from graphnn.ir.leaves import constant
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import Shape, shape_text
from graphnn.nn import init as initializers
from graphnn.nn.declared import Parameter
from graphnn.nn.elsewhere import check_options
from graphnn.nn.module import Module
from graphnn.ops.contraction import matmul
from graphnn.ops.movement import PermuteDims, broadcast_to, concat
from graphnn.ops.operands import as_node
from graphnn.ops.trigonometric import tanh
from graphnn.transform.control import scan

_OUTPUTS = ("both", "sequence", "last")
_OPTIONS = ("num_layers", "bidirectional", "bias", "output", "dtype", "seed")
_ELSEWHERE = {
    "units": "Write nn.LSTM(inputs, hidden).",
    "return_sequences": "Write output='sequence', or output='last' for the last step only.",
    "return_state": "Write output='both'.",
    "batch_first": "Sequences are [batch, time, inputs]; else permute their axes: gn.permute_dims(x, (1, 0, 2)).",
    "dropout": "Put an nn.Dropout between recurrent layers of one layer each.",
    "nonlinearity": "nn.RNN takes activation=gn.tanh, or any function of nodes.",
    "go_backwards": "Flip the sequence: gn.flip(x, axis=1).",
}


class _Recurrent(Module):
    """What the recurrent layers share; each says how many gates it has, and writes its step."""

    gates: ClassVar[int]
    hidden_bias: ClassVar[bool] = False  # whether the last gate has a bias on the side of the last output
    carried: ClassVar[int] = 1  # how many arrays its state holds

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        output: str = "both",
        dtype: Any = "float32",
        seed: int | None = None,
        **unknown: Any,
    ) -> None:
        name = f"nn.{type(self).__name__}"
        check_options(name, unknown, _ELSEWHERE, _OPTIONS)
        for size in (inputs, hidden, num_layers):
            if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
                raise ShapeError(
                    f"{name}: a size is a whole number from 1, not {size!r}", f"Write {name}(inputs, hidden)."
                )
        if output not in _OUTPUTS:
            raise GraphError(
                f"{name}: output is 'both', 'sequence' or 'last', not {output!r}",
                "'both' gives (sequence, state), 'sequence' the outputs of all steps, 'last' that of the last step.",
            )
        self.inputs, self.hidden, self.num_layers = int(inputs), int(hidden), int(num_layers)
        self.bidirectional, self.output, self.dtype, self.seed = bool(bidirectional), output, as_dtype(dtype), seed
        width = self.hidden * self.gates
        start = _Uniform(1 / self.hidden**0.5)
        self.bias = bool(bias)
        for layer in range(self.num_layers):
            read = self.inputs if layer == 0 else self.hidden * (1 + self.bidirectional)
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (read, width), "weight_hh": (self.hidden, width)}
            shapes |= {"bias": (width,)} if self.bias else {}
            shapes |= {"bias_hn": (self.hidden,)} if self.bias and self.hidden_bias else {}
            for way in range(1 + self.bidirectional):
                for key, shape in shapes.items():
                    setattr(self, key + self._place(layer, way), Parameter(start, shape, self.dtype))

    @staticmethod
    def _place(layer: int, way: int) -> str:
        return f"_l{layer}{'_reverse' if way else ''}"

    def _cell(self, layer: int, way: int) -> dict[str, Node]:
        place = self._place(layer, way)
        keys = ["weight_ih", "weight_hh"] + ["bias"] * self.bias + ["bias_hn"] * (self.bias and self.hidden_bias)
        return {key: getattr(self, key + place) for key in keys}

    def step(self, cell: dict[str, Node], state: tuple[Node, ...], z: Node, h: Node) -> tuple[Node, ...]:
        """The next state, its output first, from the products of the input and of the last output with their weights."""
        raise NotImplementedError

    def forward(self, x: Any, state: Any = None) -> Any:
        sequence = as_node(x)
        if sequence.ndim != 3 or sequence.shape[-1] != self.inputs:
            raise explain(
                ShapeError(
                    f"{self!r} takes [batch, time, {self.inputs}], not {shape_text(sequence.shape)}",
                    "A sequence of numbers becomes one of vectors by x[:, :, None]."
                    if sequence.ndim == 2
                    else "The first two axes are the batch and the time, the third is that of the inputs.",
                ),
                (sequence,),
            )
        first = self._given(state, sequence)
        sequence = PermuteDims((1, 0, 2))(sequence)
        directions = 1 + self.bidirectional
        ends: list[tuple[Node, ...]] = []
        for layer in range(self.num_layers):
            made = []
            for way in range(directions):
                place = layer * directions + way
                cell = self._cell(layer, way)
                end, out = scan(self._stepper(cell), first[place], sequence, reverse=way == 1)
                made.append(out)
                ends.append(end)
            sequence = made[0] if directions == 1 else concat(made, axis=-1)
        out = PermuteDims((1, 0, 2))(sequence)
        if self.output == "sequence":
            return out
        tops = ends[-directions:]
        if self.output == "last":
            return tops[0][0] if directions == 1 else concat([end[0] for end in tops], axis=-1)
        final = [end if self.carried > 1 else end[0] for end in ends]
        return out, final[0] if len(final) == 1 else final

    def _stepper(self, cell: dict[str, Any]) -> Callable[[Any, Any], Any]:
        def step(state: tuple[Node, ...], x: Node) -> tuple[tuple[Node, ...], Node]:
            z = matmul(x, cell["weight_ih"])
            z = z + cell["bias"] if "bias" in cell else z
            following = self.step(cell, state, z, matmul(state[0], cell["weight_hh"]))
            return following, following[0]

        return step

    def _given(self, state: Any, sequence: Node) -> list[tuple[Node, ...]]:
        count = self.num_layers * (1 + self.bidirectional)
        if state is None:
            zeros = broadcast_to(constant(np.zeros((), self.dtype.numpy)), (sequence.shape[0], self.hidden))
            return [(zeros,) * self.carried] * count
        listed = [state] if count == 1 else list(state)
        if len(listed) != count:
            raise GraphError(f"{self!r} takes {count} states, one for each layer and direction, not {len(listed)}")
        return [tuple(map(as_node, each)) if self.carried > 1 else (as_node(each),) for each in listed]

    def expected_input(self) -> Shape | None:
        return as_size("batch"), as_size("time"), self.inputs

    def arguments(self) -> list[str]:
        shown = [str(self.inputs), str(self.hidden)]
        shown += [f"num_layers={self.num_layers}"] if self.num_layers > 1 else []
        shown += ["bidirectional=True"] if self.bidirectional else []
        shown += ["bias=False"] if not self.bias else []
        return shown + ([f"output={self.output!r}"] if self.output != "both" else [])


class _Uniform:
    """Uniform between -bound and bound."""

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return np.asarray(initializers.uniform(shape, generator, low=-self.bound, high=self.bound))


class RNN(_Recurrent):
    r"""Elman network :math:`h_t = \tanh(x_t W + h_{t-1} U + b)`: ``[batch, time, inputs] -> [batch, time, hidden]``.

    Parameters
    ----------
    inputs, hidden : the numbers of inputs and of outputs of a step
    activation : a function of nodes in the place of tanh, such as `graphnn.relu`
    num_layers : so many layers, each along the outputs of the one below
    bidirectional : a second network goes from the end to the beginning; the outputs of both are joined
    bias : whether there is a bias
    output : ``"both"``, ``"sequence"`` or ``"last"``
    dtype, seed : as for `Linear`

    Returns
    -------
    With ``output="both"`` the pair (sequence, state); the state, ``[batch, hidden]``, may be given to the next call. With
    several layers or directions it is a list with one state for each.

    Source: Elman, "Finding structure in time", Cognitive Science 14, 1990.

    >>> from graphnn import nn
    >>> sequence, state = nn.RNN(3, 4)(gn.placeholder("x", ("batch", "time", 3)))
    >>> sequence.spec, state.spec
    (float32[batch, time, 4], float32[batch, 4])
    """

    gates = 1

    def __init__(self, inputs: int, hidden: int, *, activation: Callable[[Node], Node] = tanh, **options: Any) -> None:
        self.activation = activation
        super().__init__(inputs, hidden, **options)

    def step(self, cell: dict[str, Node], state: tuple[Node, ...], z: Node, h: Node) -> tuple[Node, ...]:
        return (self.activation(z + h),)

    def arguments(self) -> list[str]:
        return super().arguments() + (["activation=relu"] if self.activation is relu else [])


class LSTM(_Recurrent):
    r"""Long short-term memory: ``[batch, time, inputs] -> [batch, time, hidden]``, with a cell that forgets and is written.

    .. math::
        (i, f, g, o) &= x_t W + h_{t-1} U + b \\
        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
        h_t &= \sigma(o) \odot \tanh(c_t)

    The four gates stand in this order in the columns of the weights. The state is the pair (h, c). Parameters and results are
    those of `RNN`.

    Source: Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 9, 1997; with the forget gate of Gers,
    Schmidhuber, Cummins, "Learning to forget", Neural Computation 12, 2000.

    >>> from graphnn import nn
    >>> sequence, (h, c) = nn.LSTM(3, 4)(gn.placeholder("x", ("batch", "time", 3)))
    >>> sequence.spec, c.spec
    (float32[batch, time, 4], float32[batch, 4])
    """

    gates, carried = 4, 2

    def step(self, cell: dict[str, Node], state: tuple[Node, ...], z: Node, h: Node) -> tuple[Node, ...]:
        i, f, g, o = split(z + h, 4, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class GRU(_Recurrent):
    r"""Gated recurrent unit: ``[batch, time, inputs] -> [batch, time, hidden]``, an LSTM without a cell beside the output.

    .. math::
        r &= \sigma(x_t W_r + h_{t-1} U_r + b_r) \\
        z &= \sigma(x_t W_z + h_{t-1} U_z + b_z) \\
        n &= \tanh(x_t W_n + b_n + r \odot (h_{t-1} U_n + c_n)) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}

    The gates stand in the order r, z, n in the columns of the weights. Parameters and results are those of `RNN`.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP
    2014; with the reset gate after the product, as in Chung, Gulcehre, Cho, Bengio, 2014.

    >>> from graphnn import nn
    >>> sequence, h = nn.GRU(3, 4)(gn.placeholder("x", ("batch", "time", 3)))
    >>> sequence.spec, h.spec
    (float32[batch, time, 4], float32[batch, 4])
    """

    gates = 3
    hidden_bias = True

    def step(self, cell: dict[str, Node], state: tuple[Node, ...], z: Node, h: Node) -> tuple[Node, ...]:
        (h_last,) = state
        reset_x, keep_x, new_x = split(z, 3, axis=-1)
        reset_h, keep_h, new_h = split(h, 3, axis=-1)
        new_h = new_h + cell["bias_hn"] if "bias_hn" in cell else new_h
        reset, keep = sigmoid(reset_x + reset_h), sigmoid(keep_x + keep_h)
        new = tanh(new_x + reset * new_h)
        return ((1.0 - keep) * new + keep * h_last,)
