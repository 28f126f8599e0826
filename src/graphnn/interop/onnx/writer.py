"""Nodes -> ONNX nodes: what the rules for single operations share.

A rule is a function ``rule(op, node, out, *names)``, registered for the class of the operation with ``@to_onnx.register``. It
gets the names of the values of the inputs, adds ONNX nodes with ``out.emit(...)`` and gives the name of the result. Composites
that ONNX has too are written under their name by a rule of `NAMED`; all others are written as their bodies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

from graphnn.errors import UnsupportedError
from graphnn.interop.onnx.reading import import_onnx
from graphnn.interop.onnx.registry import Array, onnx_number
from graphnn.ir.dims import Dim, Quotient, Size
from graphnn.ir.dtype import DType, as_dtype, bfloat16, bool_, float32, int32, int64
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, DimSize, Iota, Parameter, Placeholder, State, Variable
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ops.composite import Composite

OPSET = 20
"""The version of the operator set that is written: the newest one that all common runtimes have."""

IR_VERSION = 9

Rule: TypeAlias = Callable[..., "str | None"]
R = TypeVar("R", bound=Rule)

NAMED: dict[str, Rule] = {}
"""Rules of composites by name; one may give None to have the body written."""

# The data types that the CPU kernels of onnxruntime have, where they are fewer than those of the standard. What is
# missing is computed in a wider type.
_WIDE_FLOATS = frozenset({"float32", "float64", "float16"})
_COMMON = _WIDE_FLOATS | {"int32", "int64"}
KERNELS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Greater", "Less", "CumSum", "ReduceSum", "Einsum", "TopK"), _COMMON),
    **dict.fromkeys(("GreaterOrEqual", "LessOrEqual", "Pow", "ReduceProd", "ReduceMax", "ReduceMin"), _COMMON),
    "Equal": _COMMON | {"bool"},
    "MatMul": _COMMON | {"uint32", "uint64"},
    "Max": _COMMON | {"uint32", "uint64"},
    "Min": _COMMON | {"uint32", "uint64"},
    "Neg": _COMMON | {"int8"},
    "Where": _COMMON | {"uint8"},
    "ArgMax": _WIDE_FLOATS | {"int32", "int8", "uint8"},
    "ArgMin": _WIDE_FLOATS | {"int32"},
    "Pad": _COMMON | {"bool", "int8", "uint8", "uint32", "uint64"},
}


def named(name: str) -> Callable[[R], R]:
    """Register the rule of a composite."""

    def register(rule: R) -> R:
        NAMED[name] = rule
        return rule

    return register


@functools.singledispatch
def to_onnx(op: Op, node: Node, out: Writer, *names: str) -> str:
    """Write one node; gives the name of its value."""
    raise UnsupportedError(
        f"ONNX has no operator for {op.name}, which {node.label} computes",
        f"It comes from {node.source}." if node.source is not None else "",
    )


class Writer:
    """Collects ONNX nodes and initialisers, and knows the names of the values."""

    def __init__(self, inputs: Sequence[Node], input_names: Sequence[str], reserved: Sequence[str] = ()) -> None:
        onnx = import_onnx()
        self._helper, self._numpy = onnx.helper, onnx.numpy_helper
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._taken: set[str] = {"", *input_names, *reserved}
        self._names: dict[Node, str] = dict(zip(inputs, input_names, strict=True))
        self._constants: dict[Any, str] = {}
        self._sizes: dict[Size, str] = {}
        self._bound: dict[str, tuple[str, int]] = {}
        self._atoms: dict[str, str] = {}
        self._permuted: dict[tuple[str, tuple[int, ...]], str] = {}
        for node, name in zip(inputs, input_names, strict=True):
            for axis, size in enumerate(node.shape):
                if isinstance(size, Dim) and str(size) in size.names:
                    self._bound.setdefault(str(size), (name, axis))

    # Names

    def fresh(self, wish: str) -> str:
        """A name that is not taken yet."""
        name, i = wish, 0
        while name in self._taken:
            i += 1
            name = f"{wish}_{i}"
        self._taken.add(name)
        return name

    def name(self, node: Node) -> str:
        """The name of the value of a node that has been written."""
        return self._names[node]

    def rename(self, name: str, final: str) -> bool:
        """Give a value another, reserved name; False where it is not the output of a node."""
        producer = next((node for node in reversed(self.nodes) if name in node.output), None)
        if producer is None:
            return False
        producer.output[list(producer.output).index(name)] = final
        self._replace(name, final)
        return True

    def _replace(self, name: str, final: str) -> None:
        for node in self.nodes:
            for i, used in enumerate(node.input):
                if used == name:
                    node.input[i] = final

    def copy(self, name: str, final: str) -> None:
        """The same value under a reserved name."""
        self.nodes.append(self._helper.make_node("Identity", [name], [final], name=final))

    # Nodes

    def emit(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX node with one output; gives the name of that."""
        return self.emit_many(operator, *inputs, outputs=1, **attributes)[0]

    def emit_many(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> tuple[str, ...]:
        """Add an ONNX node; gives the names of its outputs."""
        names = tuple(self.fresh(operator) for _ in range(outputs))
        self.nodes.append(self._helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names

    def compute(self, operator: str, dtype: DType, *inputs: str, result: DType | None = None, **attributes: Any) -> str:
        """Add an ONNX node on values of one data type; where runtimes lack that type, it is computed in a wider one.

        `result` is the data type of its output where that is not the one of the inputs.
        """
        wide = wider(operator, dtype)
        if wide is dtype:
            return self.emit(operator, *inputs, **attributes)
        made = self.emit(operator, *(self.cast(name, wide) for name in inputs), **attributes)
        return made if result is not None else self.cast(made, dtype)

    def compute_with(self, operator: str, dtype: DType, x: str, *others: str, **attributes: Any) -> str:
        """The same for an operator of which only the first input has the data type; the others say how."""
        wide = wider(operator, dtype)
        if wide is dtype:
            return self.emit(operator, x, *others, **attributes)
        return self.cast(self.emit(operator, self.cast(x, wide), *others, **attributes), dtype)

    def cast(self, name: str, dtype: DType) -> str:
        """A value in another data type."""
        return self.emit("Cast", name, to=onnx_number(dtype))

    def constant(self, array: Any, dtype: DType | None = None, wish: str = "constant") -> str:
        """A fixed array; equal ones are one."""
        value: Array = np.asarray(array, None if dtype is None else dtype.numpy)
        key = (value.dtype.name, value.shape, value.tobytes())
        if key not in self._constants:
            self._constants[key] = self.initializer(value, wish)
        return self._constants[key]

    def initializer(self, value: Array, wish: str) -> str:
        """An array in the file."""
        name = self.fresh(wish)
        plain = np.ascontiguousarray(value).reshape(value.shape)
        tensor = self._helper.make_tensor(
            name, onnx_number(as_dtype(plain.dtype)), plain.shape, plain.tobytes(), raw=True
        )
        self.initializers.append(tensor)
        return name

    def ints(self, *values: int) -> str:
        """An int64 vector."""
        return self.constant(np.array(values, np.int64))

    def permuted(self, node: Node, axes: Sequence[int]) -> str:
        """The value of a node with its axes in another order; that of a parameter or constant is stored so."""
        name = self._names[node]
        key = (name, tuple(axes))
        if key not in self._permuted:
            if key[1] == tuple(range(node.ndim)):
                return name
            if isinstance(node, Variable):
                self._permuted[key] = self.initializer(node.value.transpose(axes), name)
            elif isinstance(node.op, Constant):
                self._permuted[key] = self.constant(node.op.payload.array.transpose(axes))
            else:
                self._permuted[key] = self.emit("Transpose", name, perm=list(axes))
        return self._permuted[key]

    def finish(self, outputs: Sequence[str]) -> None:
        """Leave out initialisers that no node uses; what is stored permuted in their place takes their name."""
        used = {name for node in self.nodes for name in node.input} | set(outputs)
        self.initializers = [tensor for tensor in self.initializers if tensor.name in used]
        kept = {tensor.name: tensor for tensor in self.initializers}
        for (original, _), name in self._permuted.items():
            if original not in used and name in kept and original not in kept:
                kept[original] = kept[name]
                kept[name].name = original
                self._replace(name, original)

    # Sizes

    def shape(self, sizes: Iterable[Size]) -> str:
        """A shape as an int64 vector, which is computed where it has named sizes."""
        shape = tuple(sizes)
        if all(isinstance(size, int) for size in shape):
            return self.ints(*shape)  # type: ignore[arg-type]
        parts = [self.ints(s) if isinstance(s, int) else self._vector(self.size(s)) for s in shape]
        return parts[0] if len(parts) == 1 else self.emit("Concat", *parts, axis=0)

    def _vector(self, scalar: str) -> str:
        return self.emit("Reshape", scalar, self.ints(1))

    def size(self, size: Size) -> str:
        """A size as an int64 scalar."""
        if isinstance(size, int):
            return self.constant(size, int64)
        if size not in self._sizes:
            self._sizes[size] = self._computed(size)
        return self._sizes[size]

    def _computed(self, size: Dim) -> str:
        total = None
        for factors, number in size.terms.items():
            parts = [self._atom(atom) for atom, power in factors for _ in range(power)]
            if number != 1 or not parts:
                parts.append(self.constant(number, int64))
            term = functools.reduce(lambda a, b: self.emit("Mul", a, b), parts)
            total = term if total is None else self.emit("Add", total, term)
        assert total is not None
        return total

    def _atom(self, atom: Any) -> str:
        if isinstance(atom, str):
            if atom not in self._bound:
                raise UnsupportedError(f"the size {atom!r} is not the size of an axis of an input")
            if atom not in self._atoms:
                name, axis = self._bound[atom]
                self._atoms[atom] = self.emit(
                    "Squeeze", self.emit("Shape", name, start=axis, end=axis + 1), self.ints(0)
                )
            return self._atoms[atom]
        if isinstance(atom, Quotient):  # sizes are not negative, so truncated is rounded down
            return self.emit("Div", self.size(atom.numerator), self.size(atom.denominator))
        return self.emit("Max", self.size(atom.size), self.constant(0, int64))

    # Graphs

    def run(self, outputs: Sequence[Node]) -> list[str]:
        """Write what is missing of these nodes and all they need; gives their names."""
        for node in topological(outputs, stop=self._names):
            if node not in self._names:
                self._names[node] = self._write(node)
        return [self._names[node] for node in outputs]

    def _write(self, node: Node) -> str:
        before = len(self.nodes)
        name = self._value(node)
        if node.name is not None and len(self.nodes) > before and self.nodes[-1].output[0] == name:
            # The last node made the value: it gets the name that the user gave.
            wish = self.fresh("/".join([*node.scope, node.name]))
            self.nodes[-1].output[0] = self.nodes[-1].name = wish
            name = wish
        return name

    def _value(self, node: Node) -> str:
        op = node.op
        if isinstance(op, Composite):
            names = [self._names[operand] for operand in node.inputs]
            rule = NAMED.get(op.name) if node.dtype is not bfloat16 else None
            written = rule(op, node, self, *names) if rule is not None else None
            return written if written is not None else self.run([op.expand(*node.inputs)])[0]
        if isinstance(node, Variable) and isinstance(op, (Parameter, State)):
            return self.initializer(node.value, node.name or "parameter")
        if isinstance(op, Constant):
            return self.constant(op.payload.array, wish=node.name or "constant")
        if isinstance(op, DimSize):
            scalar = self.size(op.size)
            return scalar if op.dtype is int64 else self.cast(scalar, op.dtype)
        if isinstance(op, Iota):
            return self._iota(op)
        if isinstance(op, Placeholder):
            raise UnsupportedError(f"the input {node.label} is not among those of the function")
        return to_onnx(op, node, self, *[self._names[operand] for operand in node.inputs])

    def _iota(self, op: Iota) -> str:
        if isinstance(op.size, int) and op.size <= 4096:
            return self.constant(np.arange(op.size), op.dtype)
        made = self.emit("Range", self.constant(0, int64), self.size(op.size), self.constant(1, int64))
        return made if op.dtype is int64 else self.cast(made, op.dtype)


def wider(operator: str, dtype: DType) -> DType:
    """The data type in which an operator is computed: the same, or one that holds all its values and has a kernel."""
    if dtype is bfloat16:
        return float32
    have = KERNELS.get(operator)
    if have is None or dtype.name in have or dtype.is_floating:
        return dtype
    if dtype is bool_ or dtype.bits < 32:
        return int32
    return int64
