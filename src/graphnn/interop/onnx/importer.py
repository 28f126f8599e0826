"""Records -> nodes: every ONNX node is given to its handler, in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeAlias

from graphnn.errors import GraphnnError, ModelError, UnsupportedError, listing
from graphnn.interop.onnx.records import (
    FunctionRecord,
    GraphRecord,
    ModelRecord,
    NodeRecord,
    Reference,
    ValueRecord,
    all_nodes,
)
from graphnn.interop.onnx.registry import Array, Call, Entry, Nodes, Result, find
from graphnn.interop.onnx.schemas import check_node, check_types, schema_of
from graphnn.interop.onnx.statics import Statics, check_size
from graphnn.ir.dims import Dim, Size
from graphnn.ir.dtype import DType, as_dtype
from graphnn.ir.leaves import Constant, Payload, parameter, placeholder
from graphnn.ir.node import Node
from graphnn.ir.op import Leaf
from graphnn.ir.source import scope

# What the code of a handler can stumble over in a model that contradicts itself.
_STUMBLES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)

DEEPEST_CALLS = 64
"""How many functions of a model may be inside each other."""

MOST_BUILT = 200_000
"""How many ONNX nodes one graph may come from, those of loops counted once for each round."""

Value: TypeAlias = "Node | Nodes"
Environment = dict[str, Any]  # of values


def check_operators(model: ModelRecord) -> None:
    """Check all nodes against the standard, and that there is a handler for each, before anything is built."""
    missing: dict[str, None] = {}
    groups = [(model.graph.nodes, model.opsets), *((f.nodes, f.opsets) for f in model.functions.values())]
    for nodes, opsets in groups:
        for node in all_nodes(nodes):
            function = model.functions.get((node.domain, node.op))
            if function is not None:
                _check_function_call(node, function)
                continue
            opset = opsets.get(node.domain)
            if opset is None:
                raise ModelError(
                    f"node {node.name!r} uses {node.op} of the operator set {node.domain or 'ai.onnx'!r}, "
                    "which the model does not import"
                )
            schema = schema_of(node.domain, node.op, opset)
            if schema is not None:
                check_node(node, schema, opset)
            if find(node.domain, node.op, opset) is None:
                missing[f"{node.op} ({node.domain or 'ai.onnx'}, opset {opset})"] = None
    if missing:
        first, *others = missing
        raise UnsupportedError(
            f"graphnn has no {first}", f"Nor has it {listing(others)}, which the model uses too." if others else ""
        )


def _check_function_call(node: NodeRecord, function: FunctionRecord) -> None:
    if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
        raise ModelError(f"node {node.name!r} has more inputs or outputs than the function {function.name!r}")
    for name in function.required:
        if name not in node.attributes:
            raise ModelError(f"node {node.name!r}: the attribute {name!r} of the function {function.name!r} is missing")
    for name in node.attributes:
        if name not in function.required and name not in function.attributes:
            raise ModelError(f"node {node.name!r}: the function {function.name!r} has no attribute {name!r}")


class SizeNames:
    """Names of sizes that are identifiers, for those of the model; the same one for the same name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def dim(self, name: str) -> Dim:
        """The named size for a name of the model."""
        if name not in self._names:
            plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "size"
            plain = plain if not plain[0].isdigit() else f"n{plain}"
            taken = set(self._names.values())
            choices = (plain if i == 0 else f"{plain}_{i}" for i in range(len(taken) + 1))
            self._names[name] = next(choice for choice in choices if choice not in taken)
        return Dim(self._names[name])

    def shape(self, value: ValueRecord) -> tuple[Size, ...]:
        """The shape of an input of the model; an axis without size and name gets a name."""
        if value.kind != "tensor":
            raise UnsupportedError(f"the input {value.name!r} is a {value.kind}, which graphnn does not have")
        if value.shape is None:
            raise UnsupportedError(
                f"the model does not say how many axes its input {value.name!r} has", "Declare its shape in the model."
            )
        return tuple(
            size if isinstance(size, int) else self.dim(size if size else f"{value.name}_{axis}")
            for axis, size in enumerate(value.shape)
        )


def make_parameters(model: ModelRecord, freeze: bool) -> dict[str, Node]:
    """The initialisers as nodes: parameters where they are floating-point, unless frozen; else constants."""
    out: dict[str, Node] = {}
    for name, array in model.graph.constants.items():
        floating = as_dtype(array.dtype).is_floating
        out[name] = parameter(name, array) if floating and not freeze else _constant(array)
    return out


def _constant(array: Array) -> Node:
    return Constant(Payload(array))()


def make_inputs(
    model: ModelRecord, names: SizeNames, fixed: Mapping[str, Array], sizes: Mapping[str, int]
) -> dict[str, Node]:
    """The inputs as nodes: placeholders, or constants for those whose value is fixed."""
    out: dict[str, Node] = {}
    for value in model.graph.inputs:
        if value.name in model.graph.constants:
            continue
        shape = names.shape(value)
        if value.name in fixed:
            out[value.name] = _constant(fixed[value.name])
        else:
            bound = [s if isinstance(s, int) else sizes.get(str(s), s) for s in shape]
            out[value.name] = placeholder(value.name, tuple(bound), value.dtype)
    return out


class Builder:
    """Builds the nodes of one model once, for given inputs and answers to what must be known of their values."""

    def __init__(
        self, model: ModelRecord, parameters: Mapping[str, Node], budget: int, answers: Sequence[Array] = ()
    ) -> None:
        self._model, self._parameters, self._budget = model, parameters, budget
        self._statics = Statics(budget, answers)
        self._count = self._depth = 0

    def build(self, inputs: Mapping[str, Node]) -> list[Value]:
        """The outputs of the model, in its order; `Needed` if a value must be known for it."""
        graph = self._model.graph
        environment = {**self._parameters, **inputs}
        self._run(graph.nodes, environment, self._model.opsets)
        outputs: list[Value] = []
        for value in graph.outputs:
            node = environment[value.name]
            if isinstance(node, Nodes) != (value.kind == "sequence"):
                raise ModelError(f"the output {value.name!r} is declared as a {value.kind}, but is none")
            if value.kind == "tensor" and value.dtype is not None and node.dtype is not value.dtype:
                raise ModelError(f"the output {value.name!r} is declared as {value.dtype}, but is {node.dtype}")
            outputs.append(node)
        return outputs

    def _run(self, nodes: Sequence[NodeRecord], environment: Environment, opsets: Mapping[str, int]) -> None:
        for node in nodes:
            made = self._node(node, environment, opsets)
            for name, value in zip(node.outputs, made, strict=False):
                if name and value is not None:
                    environment[name] = value

    def _node(self, record: NodeRecord, environment: Environment, opsets: Mapping[str, int]) -> Sequence[Node | None]:
        self._count += 1
        if self._count > MOST_BUILT:
            raise ModelError(f"the model grows to more than {MOST_BUILT} nodes")
        inputs = []
        for name in record.inputs:
            if name and name not in environment:
                raise ModelError(f"node {record.name!r} ({record.op}) uses {name!r}, which nothing has computed")
            inputs.append(environment[name] if name else None)
        *scopes, last = [part for part in record.name.split("/") if part] or [record.op]
        with ExitStack() as stack:
            for part in scopes:
                stack.enter_context(scope(part))
            function = self._model.functions.get((record.domain, record.op))
            if function is not None:
                stack.enter_context(scope(last))
                return self._function(record, function, inputs)
            made = self._handle(record, inputs, environment, opsets)
            names = [last] if len(record.outputs) == 1 else [name.split("/")[-1] or last for name in record.outputs]
            given = {node for node in inputs if isinstance(node, Node)}
            return [
                node if not isinstance(node, Node) or node in given or isinstance(node.op, Leaf) else node.named(name)
                for node, name in zip(made, names, strict=False)
            ]

    def _handle(
        self, record: NodeRecord, inputs: Sequence[Node | None], environment: Environment, opsets: Mapping[str, int]
    ) -> tuple[Node | None, ...]:
        opset = opsets[record.domain]
        entry = find(record.domain, record.op, opset)
        call = Call(
            record.op,
            record.domain,
            opset,
            record.name,
            inputs,
            record.outputs,
            record.attributes,
            budget=self._budget,
            value_of=self._statics.value,
            sizes_of=self._statics.sizes,
            node_of=environment.get,
            run=lambda graph, nodes: self._subgraph(graph, nodes, environment, opsets),
        )
        if entry is None:
            raise call.unsupported("graphnn does not have it")
        schema = schema_of(record.domain, record.op, opset)
        if schema is not None:
            check_types(call.place, schema, [_kind(value) for value in inputs])
        made = self._invoke(entry, call)
        for i, node in enumerate(made):
            if node is None and call.wants(i):
                raise call.unsupported(f"its output {i} ({record.outputs[i]!r})")
            for part in node.items if isinstance(node, Nodes) else () if node is None else (node,):
                check_size(part, self._budget, call.place)
        missing = [name for name in record.outputs[len(made) :] if name]
        if missing:
            raise call.unsupported(f"its output {missing[0]!r}")
        return made

    def _invoke(self, entry: Entry, call: Call) -> tuple[Node | None, ...]:
        given = len(call.inputs)
        while given > entry.fewest and call.inputs[given - 1] is None:
            given -= 1
        inputs = call.inputs[:given]
        if given < entry.fewest:
            raise call.error(f"it has {given} inputs, but needs {entry.fewest}")
        if entry.most is not None and given > entry.most:
            raise call.error(f"it has {given} inputs, but takes {entry.most} at most")
        try:
            result: Result = entry.handler(call, *inputs)
        except (ModelError, UnsupportedError) as error:
            if call.place in error.headline:
                raise
            raise type(error)(f"{call.place}: {error.headline}", *error.hints) from None
        except GraphnnError as error:
            raise ModelError(f"{call.place}: {error.headline}", *error.hints, operands=error.operands) from error
        except _STUMBLES as error:
            raise ModelError(f"{call.place} cannot be built: {error}") from error
        return result if isinstance(result, tuple) else (result,)

    def _function(
        self, record: NodeRecord, function: FunctionRecord, inputs: Sequence[Node | None]
    ) -> list[Node | None]:
        environment = {name: node for name, node in zip(function.inputs, inputs, strict=False) if node is not None}
        values = {**function.attributes, **record.attributes}
        absent = set(function.inputs) - set(environment)
        nodes = [_instantiate(node, values, absent) for node in function.nodes]
        self._depth += 1
        if self._depth > DEEPEST_CALLS:
            raise ModelError(f"the function {function.name!r} lies in {self._depth - 1} others")
        self._run(nodes, environment, function.opsets)
        self._depth -= 1
        out = [environment.get(name) for name in function.outputs[: len(record.outputs)]]
        for name, node in zip(record.outputs, out, strict=True):
            if name and node is None:
                raise ModelError(f"the function {function.name!r} does not compute the output {name!r}")
        return out

    def _subgraph(
        self, graph: GraphRecord, nodes: Sequence[Node], outer: Environment, opsets: Mapping[str, int]
    ) -> list[Node]:
        if len(nodes) != len(graph.inputs):
            raise ModelError(f"the graph {graph.name!r} has {len(graph.inputs)} inputs, but is given {len(nodes)}")
        inner = {name: _constant(array) for name, array in graph.constants.items()}
        environment = {**outer, **inner, **{v.name: node for v, node in zip(graph.inputs, nodes, strict=True)}}
        self._run(graph.nodes, environment, opsets)
        return [environment[value.name] for value in graph.outputs]


def _kind(value: Value | None) -> DType | str | None:
    """The data type of a tensor; that of the elements of a sequence as a text; None for what is omitted."""
    if isinstance(value, Nodes):
        return f"seq({value.items[0].dtype if value.items else ''})"
    return None if value is None else value.dtype


def _instantiate(node: NodeRecord, values: Mapping[str, Any], absent: set[str]) -> NodeRecord:
    """A node of a function with the attributes of the call in the place of references, and without absent inputs."""
    attributes = {}
    for name, value in node.attributes.items():
        if isinstance(value, Reference):
            if value.name in values:
                attributes[name] = values[value.name]
        elif isinstance(value, GraphRecord):
            inner = tuple(_instantiate(item, values, absent) for item in value.nodes)
            attributes[name] = value._replace(nodes=inner)
        else:
            attributes[name] = value
    inputs = tuple("" if name in absent else name for name in node.inputs)
    return node._replace(inputs=inputs, attributes=attributes)
