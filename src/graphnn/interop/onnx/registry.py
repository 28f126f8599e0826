"""The table of ONNX operators, and what a handler gets to see.

A handler is a plain function that builds nodes for one ONNX node::

    import graphnn as gn
    from graphnn.interop.onnx.registry import Call, onnx_op


    @onnx_op("LeakyRelu")
    def leaky_relu(call: Call, x: Node) -> Node:
        return gn.leaky_relu(x, negative_slope=call.number("alpha", 0.01))

- Its parameters after `call` are the inputs of the ONNX node, in order. Optional inputs have the default None, which an
  omitted input is passed as; operators with any number of inputs take ``*inputs``. The importer has checked the number of
  inputs against this signature, so a handler need not.
- Sequences of tensors come and go as `Nodes`.
- It returns a node, or a tuple of nodes for several outputs. ``call.outputs`` holds the names of the outputs that the model
  asks for, with ``""`` for one that nobody wants; a longer tuple than that is cut, and None may stand where the name is empty
  or absent. ``call.wants(1)`` says whether the second output is asked for.
- ``since`` is the first version of the operator that the handler understands. If a later version means something else,
  register a second function with a larger ``since``: that with the largest one that is not above the model's version is
  taken. Small differences are told apart by ``call.opset``.
- Attributes are read by kind: `Call.integer`, `Call.integers`, `Call.number`, `Call.numbers`, `Call.text`, `Call.texts`,
  `Call.array`, `Call.dtype`. Each raises ModelError if the model holds something else there; without a default the attribute
  is required (for those where None is a sensible answer, pass None).
- Values that are needed to build the graph, such as a shape, axes, pads or k, are inputs in ONNX. ``call.static(i)`` gives
  the value of input i as a NumPy array and ``call.integers_at(i)`` as a tuple of ints; if it is no constant but depends on
  inputs of the model, the importer specialises the function for each value of those. ``call.sizes(i)`` gives a tuple
  whose entries may be named sizes, for shapes. Ask for as little as possible: what is static is compiled again
  for each value. The handler may be run more than once.
- Sizes come from hostile files. Before a handler makes an array, or a number of nodes that grows with a number in the model,
  it calls ``call.afford(shape)`` (or ``call.afford(count)``), which raises ModelError above the budget. The result of the
  handler itself is checked by the importer.
- ``call.unsupported("reason")`` makes the error for what graphnn does not have, ``call.error("reason")`` that for what
  the standard forbids: ``raise call.unsupported("complex input")``. Errors of graphnn itself (ShapeError ...) need no
  care: the importer adds the name of the ONNX node.
- Handlers use the public functions of graphnn only, and never evaluate anything but through ``call.static``.

Source: the Open Neural Network Exchange, operator schemas, https://onnx.ai/onnx/operators/ .
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from graphnn.errors import ModelError, UnsupportedError
from graphnn.ir.dims import Dim, Size
from graphnn.ir.dtype import BY_NAME, DType
from graphnn.ir.node import Node

Array: TypeAlias = np.ndarray[Any, Any]
Result: TypeAlias = "Node | tuple[Node | None, ...]"
Handler: TypeAlias = Callable[..., Result]
F = TypeVar("F", bound=Callable[..., Any])

BUDGET = 1 << 27
"""The number of elements that no single array of an imported model may exceed, unless `load` is told otherwise."""


class Nodes:
    """A sequence of tensors: its length is known while the graph is built.

    >>> Nodes([gn.constant(1.0)])
    Nodes(1.0)
    """

    __slots__ = ("items",)

    def __init__(self, items: Iterable[Node]) -> None:
        self.items = tuple(items)

    def __repr__(self) -> str:
        return f"Nodes({', '.join(node.label for node in self.items)})"


class Entry(NamedTuple):
    """One version of an operator: its handler, and how many inputs that takes."""

    handler: Handler
    fewest: int
    most: int | None  # None: any number


_TABLE: dict[tuple[str, str], dict[int, Entry]] = {}
_MISSING: Any = object()


def onnx_op(name: str, *, since: int = 1, domain: str = "") -> Callable[[F], F]:
    """Register the function under it as the handler of an ONNX operator; see the head of this file."""

    def register(function: F) -> F:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        plain = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
        fewest = sum(p.default is p.empty for p in plain)
        versions = _TABLE.setdefault((domain, name), {})
        if since in versions:
            raise ValueError(f"{name} has two handlers for version {since}")
        versions[since] = Entry(function, fewest, len(plain) if len(plain) == len(parameters) else None)
        return function

    return register


def find(domain: str, name: str, opset: int) -> Entry | None:
    """The handler of an operator at a version of its domain, or None."""
    versions = _TABLE.get((domain, name), {})
    fitting = [since for since in versions if since <= opset]
    return versions[max(fitting)] if fitting else None


def operators() -> list[tuple[str, str]]:
    """All operators that have a handler, as (domain, name), sorted."""
    return sorted(_TABLE)


class Call:
    """One ONNX node that is being turned into nodes.

    Attributes
    ----------
    op, domain, opset : the operator, its domain ("" is that of ONNX itself), and the version of the domain
    name : the name of the ONNX node, or a readable stand-in
    inputs : the nodes of its inputs; None where one is omitted
    outputs : the names of its outputs; "" where one is not wanted
    attributes : name to value: int, float, str, tuples of these, or a NumPy array
    """

    def __init__(
        self,
        op: str,
        domain: str,
        opset: int,
        name: str,
        inputs: Sequence[Node | None],
        outputs: Sequence[str],
        attributes: dict[str, Any],
        *,
        budget: int = BUDGET,
        value_of: Callable[[Node], Array] | None = None,
        sizes_of: Callable[[Node], tuple[Size, ...] | None] | None = None,
        node_of: Callable[[str], Node | None] | None = None,
        run: Callable[[Any, Sequence[Node]], list[Node]] | None = None,
    ) -> None:
        self.op, self.domain, self.opset, self.name = op, domain, opset, name
        self.inputs, self.outputs, self.attributes = tuple(inputs), tuple(outputs), attributes
        self.budget = budget
        self._value_of, self._sizes_of = value_of, sizes_of
        self._node_of, self._run = node_of, run

    @property
    def place(self) -> str:
        """How messages name it: ``Conv (ai.onnx, opset 11), node 'conv1'``."""
        return f"{self.op} ({self.domain or 'ai.onnx'}, opset {self.opset}), node {self.name!r}"

    def wants(self, output: int) -> bool:
        """Whether the model asks for the output of this number."""
        return output < len(self.outputs) and self.outputs[output] != ""

    # Errors

    def unsupported(self, reason: str) -> UnsupportedError:
        """The error for what the standard knows but graphnn does not."""
        return UnsupportedError(f"{self.place}: {reason}")

    def error(self, reason: str) -> ModelError:
        """The error for what contradicts the standard."""
        return ModelError(f"{self.place}: {reason}")

    # Attributes

    def attribute(self, name: str, default: Any = _MISSING) -> Any:
        """The attribute as it is; the readers by kind below are safer."""
        value = self.attributes.get(name, default)
        if value is _MISSING:
            raise self.error(f"the attribute {name!r} is missing")
        return value

    def _read(self, name: str, default: Any, fits: Callable[[Any], bool], what: str) -> Any:
        value = self.attribute(name, default)
        if name in self.attributes and not fits(value):
            raise self.error(f"the attribute {name!r} must be {what}, not {type(value).__name__}")
        return value

    def integer(self, name: str, default: Any = _MISSING) -> int:
        """An attribute that is a whole number."""
        return self._read(name, default, lambda v: type(v) is int, "a whole number")  # type: ignore[no-any-return]

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is 0 or 1."""
        return self.integer(name, int(default)) != 0

    def number(self, name: str, default: Any = _MISSING) -> float:
        """An attribute that is a floating-point number; float32 in the file."""
        return self._read(name, default, lambda v: type(v) is float, "a number")  # type: ignore[no-any-return]

    def text(self, name: str, default: Any = _MISSING) -> str:
        """An attribute that is a text."""
        return self._read(name, default, lambda v: type(v) is str, "a text")  # type: ignore[no-any-return]

    def integers(self, name: str, default: Any = _MISSING) -> tuple[int, ...]:
        """An attribute that is a list of whole numbers."""
        return self._read(name, default, _tuple_of(int), "a list of whole numbers")  # type: ignore[no-any-return]

    def numbers(self, name: str, default: Any = _MISSING) -> tuple[float, ...]:
        """An attribute that is a list of floating-point numbers."""
        return self._read(name, default, _tuple_of(float), "a list of numbers")  # type: ignore[no-any-return]

    def texts(self, name: str, default: Any = _MISSING) -> tuple[str, ...]:
        """An attribute that is a list of texts."""
        return self._read(name, default, _tuple_of(str), "a list of texts")  # type: ignore[no-any-return]

    def array(self, name: str, default: Any = _MISSING) -> Array:
        """An attribute that is a tensor."""
        return self._read(name, default, lambda v: isinstance(v, np.ndarray), "a tensor")  # type: ignore[no-any-return]

    def dtype(self, name: str, default: Any = _MISSING) -> DType:
        """An attribute that names a data type (a number of TensorProto.DataType)."""
        if name not in self.attributes and default is not _MISSING:
            return default  # type: ignore[no-any-return]
        number = self.integer(name)
        found = dtype_of(number)
        if found is None:
            raise self.unsupported(f"the data type {dtype_name(number)}")
        return found

    # Values that are needed to build the graph

    def given(self, i: int) -> bool:
        """Whether input i is there."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def static(self, i: int) -> Array:
        """The value of input i, which is needed to build the graph."""
        node = self.inputs[i] if i < len(self.inputs) else None
        if node is None:
            raise self.error(f"input {i} is missing")
        return self.value_of(node)

    def value_of(self, node: Node) -> Array:
        """The value of any node, which is needed to build the graph."""
        if self._value_of is None:
            raise self.unsupported("a value that must be a constant")
        return self._value_of(node)

    def integers_at(self, i: int) -> tuple[int, ...]:
        """The value of input i as whole numbers: a vector, or a scalar as one number."""
        value = self.static(i)
        if value.dtype.kind not in "iu" or value.ndim > 1:
            raise self.error(f"input {i} must be a vector of whole numbers, not {value.dtype.name}{list(value.shape)}")
        return tuple(int(item) for item in value.reshape(-1))

    def sizes(self, i: int) -> tuple[Size, ...]:
        """Input i as sizes, which may be named; for shapes. -1 and 0 are not yet understood here."""
        node = self.inputs[i] if i < len(self.inputs) else None
        if node is not None and self._sizes_of is not None:
            found = self._sizes_of(node)
            if found is not None:
                return found
        return self.integers_at(i)

    # Other parts of the model

    def named(self, name: str) -> Node:
        """The value of this name in the graph around the node; only for operators that speak of values by name."""
        node = self._node_of(name) if self._node_of is not None else None
        if node is None:
            raise self.error(f"nothing has computed {name!r}")
        return node

    def run(self, name: str, *nodes: Node) -> list[Node]:
        """The outputs of the graph that is the attribute of this name, with nodes in the place of its inputs."""
        graph = self.attribute(name)
        if self._run is None or not hasattr(graph, "nodes"):
            raise self.error(f"the attribute {name!r} must be a graph")
        return self._run(graph, nodes)

    # Budget

    def afford(self, *shape: Size | Iterable[Size]) -> None:
        """Raise ModelError if an array of this shape, or so many things, would be over the budget."""
        total = 1
        for item in shape:
            for size in (item,) if isinstance(item, (int, np.integer, Dim)) else item:
                if isinstance(size, Dim):
                    continue
                if size < 0:
                    raise self.error(f"a negative size: {size}")
                total *= int(size)
        if total > self.budget:
            raise self.error(f"asks for {total} elements, more than the budget of {self.budget}")


def _tuple_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and all(type(item) is kind for item in value)


# TensorProto.DataType, from the standard.
_DTYPES: dict[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip
_OTHERS: dict[int, str] = {
    0: "undefined", 8: "string", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
    19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1", 24: "float8e8m0", 25: "uint2",
    26: "int2",
}  # fmt: skip


def dtype_of(number: int) -> DType | None:
    """The data type behind a number of TensorProto.DataType; None where graphnn has none."""
    name = _DTYPES.get(number)
    return None if name is None else BY_NAME[name]


def dtype_name(number: int) -> str:
    """The name of a number of TensorProto.DataType, also of those that graphnn does not have."""
    return _DTYPES.get(number) or _OTHERS.get(number) or f"number {number}"


def onnx_number(dtype: DType) -> int:
    """The number of TensorProto.DataType for a data type."""
    return next(number for number, name in _DTYPES.items() if name == dtype.name)
