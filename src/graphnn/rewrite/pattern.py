"""Patterns: graphs with variables, written as any other graph, and matched against nodes.

A variable stands for any node, whatever its shape and data type: the spec that it has itself is there only so that a
pattern can be built by the ordinary functions and operators. Numbers in a pattern match scalar constants of the same
value; operations match operations of the same class with equal fields, commutative ones in both orders.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from graphnn.errors import GraphError
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import DType, as_dtype, float64
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, Iota, Payload
from graphnn.ir.node import Node, build, check_name
from graphnn.ir.op import Leaf, Op
from graphnn.ir.source import apart
from graphnn.ir.spec import Spec, as_shape
from graphnn.ops.composite import Composite, Definition

Head: TypeAlias = "type[Op] | Definition[Any]"
"""What kind of operation a node is: the class of its op, or for a composite its definition."""
Found: TypeAlias = dict[str, Any]
"""What a match found: nodes by the names of variables, values by the names of free fields."""


class Variable(Leaf):
    """A variable of a pattern: any node, or any number"""

    number: bool = False

    def infer(self, *specs: Spec) -> Spec:
        raise GraphError("a variable of a pattern has no value", "It belongs in rewrite.rule(...) only.")


def var(name: str, shape: Any = (), dtype: Any = float64, *, number: bool = False) -> Node:
    """A variable of a pattern: it matches any node, of any shape and data type.

    The same variable in two places matches only the same node (or equal numbers) in both.

    Parameters
    ----------
    name : what ``where=`` and a function on the right side call it
    shape, dtype : what the functions that build the pattern see; matching does not look at them
    number : whether it matches only scalar constants, of the data type of what they stand beside

    >>> from graphnn.rewrite import var
    >>> x = var("x")
    >>> gn.log(1 + x)
    log(add(…)): float64[]
    """
    with apart():
        made: Node = build(Variable(number), (), Spec(as_shape(shape), as_dtype(dtype)), name=check_name(name))
    return made


def head_of(op: Op) -> Head:
    """The class of an op, or for a composite its definition."""
    return op.definition if type(op) is Composite else type(op)


def fields_of(op: Op) -> dict[str, Any]:
    """The fields of an op by name; of a composite, its options."""
    return dict(op.options) if type(op) is Composite else op.fields()


def with_fields(op: Op, fields: Mapping[str, Any]) -> Op:
    """The same op with other fields, or options."""
    if type(op) is Composite:
        return Composite(op.definition, tuple((key, fields.get(key, value)) for key, value in op.options))
    return dataclasses.replace(op, **fields)


class Part(NamedTuple):
    """One node of a pattern, ready to be matched: a variable, a number, or an operation."""

    name: str | None  # of a variable
    any_number: bool  # is it a variable for scalar constants?
    number: float | None  # of a constant
    head: Head | None
    fields: tuple[tuple[str, Any], ...]
    free: tuple[str, ...]
    operands: tuple[Part, ...]
    commutative: bool
    has_number: bool  # one of two operands is a number

    @property
    def is_number(self) -> bool:
        """Whether it matches scalar constants only."""
        return self.any_number or self.number is not None

    @property
    def twins(self) -> bool:
        """Whether its two operands are the same variable."""
        return len(self.operands) == 2 and self.operands[0].name is not None and self.operands[0] == self.operands[1]


def compiled(root: Node, free: tuple[str, ...]) -> Part:
    """A pattern as parts."""
    made: dict[Node, Part] = {}
    for node in topological([root]):
        op = node.op
        if isinstance(op, Variable):
            made[node] = Part(node.name, op.number, None, None, (), (), (), False, False)
            continue
        if isinstance(op, Constant) and node.ndim == 0:
            made[node] = Part(None, False, op.payload.array.item(), None, (), (), (), False, False)
            continue
        if isinstance(op, Leaf) and not isinstance(op, Iota):
            raise GraphError(
                f"a pattern is made of variables, numbers and operations, not of the {op.name} {node.label}",
                'Variables are made by rewrite.var("x").',
            )
        fields = fields_of(op)
        operands = tuple(made[operand] for operand in node.inputs)
        made[node] = Part(
            None,
            False,
            None,
            head_of(op),
            tuple((key, value) for key, value in fields.items() if key not in free),
            tuple(key for key in fields if key in free),
            operands,
            op.commutative and len(operands) == 2,
            len(operands) == 2 and any(operand.is_number for operand in operands),
        )
    return made[root]


def matches(part: Part, node: Node, found: Found) -> Iterator[Found]:
    """All ways in which the operation of a pattern matches a node, given what was found before."""
    op = node.op
    if head_of(op) is not part.head or len(node.inputs) != len(part.operands):
        return
    if part.has_number and node.inputs[0].dtype is not node.inputs[1].dtype:
        return  # a number that widens what it stands beside is not only a number
    if part.fields or part.free:
        fields = fields_of(op)
        if any(fields[key] != value for key, value in part.fields):
            return
        for key in part.free:
            if key in found and found[key] != fields[key]:
                return
        if part.free:
            found = {**found, **{key: fields[key] for key in part.free}}
    yield from _operands(part.operands, node.inputs, found)
    if part.commutative:
        yield from _operands(part.operands, node.inputs[::-1], found)


def _operands(parts: tuple[Part, ...], nodes: tuple[Node, ...], found: Found) -> Iterator[Found]:
    for i, part in enumerate(parts):
        if part.head is not None:  # patterns are a few levels deep, so this recursion is too
            for first in matches(part, nodes[i], found):
                yield from _operands(parts[i + 1 :], nodes[i + 1 :], first)
            return
        node = nodes[i]
        if part.is_number:
            if not isinstance(node.op, Constant) or node.ndim:
                return
            if part.number is not None:
                if not is_number(node.op.payload.array, part.number):
                    return
                continue
        known = found.get(str(part.name))
        if known is None:
            found = {**found, str(part.name): node}
        elif known is not node and not _same_number(known, node):
            return
    yield found


def _same_number(a: Node, b: Node) -> bool:
    # Rules make numbers of their own, which are merged only later.
    if not (isinstance(a.op, Constant) and isinstance(b.op, Constant)):
        return False
    return a.ndim == b.ndim == 0 and a.dtype is b.dtype and a.op.payload.array.tobytes() == b.op.payload.array.tobytes()


def is_number(array: Array, value: float) -> bool:
    """Whether an array is a scalar of this value: rounded to its data type, and with the same sign of zero."""
    if array.dtype.kind in "iu" or isinstance(value, bool) or array.dtype.kind == "b":
        same_kind = (array.dtype.kind == "b") == isinstance(value, bool)
        return same_kind and bool(array.item() == value) and not (value == 0 and math.copysign(1, value) < 0)
    number: Any = array.dtype.type(value)
    return bool(array == number) and bool(np.signbit(array)) == bool(np.signbit(number))


class Template:
    """The right side of a rule, ready to be built for what a match found."""

    def __init__(self, root: Node, free: tuple[str, ...]) -> None:
        self.root, self.free = root, free
        self.nodes = topological([root])
        self.names = {node.name: node for node in self.nodes if isinstance(node.op, Variable) and node.name}

    def build(self, found: Found, out: Node) -> Node:
        """The nodes for a match; `out` is the node that is replaced."""
        made: dict[Node, Node] = {}
        for node in self.nodes:
            op = node.op
            if isinstance(op, Variable):
                made[node] = found[str(node.name)]
            elif isinstance(op, Constant):
                continue  # it takes the data type of what it stands beside
            else:
                operands = [made[n] if n in made else _number(n, node, made, self.root, out) for n in node.inputs]
                chosen = {key: found[key] for key in fields_of(op) if key in self.free and key in found}
                made[node] = (with_fields(op, chosen) if chosen else op)(*operands)
        return made[self.root]


def _number(number: Node, reader: Node, made: Mapping[Node, Node], root: Node, out: Node) -> Node:
    dtype: DType = out.dtype if number.dtype is root.dtype else number.dtype
    for operand in reader.inputs:
        if operand in made and operand.dtype is number.dtype:
            dtype = made[operand].dtype
            break
    assert isinstance(number.op, Constant)
    return Constant(Payload(number.op.payload.array.astype(dtype.numpy)))()
