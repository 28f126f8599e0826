"""An ONNX model as plain checked records: names are defined once and before they are used, tensors are arrays.

All checks of this file are made in Python, on what protobuf has parsed. The checker of the package onnx is C++ that is known to
end the process on hostile files: it gets to see only what has passed these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from graphnn.errors import ModelError, UnsupportedError, listing
from graphnn.interop.onnx.reading import TensorReader, text
from graphnn.interop.onnx.registry import Array, dtype_name, dtype_of
from graphnn.ir.dtype import DType

MOST_NODES = 1_000_000
DEEPEST = 16  # graphs inside graphs
NEWEST_IR = 20


class ValueRecord(NamedTuple):
    """An input or output of a graph. A size is a number, a name, or None where nothing is said."""

    name: str
    dtype: DType | None
    shape: tuple[int | str | None, ...] | None
    kind: str  # "tensor", or what else it is


class NodeRecord(NamedTuple):
    """One ONNX node."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]  # int, float, str, tuples of these, arrays, GraphRecord, Reference


class Reference(NamedTuple):
    """The value of an attribute inside a function: that of an attribute of the call."""

    name: str
    kind: str


class GraphRecord(NamedTuple):
    """A graph: nodes in an order in which each can be computed."""

    name: str
    inputs: tuple[ValueRecord, ...]
    outputs: tuple[ValueRecord, ...]
    constants: dict[str, Array]
    nodes: tuple[NodeRecord, ...]


class FunctionRecord(NamedTuple):
    """An operator that the model defines itself."""

    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]  # those with a default
    required: tuple[str, ...]
    nodes: tuple[NodeRecord, ...]
    opsets: dict[str, int]


class ModelRecord(NamedTuple):
    """A model: its graph, its own functions, and the versions of the operator sets that it uses."""

    graph: GraphRecord
    functions: dict[tuple[str, str], FunctionRecord]
    opsets: dict[str, int]


def model_record(model: Any, tensors: TensorReader) -> ModelRecord:
    """Check a ModelProto and turn it into records."""
    return _Reader(tensors).model(model)


def domain_of(name: str) -> str:
    """The domain, "" being that of ONNX itself, which has two names."""
    return "" if name == "ai.onnx" else name


class _Reader:
    def __init__(self, tensors: TensorReader) -> None:
        self._tensors = tensors
        self._count = 0

    def model(self, model: Any) -> ModelRecord:
        if not model.HasField("graph"):
            raise ModelError("the model has no graph")
        if not 1 <= model.ir_version <= NEWEST_IR:
            raise UnsupportedError(
                f"the model has the version {model.ir_version} of the ONNX format", "Known is 1 to 20."
            )
        opsets = self._opsets(model.opset_import, "the model")
        if not opsets and model.ir_version < 3:
            opsets = {"": 1}
        if not opsets:
            raise ModelError("the model does not say which operator sets it uses")
        functions = {}
        for proto in model.functions:
            function = self._function(proto, opsets)
            key = (function.domain, function.name)
            if key in functions:
                raise ModelError(f"the function {function.name!r} is defined twice")
            functions[key] = function
        _check_recursion(functions)
        return ModelRecord(self._graph(model.graph, set(), 0), functions, opsets)

    def _opsets(self, imports: Iterable[Any], what: str) -> dict[str, int]:
        opsets: dict[str, int] = {}
        for item in imports:
            domain = domain_of(text(item.domain, f"{what}: the name of an operator set"))
            if opsets.setdefault(domain, item.version) != item.version:
                raise ModelError(f"{what} uses two versions of the operator set {domain or 'ai.onnx'!r}")
            if not 1 <= item.version < 1000:
                raise ModelError(f"{what} uses version {item.version} of the operator set {domain or 'ai.onnx'!r}")
        return opsets

    def _function(self, proto: Any, outer: dict[str, int]) -> FunctionRecord:
        own = text(proto.name, "the name of a function")
        what = f"the function {own!r}"
        if not own:
            raise ModelError("a function has no name")
        inputs, outputs = _texts(proto.input, what), _texts(proto.output, what)
        for names in (inputs, outputs):
            _distinct(names, what)
        defaults = {a.name: self._attribute(a, what, set(), 0) for a in proto.attribute_proto}
        nodes = self._nodes(proto.node, set(inputs), set(), what, 0)
        made = {name for node in nodes for name in node.outputs} | set(inputs)
        for name in outputs:
            if name not in made:
                raise ModelError(f"{what} does not compute its output {name!r}")
        opsets = self._opsets(proto.opset_import, what) or outer
        required, domain = _texts(proto.attribute, what), domain_of(text(proto.domain, what))
        return FunctionRecord(own, domain, inputs, outputs, defaults, required, nodes, opsets)

    def _graph(self, graph: Any, outer: set[str], depth: int) -> GraphRecord:
        own = text(graph.name, "the name of a graph")
        what = f"the graph {own!r}"
        if depth > DEEPEST:
            raise ModelError(f"{what} lies in {depth} other graphs; allowed are {DEEPEST}")
        if graph.sparse_initializer:
            raise UnsupportedError(f"{what} has sparse initialisers")
        inputs = tuple(self._value(info, what) for info in graph.input)
        outputs = tuple(self._value(info, what) for info in graph.output)
        _distinct([value.name for value in inputs], what)
        _distinct([value.name for value in outputs], what)
        constants: dict[str, Array] = {}
        for tensor in graph.initializer:
            name = text(tensor.name, f"{what}: the name of an initialiser")
            if not name:
                raise ModelError(f"{what} has an initialiser without a name")
            if name in constants:
                raise ModelError(f"{what} has two initialisers with the name {name!r}")
            constants[name] = self._tensors.read(tensor, f"the initialiser {name!r}")
        for value in inputs:
            array = constants.get(value.name)
            if array is not None and value.dtype is not None and array.dtype != value.dtype.numpy:
                raise ModelError(f"the initialiser {value.name!r} is {array.dtype.name}, but declared as {value.dtype}")
        known = {value.name for value in inputs} | set(constants)
        clash = known & outer
        if clash:
            raise ModelError(
                f"{what} names a value twice: {listing(sorted(clash))}", "Names are unique, also in inner graphs."
            )
        nodes = self._nodes(graph.node, known, outer, what, depth)
        made = known | {name for node in nodes for name in node.outputs} | outer
        for value in outputs:
            if value.name not in made:
                raise ModelError(f"{what} does not compute its output {value.name!r}")
        return GraphRecord(own, inputs, outputs, constants, nodes)

    def _nodes(self, protos: Any, known: set[str], outer: set[str], what: str, depth: int) -> tuple[NodeRecord, ...]:
        self._count += len(protos)
        if self._count > MOST_NODES:
            raise ModelError(f"the model has more than {MOST_NODES} nodes")
        made: set[str] = set()
        for proto in protos:
            for name in _texts(proto.output, what):
                if name and (name in known or name in made or name in outer):
                    raise ModelError(f"{what} computes {name!r} twice, or it is an input too", "Names are given once.")
                if name:
                    made.add(name)
        visible = known | outer
        records = []
        for i, proto in enumerate(protos):
            record = self._node(proto, i, visible, made, what, depth)
            visible |= {name for name in record.outputs if name}
            records.append(record)
        return tuple(records)

    def _node(self, proto: Any, number: int, visible: set[str], made: set[str], what: str, depth: int) -> NodeRecord:
        given, op = text(proto.name, f"{what}: the name of a node"), text(proto.op_type, f"{what}: an operator")
        inputs, outputs = _texts(proto.input, what), _texts(proto.output, what)
        if not op:
            raise ModelError(f"{what}: node {number} ({given!r}) has no operator")
        place = f"node {given!r} ({op})" if given else f"node {number} ({op})"
        for name in inputs:
            if name and name not in visible:
                later = name in made
                raise ModelError(
                    f"{what}: {place} uses {name!r}, which " + ("comes later" if later else "nothing computes"),
                    "There is a cycle, or the nodes are not in order." if later else "",
                )
        attributes: dict[str, Any] = {}
        for attribute in proto.attribute:
            name = text(attribute.name, f"{what}: the name of an attribute of {place}")
            if not name or name in attributes:
                raise ModelError(f"{what}: {place} has an attribute twice, or without a name: {name!r}")
            attributes[name] = self._attribute(attribute, place, visible, depth)
        own = given or next((name for name in outputs if name), f"{op}_{number}")
        return NodeRecord(op, domain_of(text(proto.domain, place)), own, inputs, outputs, attributes)

    def _attribute(self, attribute: Any, place: str, visible: set[str], depth: int) -> Any:
        what = f"{place}: the attribute {attribute.name!r}"
        kind = _KINDS.get(attribute.type)
        if attribute.ref_attr_name:
            return Reference(text(attribute.ref_attr_name, what), kind or "")
        if kind is None:
            raise UnsupportedError(f"{what} is of an unknown kind: {attribute.type}")
        if kind == "FLOAT":
            return float(attribute.f)
        if kind == "INT":
            return int(attribute.i)
        if kind == "STRING":
            return text(attribute.s, what)
        if kind == "TENSOR":
            return self._tensors.read(attribute.t, what)
        if kind == "GRAPH":
            return self._graph(attribute.g, visible, depth + 1)
        if kind == "FLOATS":
            return tuple(float(item) for item in attribute.floats)
        if kind == "INTS":
            return tuple(int(item) for item in attribute.ints)
        if kind == "STRINGS":
            return tuple(text(item, what) for item in attribute.strings)
        raise UnsupportedError(f"{what} is of the kind {kind}")

    def _value(self, info: Any, what: str) -> ValueRecord:
        own = text(info.name, f"{what}: the name of an input or output")
        if not own:
            raise ModelError(f"{what} has an input or output without a name")
        kind = info.type.WhichOneof("value")
        if kind != "tensor_type":
            return ValueRecord(own, None, None, (kind or "value without a type").removesuffix("_type"))
        tensor = info.type.tensor_type
        dtype = dtype_of(tensor.elem_type)
        shape: tuple[int | str | None, ...] | None = None
        if tensor.HasField("shape"):
            sizes: list[int | str | None] = []
            for dim in tensor.shape.dim:
                if dim.HasField("dim_value"):
                    if dim.dim_value < 0:
                        raise ModelError(f"{own!r} has a negative size: {dim.dim_value}")
                    sizes.append(int(dim.dim_value))
                else:
                    sizes.append(text(dim.dim_param, f"a size of {own!r}") or None)
            shape = tuple(sizes)
            if len(shape) > 32:
                raise ModelError(f"{own!r} has {len(shape)} axes; NumPy and graphnn have 32 at most")
        return ValueRecord(own, dtype, shape, "tensor" if dtype is not None else dtype_name(tensor.elem_type))


# AttributeProto.AttributeType, from the standard.
_KINDS = {
    1: "FLOAT", 2: "INT", 3: "STRING", 4: "TENSOR", 5: "GRAPH", 6: "FLOATS", 7: "INTS", 8: "STRINGS", 9: "TENSORS",
    10: "GRAPHS", 11: "SPARSE_TENSOR", 12: "SPARSE_TENSORS", 13: "TYPE_PROTO", 14: "TYPE_PROTOS",
}  # fmt: skip


def _texts(values: Iterable[Any], what: str) -> tuple[str, ...]:
    return tuple(text(value, f"{what}: a name") for value in values)


def _distinct(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ModelError(f"{what} has the name {name!r} twice among its inputs or outputs")
        seen.add(name)


def _check_recursion(functions: Mapping[tuple[str, str], FunctionRecord]) -> None:
    """Functions may call functions, but none itself; and the calls must not multiply without bounds."""
    cost: dict[tuple[str, str], int] = {}
    open_: set[tuple[str, str]] = set()
    for start in functions:
        stack = [(start, False)]
        while stack:
            key, done = stack.pop()
            called = [(n.domain, n.op) for n in all_nodes(functions[key].nodes) if (n.domain, n.op) in functions]
            if done:
                open_.discard(key)
                cost[key] = len(functions[key].nodes) + sum(cost[other] for other in called)
                if cost[key] > MOST_NODES:
                    raise ModelError(f"the function {key[1]!r} grows to more than {MOST_NODES} nodes")
            elif key not in cost:
                if key in open_:
                    raise ModelError(f"the function {key[1]!r} calls itself")
                open_.add(key)
                stack.append((key, True))
                for other in called:
                    if other in open_:
                        raise ModelError(f"the function {other[1]!r} calls itself")
                    if other not in cost:
                        stack.append((other, False))


def all_nodes(nodes: Iterable[NodeRecord]) -> Iterable[NodeRecord]:
    """The nodes and those of their inner graphs."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        yield node
        for value in node.attributes.values():
            if isinstance(value, GraphRecord):
                stack.extend(value.nodes)
