"""Operands: how numbers, arrays and lists that stand beside nodes become nodes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from graphnn.errors import DTypeError, GraphnnError
from graphnn.ir.dims import AS_NUMBER, Dim
from graphnn.ir.dtype import DEFAULT_FLOAT, DEFAULT_INT, DType, bool_, check_scalar, promote
from graphnn.ir.leaves import Constant, Payload, constant
from graphnn.ir.node import Node, explain
from graphnn.ir.source import user_source
from graphnn.ir.spec import normalize_axes, normalize_axis

Operand: TypeAlias = "Node | np.ndarray[Any, Any] | np.generic | bool | int | float | list[Any] | tuple[Any, ...]"
"""What a function of graphnn takes as an array: a node, a NumPy array, a Python number or a list of numbers."""


def as_node(value: Operand, dtype: DType | None = None) -> Node:
    """A node for anything array-like; `dtype` is for Python numbers."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        return constant(value, dtype if type(value) in (bool, int, float) else None)
    if isinstance(value, (list, tuple)) and not holds_node(value):
        return constant(value, dtype)
    what = f"cannot make a node of {type(value).__name__}: {value!r}"[:200]
    if isinstance(value, Dim):
        what = f"the size {value} is not a number yet: it is bound when the function is called"
    raise DTypeError(what, _advice(value), at=str(user_source() or ""))


def _advice(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "Use gn.stack or gn.concat to join nodes."
    if isinstance(value, Dim):
        return AS_NUMBER
    if value is None:
        return "To ask whether a value is None, write `value is None`."
    if isinstance(value, complex):
        return "graphnn computes with real numbers. Keep the real and the imaginary part in two arrays."
    if isinstance(value, str):
        return "Operands are nodes, arrays and numbers; an input is made by gn.placeholder(name, shape)."
    if callable(value):
        return "Operands are nodes, arrays and numbers. Call the function, or the model, on a node first."
    return "Operands are nodes, NumPy arrays, numbers and lists of numbers."


def holds_node(values: Any) -> bool:
    """Whether there is a node among the values, or in lists and tuples of them."""
    return any(isinstance(v, Node) or (isinstance(v, (list, tuple)) and holds_node(v)) for v in values)


def axis_of(name: str, axis: object, x: Node) -> int:
    """An axis of a node, counted from 0."""
    try:
        return normalize_axis(name, axis, x.ndim)
    except GraphnnError as error:
        raise explain(error, (x,)) from None


def axes_of(name: str, axes: object, x: Node) -> tuple[int, ...]:
    """Several axes of a node, counted from 0; None means all."""
    try:
        return normalize_axes(name, axes, x.ndim)
    except GraphnnError as error:
        raise explain(error, (x,)) from None


def as_nodes(name: str, *values: Operand) -> tuple[Node, ...]:
    """Nodes for the operands of one operation. Python numbers and weak constants take the data type of the others.

    Raises
    ------
    DTypeError
        If a Python number does not fit, such as 0.5 beside an int64 array.
    """
    for value in values:
        if not isinstance(value, Node) or (type(value.op) is Constant and value.op.weak):
            break
    else:
        return values  # type: ignore[return-value]  # nodes only: nothing to convert
    strong: DType | None = None
    weak = False
    for value in values:
        if isinstance(value, Node) and not (type(value.op) is Constant and value.op.weak):
            strong = value.dtype if strong is None else (promote(strong, value.dtype) or strong)
        elif isinstance(value, (np.ndarray, np.generic)):
            dtype = as_node(value).dtype
            strong = dtype if strong is None else (promote(strong, dtype) or strong)
        else:
            weak = True
    if not weak:
        return tuple([value if isinstance(value, Node) else as_node(value) for value in values])
    if strong is None:
        strong = _default_for(values)
    return tuple([_with_dtype(name, value, strong, values) for value in values])


def _default_for(values: tuple[Any, ...]) -> DType:
    kinds = [value.dtype.kind if isinstance(value, Node) else np.asarray(value).dtype.kind for value in values]
    if any(kind.startswith("f") for kind in kinds):
        return DEFAULT_FLOAT
    return bool_ if all(kind.startswith("b") for kind in kinds) else DEFAULT_INT


def _with_dtype(name: str, value: Any, dtype: DType, values: tuple[Any, ...]) -> Node:
    if isinstance(value, Node):
        if not (type(value.op) is Constant and value.op.weak) or value.dtype is dtype:
            return value
        value = value.op.payload.array.item()
    if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        try:
            check_scalar(name, value, dtype)
        except GraphnnError as error:
            raise explain(error, tuple(v for v in values if isinstance(v, Node))) from None
        return Constant(Payload(np.asarray(value, dtype.numpy)))()
    return as_node(value)
