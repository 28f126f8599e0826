"""Jacobians, Hessians and their products, from the two passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.errors import DifferentiationError
from graphnn.ir.leaves import constant
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.source import user_source
from graphnn.ops.movement import Reshape, stack
from graphnn.transform.forward import jvp
from graphnn.transform.reverse import check_floating, checked_targets, gradient, vjp


def jacobian(y: Node, x: Node, *, allow_unused: bool = False) -> Node:
    """All derivatives ``d y[i] / d x[j]``, as an array of the shape ``y.shape + x.shape``.

    Built row by row in reverse mode, or column by column in forward mode, whichever is fewer; so the sizes must be
    numbers, and the graph grows with the smaller of both. Zeros where y does not depend on x and `allow_unused` is set.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jacobian(x * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [0., 8.]], dtype=float32)
    """
    check_floating("jacobian", [y], "the output")
    checked_targets("jacobian", [y], [x], allow_unused)
    rows, columns = (_count(node, (y, x)) for node in (y, x))
    if 0 in (rows, columns):
        return Reshape((*y.shape, *x.shape))(constant(np.zeros(0, x.dtype.numpy)))
    if rows < columns:
        lines = [vjp([y], x, [constant(unit, y.dtype)], allow_unused=True) for unit in _units(rows, y)]
        return Reshape((*y.shape, *x.shape))(stack(lines))
    lines = [jvp(y, [x], [constant(unit, x.dtype)], allow_unused=True) for unit in _units(columns, x)]
    return Reshape((*y.shape, *x.shape))(stack(lines, axis=-1))


def _units(count: int, node: Node) -> list[np.ndarray[Any, Any]]:
    return [row.reshape(node.shape) for row in np.eye(count)]


def _count(node: Node, operands: tuple[Node, Node]) -> int:
    size = node.spec.size
    if not isinstance(size, int):
        raise DifferentiationError(
            f"jacobian: the size of {node.label} is not a number yet: {node.spec}",
            "A Jacobian needs known sizes; give the placeholder numbers instead of names, or use gn.vjp and gn.jvp.",
            operands=operand_rows(operands, ("of", "by")),
            at=str(user_source() or ""),
        )
    return size


def hessian(loss: Node, x: Node) -> Node:
    """All second derivatives ``d2 loss / d x[i] d x[j]`` of a scalar, as an array of the shape ``x.shape + x.shape``.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.hessian(x[0] * x[1] * x[1], x), {x: [3.0, 4.0]})
    array([[0., 8.],
           [8., 6.]], dtype=float32)
    """
    return jacobian(gradient("hessian", loss, x), x, allow_unused=True)  # the gradient may be a constant


def hvp(loss: Node, x: Node, v: Any) -> Node:
    """Hessian-vector product ``H v`` of a scalar: the forward derivative of its gradient, at about twice its cost.

    Source: Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6, 1994.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.hvp(x[0] * x[1] * x[1], x, [1.0, 0.0]), {x: [3.0, 4.0]})
    array([0., 8.], dtype=float32)
    """
    out: Node = jvp(gradient("hvp", loss, x), [x], [v], allow_unused=True)
    return out
