"""Node: one value of a graph. An op, its inputs, its spec, and where it comes from.

Nodes are immutable and compared by identity in the library; for users ``==`` is element-wise like the other operators.
The operators themselves live in `graphnn.ops`; they are bound late, through the table `OPERATORS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import numpy as np

from graphnn.errors import GraphError, GraphnnError, NodeUseError, Operand, UnknownNameError, nearest
from graphnn.ir.dtype import DType
from graphnn.ir.elsewhere import ELSEWHERE
from graphnn.ir.op import Op, set_node_maker
from graphnn.ir.source import Origin, Source, current_context, user_source
from graphnn.ir.spec import Shape, Spec

OperandLike: TypeAlias = "Node | np.ndarray[Any, Any] | np.generic | bool | int | float"
"""What may stand beside a node in an expression."""

OPERATORS: dict[str, Callable[..., Node]] = {}
"""The functions behind the operators and methods of Node, by name; filled by `graphnn.ops` and `graphnn.functions`."""

HOOKS: dict[str, Callable[..., Any]] = {}
"""What else higher floors add to nodes and graphs: ``at``, and how notebooks show them (``mimebundle``)."""

# What ``array + node`` asks for: NumPy, being on the left, is asked first, and hands the operation on to the node.
_UFUNCS: dict[Any, str] = {
    np.add: "add", np.subtract: "subtract", np.multiply: "multiply", np.divide: "divide", np.power: "pow",
    np.floor_divide: "floor_divide", np.remainder: "remainder", np.matmul: "matmul", np.bitwise_and: "bitwise_and",
    np.bitwise_or: "bitwise_or", np.bitwise_xor: "bitwise_xor", np.left_shift: "bitwise_left_shift",
    np.right_shift: "bitwise_right_shift", np.less: "less", np.less_equal: "less_equal", np.greater: "greater",
    np.greater_equal: "greater_equal", np.equal: "equal", np.not_equal: "not_equal",
}  # fmt: skip

_count = itertools.count()


class Node:
    """One value in a graph: an op applied to input nodes.

    Attributes
    ----------
    op : what it computes
    inputs : the nodes it is computed from
    spec : its shape and data type
    name : the user's name for it, or None
    source : the user's line that built it
    scope : the name scopes it was built in
    origin : for a node of a derivative, the pass and the node that it serves
    index : nodes are numbered as they are built, so inputs have smaller numbers
    """

    __slots__ = ("__weakref__", "index", "inputs", "name", "op", "origin", "scope", "source", "spec")
    op: Op
    inputs: tuple[Node, ...]
    spec: Spec
    name: str | None
    source: Source | None
    scope: tuple[str, ...]
    origin: Origin | None
    index: int

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"nodes are immutable: cannot set {name!r} of {self!r}; make a new node instead")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"nodes are immutable: cannot delete {name!r} of {self!r}")

    @property
    def shape(self) -> Shape:
        """The sizes of its axes, each an int or a named `Dim`."""
        return self.spec.shape

    @property
    def dtype(self) -> DType:
        """Its data type."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return len(self.spec.shape)

    @property
    def label(self) -> str:
        """How messages and pictures call it: the user's name, or a short expression such as ``relu(…)``."""
        if self.name is not None:
            return printable(self.name)
        return f"{self.op.name}(…)" if self.inputs else self.op.label

    def named(self, name: str) -> Node:
        """The same value under a name of the user's, which pictures, errors and traces then use."""
        if self.op.name == "placeholder":  # under another name it would be another input
            raise GraphError(f"the input {self.label!r} cannot be renamed", "Give its name when you make it.")
        renamed: Node = build(self.op, self.inputs, self.spec, name=check_name(name), like=self)
        return renamed

    def __repr__(self) -> str:
        call = f"{self.op.name}({', '.join(node.label for node in self.inputs[:6])}{', …' * (len(self.inputs) > 6)})"
        prefix = f"{self.label} = " if self.name is not None else ""
        return f"{prefix}{call if self.inputs else self.op.name}: {self.spec}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, Any]:
        show = HOOKS.get("mimebundle")
        return {"text/plain": repr(self)} if show is None else show(self, include, exclude)

    # --- operators: each asks the table, which later floors fill ---

    def __add__(self, other: OperandLike) -> Node:
        return OPERATORS["add"](self, other)

    def __radd__(self, other: OperandLike) -> Node:
        return OPERATORS["add"](other, self)

    def __sub__(self, other: OperandLike) -> Node:
        return OPERATORS["subtract"](self, other)

    def __rsub__(self, other: OperandLike) -> Node:
        return OPERATORS["subtract"](other, self)

    def __mul__(self, other: OperandLike) -> Node:
        return OPERATORS["multiply"](self, other)

    def __rmul__(self, other: OperandLike) -> Node:
        return OPERATORS["multiply"](other, self)

    def __truediv__(self, other: OperandLike) -> Node:
        return OPERATORS["divide"](self, other)

    def __rtruediv__(self, other: OperandLike) -> Node:
        return OPERATORS["divide"](other, self)

    def __floordiv__(self, other: OperandLike) -> Node:
        return OPERATORS["floor_divide"](self, other)

    def __rfloordiv__(self, other: OperandLike) -> Node:
        return OPERATORS["floor_divide"](other, self)

    def __mod__(self, other: OperandLike) -> Node:
        return OPERATORS["remainder"](self, other)

    def __rmod__(self, other: OperandLike) -> Node:
        return OPERATORS["remainder"](other, self)

    def __pow__(self, other: OperandLike) -> Node:
        return OPERATORS["pow"](self, other)

    def __rpow__(self, other: OperandLike) -> Node:
        return OPERATORS["pow"](other, self)

    def __matmul__(self, other: OperandLike) -> Node:
        return OPERATORS["matmul"](self, other)

    def __rmatmul__(self, other: OperandLike) -> Node:
        return OPERATORS["matmul"](other, self)

    def __and__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_and"](self, other)

    def __rand__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_and"](other, self)

    def __or__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_or"](self, other)

    def __ror__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_or"](other, self)

    def __xor__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_xor"](self, other)

    def __rxor__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_xor"](other, self)

    def __lshift__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_left_shift"](self, other)

    def __rlshift__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_left_shift"](other, self)

    def __rshift__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_right_shift"](self, other)

    def __rrshift__(self, other: OperandLike) -> Node:
        return OPERATORS["bitwise_right_shift"](other, self)

    def __lt__(self, other: OperandLike) -> Node:
        return OPERATORS["less"](self, other)

    def __le__(self, other: OperandLike) -> Node:
        return OPERATORS["less_equal"](self, other)

    def __gt__(self, other: OperandLike) -> Node:
        return OPERATORS["greater"](self, other)

    def __ge__(self, other: OperandLike) -> Node:
        return OPERATORS["greater_equal"](self, other)

    def __eq__(self, other: object) -> Node:  # type: ignore[override]
        return OPERATORS["equal"](self, other)

    def __ne__(self, other: object) -> Node:  # type: ignore[override]
        return OPERATORS["not_equal"](self, other)

    __hash__ = object.__hash__

    def __neg__(self) -> Node:
        return OPERATORS["negative"](self)

    def __pos__(self) -> Node:
        return OPERATORS["positive"](self)

    def __abs__(self) -> Node:
        return OPERATORS["abs"](self)

    def __invert__(self) -> Node:
        return OPERATORS["bitwise_invert"](self)

    def __getitem__(self, key: Any) -> Node:
        return OPERATORS["getitem"](self, key)

    @property
    def at(self) -> Any:
        """``x.at[index].set(v)`` and ``x.at[index].add(v)``: x with some elements changed, as a new node."""
        return HOOKS["at"](self)

    @property
    def T(self) -> Node:
        """The transpose of a matrix."""
        return OPERATORS["T"](self)

    @property
    def mT(self) -> Node:
        """The last two axes exchanged."""
        return OPERATORS["matrix_transpose"](self)

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Node:
        """See `graphnn.sum`."""
        return OPERATORS["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Node:
        """See `graphnn.mean`."""
        return OPERATORS["mean"](self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Node:
        """See `graphnn.max`."""
        return OPERATORS["max"](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Node:
        """See `graphnn.min`."""
        return OPERATORS["min"](self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Node:
        """See `graphnn.argmax`."""
        return OPERATORS["argmax"](self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Node:
        """See `graphnn.reshape`; takes ``x.reshape((2, 3))`` and ``x.reshape(2, 3)``."""
        return OPERATORS["reshape"](self, shape[0] if len(shape) == 1 else shape)

    def astype(self, dtype: Any) -> Node:
        """See `graphnn.astype`."""
        return OPERATORS["astype"](self, dtype)

    # --- what a node is not ---

    def __bool__(self) -> NoReturn:
        raise _not_a_value(
            self,
            "is neither true nor false: it has no value while the graph is built",
            "Use gn.where(condition, a, b) to choose element by element, or & | ~ for logic. "
            "To ask whether two nodes are the same node, write `a is b`.",
        )

    def __len__(self) -> NoReturn:
        raise _not_a_value(self, "has no len()", "Use node.shape[0], or gn.dim_size(node, 0) inside the graph.")

    def __iter__(self) -> NoReturn:
        raise _not_a_value(self, "cannot be iterated over", "Index it, node[i], or compute with whole arrays.")

    def __contains__(self, item: object) -> NoReturn:
        raise _not_a_value(self, "does not support `in`", "Use gn.any(node == value).")

    def __float__(self) -> NoReturn:
        raise _not_a_value(self, "has no number yet", "Compute it: float(gn.evaluate(node, {x: array})).")

    def __int__(self) -> NoReturn:
        raise _not_a_value(self, "has no number yet", "Compute it: int(gn.evaluate(node, {x: array})).")

    def __index__(self) -> NoReturn:
        raise _not_a_value(self, "has no number yet", "Python needs a number here; sizes and axes are static.")

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Node:
        if "out" in options:
            raise _not_a_value(self, "cannot be written into a NumPy array", "Make a new node: y = array + node.")
        if method != "__call__" or options or ufunc not in _UFUNCS:
            raise _not_for_numpy(self, ufunc.__name__)
        return OPERATORS[_UFUNCS[ufunc]](*operands)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise _not_for_numpy(self, function.__name__)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise _not_a_value(
            self,
            "is not an array: it has no value while the graph is built",
            "Join nodes with gn.stack([a, b]) or gn.concat; a value is computed by gn.evaluate(node, {x: array}).",
        )

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise _not_a_value(self, "cannot be changed in place", "Make a new one: y = x.at[index].set(value).")

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise _not_a_value(
            self, "cannot be called", "Compile it: f = gn.function([x], node); or use gn.evaluate(node, {x: array})."
        )

    def __copy__(self) -> Node:
        return self  # nothing of it can change

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise _not_a_value(
            self,
            "cannot be pickled",
            "Save values instead: model.get_values() gives arrays by name, set_values() puts them back.",
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        known = [attribute for attribute in dir(type(self)) if not attribute.startswith("_")]
        hint = ELSEWHERE.get(name) or nearest(name, known) or "Operations are functions: gn.name(node)."
        raise UnknownNameError(f"a node has no attribute {name!r}", hint)


def _not_a_value(node: Node, what: str, hint: str) -> NodeUseError:
    return NodeUseError(f"the node {node.label} {what}", hint, at=str(user_source() or ""))


def _not_for_numpy(node: Node, name: str) -> NodeUseError:
    return _not_a_value(
        node,
        f"is not an array: np.{name} cannot be applied to it",
        f"Write gn.{name}, or compute the value first: gn.evaluate(node, {{x: array}}).",
    )


def setter(cls: type, name: str) -> Callable[[Any, Any], None]:
    """What sets a slot of an immutable class, for the functions that build its objects."""
    slot: Any = cls.__dict__[name]
    return slot.__set__  # type: ignore[no-any-return]


_set_op, _set_inputs, _set_spec = setter(Node, "op"), setter(Node, "inputs"), setter(Node, "spec")
_set_name, _set_source, _set_scope = setter(Node, "name"), setter(Node, "source"), setter(Node, "scope")
_set_origin, _set_index = setter(Node, "origin"), setter(Node, "index")


def build(
    op: Op,
    inputs: tuple[Node, ...],
    spec: Spec,
    *,
    name: str | None = None,
    like: Node | None = None,
    kind: type[Node] = Node,
) -> Any:
    """A node from its parts, without inference; `like` gives name, line, scope and origin."""
    node = object.__new__(kind)
    _set_op(node, op)
    _set_inputs(node, inputs)
    _set_spec(node, spec)
    if like is not None:
        _set_name(node, like.name if name is None else name)
        _set_source(node, like.source)
        _set_scope(node, like.scope)
        _set_origin(node, like.origin)
    else:
        context = current_context()
        _set_name(node, name)
        _set_source(node, context.source or user_source())
        _set_scope(node, context.scope)
        _set_origin(node, context.origin)
    _set_index(node, next(_count))
    return node


def make(op: Op, operands: tuple[Node, ...], *, name: str | None = None, like: Node | None = None) -> Node:
    """Apply an op to nodes: infer the spec and build the node. This is what ``op(*nodes)`` does."""
    try:
        spec = op.infer(*[node.spec for node in operands])
    except GraphnnError as error:
        raise explain(error, operands, like) from None
    node: Node = build(op, operands, spec, name=name, like=like)
    return node


set_node_maker(make)


def explain(error: GraphnnError, operands: tuple[Node, ...], like: Node | None = None) -> GraphnnError:
    """The same error with the table of operands and the user's line, if it does not have them yet."""
    if error.operands or error.at:
        return error
    source = current_context().source or (like.source if like is not None else user_source())
    return type(error)(
        error.headline, *error.hints, operands=operand_rows(operands), at=str(source) if source is not None else ""
    )


def operand_rows(operands: tuple[Node, ...], roles: tuple[str, ...] = ()) -> list[Operand]:
    """The rows of an operand table for nodes."""
    if not roles:
        roles = {1: ("operand",), 2: ("left", "right")}.get(len(operands), tuple(map(str, range(len(operands)))))
    return [
        Operand(role, node.label, str(node.spec), node.op.name, node.source.place if node.source else "")
        for role, node in zip(roles, operands[:8], strict=False)
    ]


def printable(name: str, limit: int = 80) -> str:
    """A name on one line, with control characters escaped and cut after `limit` characters."""
    safe = name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def check_name(name: object) -> str:
    """A name given by the user: any non-empty text; printers escape it."""
    if not isinstance(name, str) or not name:
        raise GraphError(
            f"a name is a non-empty str, not {name!r}", "The name comes first: gn.placeholder('x', (3, 4))."
        )
    return name
