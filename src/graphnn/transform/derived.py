"""Jacobians, Hessians and their products, from the two passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.errors import DifferentiationError
from graphnn.ir import tree
from graphnn.ir.leaves import Placeholder, constant
from graphnn.ir.node import Node, build, operand_rows
from graphnn.ir.rebuild import substitute
from graphnn.ir.source import apart, user_source
from graphnn.ops.movement import Reshape, stack
from graphnn.transform.forward import jvp
from graphnn.transform.reverse import check_floating, checked_targets, directions, gradient, vjp


def jacobian(y: Node, x: Node, *, allow_unused: bool = False) -> Node:
    """All derivatives ``d y[i] / d x[j]``, as an array of the shape ``y.shape + x.shape``.

    Built row by row in reverse mode, or column by column in forward mode, whichever is fewer; so the sizes must be
    numbers, and the graph grows with the smaller of both. Zeros where y does not depend on x and `allow_unused` is set.
    `jacrev` and `jacfwd` choose the mode.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jacobian(x * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [0., 8.]], dtype=float32)
    """
    return _jacobian("jacobian", y, x, allow_unused)


def jacfwd(y: Node, x: Node, *, allow_unused: bool = False) -> Node:
    """`jacobian` in forward mode: one pass for each element of x, ``J[:, j] = jvp(y, x, e_j)``.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jacfwd(x[0] * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [4., 3.]], dtype=float32)
    """
    return _jacobian("jacfwd", y, x, allow_unused, forward=True)


def jacrev(y: Node, x: Node, *, allow_unused: bool = False) -> Node:
    """`jacobian` in reverse mode: one pass for each element of y, ``J[i, :] = vjp(y, x, e_i)``.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jacrev(x[0] * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [4., 3.]], dtype=float32)
    """
    return _jacobian("jacrev", y, x, allow_unused, forward=False)


def _jacobian(name: str, y: Node, x: Node, allow_unused: bool, forward: bool | None = None) -> Node:
    check_floating(name, [y], "the output")
    checked_targets(name, [y], [x], allow_unused)
    rows, columns = (_count(name, node, (y, x)) for node in (y, x))
    if 0 in (rows, columns):
        return Reshape((*y.shape, *x.shape))(constant(np.zeros(0, x.dtype.numpy)))
    if rows < columns if forward is None else not forward:
        lines = [vjp([y], x, [constant(unit, y.dtype)], allow_unused=True) for unit in _units(rows, y)]
        return Reshape((*y.shape, *x.shape))(stack(lines))
    lines = [jvp(y, [x], [constant(unit, x.dtype)], allow_unused=True) for unit in _units(columns, x)]
    return Reshape((*y.shape, *x.shape))(stack(lines, axis=-1))


def _units(count: int, node: Node) -> list[np.ndarray[Any, Any]]:
    return [row.reshape(node.shape) for row in np.eye(count)]


def _count(name: str, node: Node, operands: tuple[Node, Node]) -> int:
    size = node.spec.size
    if not isinstance(size, int):
        raise DifferentiationError(
            f"{name}: the size of {node.label} is not a number yet: {node.spec}",
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


def value_and_grad(loss: Node, wrt: Any, *, allow_unused: bool = False) -> tuple[Node, Any]:
    """A scalar and its gradient, the pair ``(loss, grad(loss, wrt))``, for a function that returns both.

    >>> x = gn.placeholder("x", (2,))
    >>> f = gn.function([x], gn.value_and_grad(gn.sum(x * x), x))
    >>> f([1.0, 2.0])
    (array(5., dtype=float32), array([2., 4.], dtype=float32))
    """
    return loss, gradient("value_and_grad", loss, wrt, allow_unused)


def linearize(outputs: Any, wrt: Any, *, allow_unused: bool = False) -> tuple[Any, Callable[[Any], Any]]:
    """A value and its linear approximation there: ``y(x + t) = y(x) + push(t) + O(|t|^2)``.

    Parameters
    ----------
    outputs : a node, or a tree of nodes
    wrt : a node or a list of nodes
    allow_unused : do not mind nodes that the outputs do not depend on

    Returns
    -------
    The outputs, and the function ``push(tangents)``: what `jvp` gives for these tangents. The forward pass is made once;
    every call adds only what depends on the tangents, and shares all coefficients with the other calls.

    >>> x = gn.placeholder("x", (2,))
    >>> y, push = gn.linearize(x * x, x)
    >>> gn.evaluate([y, push([1.0, 0.0]), push([1.0, 10.0])], {x: [3.0, 4.0]})
    [array([ 9., 16.], dtype=float32), array([6., 0.], dtype=float32), array([ 6., 80.], dtype=float32)]
    """
    nodes = [wrt] if isinstance(wrt, Node) else list(wrt)
    ends = [leaf for _, leaf in tree.leaves(outputs)]
    check_floating("linearize", ends, "an output")
    checked_targets("linearize", ends, nodes, allow_unused)
    with apart():
        symbols = [build(Placeholder(), (), node.spec, name=f"tangent of {node.label}") for node in nodes]
    pushed = jvp(ends, nodes, symbols, allow_unused=allow_unused)

    def push(tangents: Any) -> Any:
        given = directions("linearize", "tangents", nodes, tangents)
        return tree.rebuild(outputs, iter(substitute(pushed, dict(zip(symbols, given, strict=True)))))

    return outputs, push
