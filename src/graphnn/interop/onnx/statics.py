"""Values and sizes that are known while the graph is built: constants, and arithmetic on shapes with named sizes in it.

Exporters compute shapes in the graph: Shape -> Gather -> Mul -> Concat -> Reshape. `Statics.sizes` follows such a chain through
the nodes that the handlers made, with sizes as numbers or names, so that the imported network keeps its named sizes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphnn.compile.function import evaluate
from graphnn.errors import ModelError, UnsupportedError
from graphnn.interop.onnx.registry import Array
from graphnn.ir import dims
from graphnn.ir.dims import Dim, Size
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, DimSize, Iota, Parameter, Placeholder, State
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ops.arithmetic import Add, FloorDivide, Multiply, Negative, Positive, Subtract
from graphnn.ops.bitwise import Astype, BitwiseAnd, BitwiseOr, BitwiseXor
from graphnn.ops.comparison import Equal, Greater, Less, LogicalAnd, LogicalNot, LogicalOr, LogicalXor, NotEqual, Where
from graphnn.ops.indexing import Gather
from graphnn.ops.movement import BroadcastTo, Concat, Part, PermuteDims, Reshape, Slice
from graphnn.ops.reduction import Prod, Sum
from graphnn.rewrite.passes import expand_composites

MOST_SIZES = 4096  # the largest array of sizes that is followed
ALL_TOGETHER = 64  # how many times the budget of one array all of a graph may have
_ADVICE = "If you trust the model: load(..., budget=...)."


class Needed(Exception):
    """Building needs the value of a node that depends on inputs, or the numbers behind named sizes."""

    def __init__(self, node: Node, inputs: Iterable[Node] = (), sizes: Iterable[str] = ()) -> None:
        super().__init__("a value is needed to build the graph")
        self.node, self.inputs, self.sizes = node, tuple(inputs), frozenset(sizes)


def check_budget(nodes: Sequence[Node], budget: int, what: str) -> None:
    """Raise ModelError if an array that is computed on the way to these nodes, or all together, have too many elements."""
    total = 0
    for node in topological(expand_composites(nodes, lambda op: False)):
        total += check_size(node, budget, what)
    if total > ALL_TOGETHER * budget:
        raise ModelError(
            f"{what} computes {total} elements in all, more than {ALL_TOGETHER} times the budget of {budget}", _ADVICE
        )


def check_size(node: Node, budget: int, what: str) -> int:
    """The number of elements of a node, named sizes not counted; ModelError if it is more than allowed."""
    total = 1
    for size in node.shape:
        if isinstance(size, int):
            total *= max(size, 1)
    if total > budget:
        raise ModelError(f"{what} asks for an array of {node.spec}, more than the budget of {budget} elements", _ADVICE)
    return total


class Statics:
    """What is known of the nodes of one import.

    Parameters
    ----------
    budget : the number of elements that no array may exceed
    answers : the values of nodes that depend on inputs, in the order in which they are asked for
    """

    def __init__(self, budget: int, answers: Sequence[Array] = ()) -> None:
        self._budget, self._answers = budget, iter(answers)
        self._values: dict[Node, Array] = {}
        self._sizes: dict[Node, Any] = {}

    def value(self, node: Node) -> Array:
        """The value of a node; `Needed` if it depends on inputs or named sizes, and is not among the answers."""
        if isinstance(node.op, Constant):
            return node.op.payload.array
        found = self._values.get(node)
        if found is None:
            found = self._values[node] = self._found(node)
        return found

    def _found(self, node: Node) -> Array:
        nodes = topological([node])
        if any(isinstance(other.op, State) for other in nodes):
            raise UnsupportedError("a value that is needed to build the graph is random")
        check_budget([node], self._budget, "a value that is needed to build the graph")
        inputs = [other for other in nodes if isinstance(other.op, Placeholder)]
        if inputs:
            answer = next(self._answers, None)
            if answer is None:
                raise Needed(node, inputs)
            return answer
        sizes = frozenset(name for other in nodes for name in (*other.op.size_names(), *other.spec.names))
        if sizes:
            raise Needed(node, sizes=sizes)
        array: Array = evaluate(node)
        return array

    def sizes(self, node: Node) -> tuple[Size, ...] | None:
        """A vector of sizes, or a scalar as one; None where it has no named sizes or is no arithmetic on sizes."""
        if node.ndim > 1 or not node.dtype.is_integer:
            return None
        nodes = topological([node], stop=self._sizes)
        if not any(isinstance(other.op, DimSize) or self._sizes.get(other) is not None for other in nodes):
            return None
        for other in nodes:
            if other not in self._sizes:
                self._sizes[other] = self._follow(other)
        table = self._sizes[node]
        if table is None:
            return None
        out = tuple(table.reshape(-1))
        return None if any(item is UNKNOWN for item in out) else out

    def _follow(self, node: Node) -> Any:
        count = node.spec.size
        if isinstance(count, Dim) or count > MOST_SIZES or node.dtype.is_floating:
            return None
        operands = [self._sizes[other] for other in node.inputs]
        if any(operand is None for operand in operands):
            return None
        return follow(node.op, *operands)


class _Unknown:
    """One entry that is not known."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Any = _Unknown()


@functools.singledispatch
def follow(op: Op, *operands: Any) -> Any:
    """The result of an op on object arrays whose entries are ints, bools, named sizes or UNKNOWN; None if it has no rule."""
    return None


def _pointwise(function: Callable[..., Any]) -> Callable[..., Any]:
    def entry(*items: Any) -> Any:
        return UNKNOWN if any(item is UNKNOWN for item in items) else function(*items)

    def rule(op: Op, *operands: Any) -> Any:
        return np.asarray(np.frompyfunc(entry, len(operands), 1)(*operands), object)

    return rule


def _not_negative(size: Size) -> bool:
    return isinstance(size, Dim) and dims.positive_part(size) == size


def _less(a: Any, b: Any) -> Any:
    if isinstance(a, Dim) or isinstance(b, Dim):
        # Sizes are not negative; no more is known of them.
        if _not_negative(a) and isinstance(b, int) and b <= 0:
            return False
        return True if isinstance(a, int) and a < 0 and _not_negative(b) else UNKNOWN
    return a < b


def _equal(a: Any, b: Any) -> Any:
    if isinstance(a, Dim) or isinstance(b, Dim):
        if a == b:
            return True
        return False if (_not_negative(a) and b == -1) or (_not_negative(b) and a == -1) else UNKNOWN
    return a == b


def _not(value: Any) -> Any:
    return UNKNOWN if value is UNKNOWN else not value


def _and(a: Any, b: Any) -> Any:
    if a is False or b is False:
        return False
    if isinstance(a, bool) and isinstance(b, bool):
        return True
    return UNKNOWN


def _or(a: Any, b: Any) -> Any:
    return _not(_and(_not(a), _not(b)))


def _divide(a: Any, b: Any) -> Any:
    return UNKNOWN if isinstance(b, int) and b == 0 else a // b


_POINTWISE: Mapping[type[Op], Callable[..., Any]] = {
    Add: operator.add,
    Subtract: operator.sub,
    Multiply: operator.mul,
    FloorDivide: _divide,
    Negative: operator.neg,
    Positive: lambda a: a,
    Less: _less,
    Greater: lambda a, b: _less(b, a),
    Equal: _equal,
    NotEqual: lambda a, b: _not(_equal(a, b)),
    LogicalNot: operator.not_,
    LogicalXor: operator.ne,
}
for _op, _function in _POINTWISE.items():
    follow.register(_op, _pointwise(_function))


@follow.register(LogicalAnd)
@follow.register(BitwiseAnd)
def _(op: Op, a: Any, b: Any) -> Any:
    return np.asarray(np.frompyfunc(_and, 2, 1)(a, b), object)


@follow.register
def _(op: BitwiseXor, a: Any, b: Any) -> Any:
    if not all(item is UNKNOWN or isinstance(item, bool) for item in (*a.reshape(-1), *b.reshape(-1))):
        return None
    return _pointwise(operator.ne)(op, a, b)


@follow.register(LogicalOr)
@follow.register(BitwiseOr)
def _(op: Op, a: Any, b: Any) -> Any:
    return np.asarray(np.frompyfunc(_or, 2, 1)(a, b), object)


@follow.register
def _(op: Where, condition: Any, a: Any, b: Any) -> Any:
    def choose(c: Any, x: Any, y: Any) -> Any:
        return UNKNOWN if c is UNKNOWN else x if c else y

    return np.asarray(np.frompyfunc(choose, 3, 1)(condition, a, b), object)


@follow.register
def _(op: Constant) -> Any:
    return op.payload.array.astype(object)


@follow.register
def _(op: DimSize) -> Any:
    out = np.empty((), object)
    out[()] = op.size
    return out


@follow.register
def _(op: Iota) -> Any:
    return np.arange(op.size).astype(object) if isinstance(op.size, int) else None


@follow.register
def _(op: Astype, x: Any) -> Any:
    if not (op.dtype.is_integer or op.dtype.kind == "bool"):
        return None
    if op.dtype.is_integer:  # truth values become numbers
        return np.asarray(np.frompyfunc(lambda v: int(v) if isinstance(v, bool) else v, 1, 1)(x), object)
    return x if all(isinstance(item, bool) for item in x.reshape(-1)) else None


@follow.register
def _(op: Reshape, x: Any) -> Any:
    return None if op.size_names() else x.reshape(op.shape)


@follow.register
def _(op: PermuteDims, x: Any) -> Any:
    return x.transpose(op.axes)


@follow.register
def _(op: BroadcastTo, x: Any) -> Any:
    return np.broadcast_to(x, op.shape) if not op.size_names() else None  # type: ignore[arg-type]


@follow.register
def _(op: Concat, *parts: Any) -> Any:
    return np.concatenate(parts, axis=op.axis)


@follow.register
def _(op: Part, x: Any) -> Any:
    if isinstance(op.start, Dim) or isinstance(op.size, Dim):
        return None
    return x[(slice(None),) * op.axis + (slice(op.start, op.start + op.size),)]


@follow.register
def _(op: Slice, x: Any) -> Any:
    return x[tuple(slice(*cut) for cut in op.cuts)]


@follow.register
def _(op: Gather, x: Any, *indices: Any) -> Any:
    if op.axes != tuple(range(len(indices))):
        return None
    whole = [i for i in indices if all(isinstance(item, int) for item in i.reshape(-1))]
    if len(whole) < len(indices):
        return None
    try:
        return np.asarray(x[tuple(i.astype(np.int64) for i in whole)], object)
    except IndexError:  # it will be reported when the graph runs
        return None


@follow.register
def _(op: Sum, x: Any) -> Any:
    return _reduce(operator.add, 0, op, x)


@follow.register
def _(op: Prod, x: Any) -> Any:
    return _reduce(operator.mul, 1, op, x)


def _reduce(function: Callable[[Any, Any], Any], start: int, op: Any, x: Any) -> Any:
    if x.ndim != 1 or op.axes != (0,) or any(item is UNKNOWN for item in x):
        return None
    out = np.empty((1,) if op.keepdims else (), object)
    out[...] = functools.reduce(function, x, start)
    return out


def is_variable(node: Node) -> bool:
    """Whether a node is a leaf that keeps its value between calls."""
    return isinstance(node.op, (Parameter, State))
