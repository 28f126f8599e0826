"""Sequential: modules one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, overload

from graphnn.errors import GraphError
from graphnn.ir.node import Node
from graphnn.ir.spec import Shape
from graphnn.nn.activations import Activation
from graphnn.nn.layers import Dropout, Flatten, Identity
from graphnn.nn.module import Module
from graphnn.ops.operands import as_node


class Sequential(Module):
    """Modules one after the other: each gets the output of the one before.

    It is fixed once made: a longer one is ``nn.Sequential(*model, layer)``, which shares the layers and their parameters.

    Parameters
    ----------
    *layers : modules, or one list of them
    seed : where the first values of all parameters come from; see `graphnn.nn.module`

    Examples
    --------
    >>> from graphnn import nn
    >>> model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(10))
    >>> model(gn.placeholder("x", ("batch", 784))).spec
    float32[batch, 10]
    >>> len(model), model[0], list(model.named_parameters())
    (4, Linear(784, 128), ['0.weight', '0.bias', '3.weight', '3.bias'])
    """

    def __init__(self, *layers: Module | Iterable[Module], seed: int | None = None) -> None:
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            layers = tuple(layers[0])
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise GraphError(
                    f"nn.Sequential: layer {i} is not a module but {_kind(layer)}",
                    f"Write nn.{layer.__name__}(...), with parentheses." if isinstance(layer, type) else "",
                    "A function becomes a module by class F(nn.Module) with def forward(self, x).",
                )
        self._layers: tuple[Module, ...] = layers  # type: ignore[assignment]
        self.seed = seed
        self._adopt(self._held())

    def forward(self, x: Any) -> Node:
        for layer in self._layers:
            x = layer(x)
        return as_node(x)

    def _held(self) -> Iterable[tuple[str, Any]]:
        return [(str(i), layer) for i, layer in enumerate(self._layers)] + list(super()._held())

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: int | slice) -> Module | Sequential:
        """One layer, or for a slice a new Sequential of the same layers."""
        if isinstance(index, slice):
            return Sequential(*self._layers[index])
        return self._layers[index]

    def expected_input(self) -> Shape | None:
        for layer in self._layers:
            shape = layer.expected_input()
            if shape is not None:
                return shape
            if not isinstance(layer, (Activation, Dropout, Flatten, Identity)):
                break
        return None

    def arguments(self) -> list[str]:
        shown = [repr(layer) for layer in self._layers]
        return shown + ([f"seed={self.seed}"] if self.seed is not None else [])


def _kind(layer: object) -> str:
    return f"the class {layer.__name__}" if isinstance(layer, type) else repr(layer)
