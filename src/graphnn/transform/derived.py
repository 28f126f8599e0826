"""Jacobians, Hessians and their products, from the two passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.ir import tree
from graphnn.ir.dims import Size
from graphnn.ir.dtype import int64
from graphnn.ir.leaves import Iota, constant
from graphnn.ir.node import Node
from graphnn.ir.rebuild import substitute
from graphnn.ops.bitwise import astype
from graphnn.ops.movement import Reshape, broadcast_to, expand_dims, permute_dims
from graphnn.transform.batching import batch
from graphnn.transform.batching.rules import symbol
from graphnn.transform.forward import jvp
from graphnn.transform.reverse import check_floating, checked_targets, directions, gradient, vjp


def jacobian(y: Node, x: Node, *, allow_unused: bool = False) -> Node:
    """All derivatives ``d y[i] / d x[j]``, as an array of the shape ``y.shape + x.shape``.

    All rows are computed at once in reverse mode, or all columns in forward mode, whichever are fewer: one pass, over the
    batch of all unit arrays. Where one size is a name and the other a number, the number counts as less. Zeros where y does
    not depend on x and `allow_unused` is set. `jacrev` and `jacfwd` choose the mode.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jacobian(x * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [0., 8.]], dtype=float32)
    """
    return _jacobian("jacobian", y, x, allow_unused)


def jacfwd(y: Node, x: Node, *, allow_unused: bool = False) -> Node:
    """`jacobian` in forward mode, in one pass for all elements of x: ``J[:, j] = jvp(y, x, e_j)``.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jacfwd(x[0] * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [4., 3.]], dtype=float32)
    """
    return _jacobian("jacfwd", y, x, allow_unused, forward=True)


def jacrev(y: Node, x: Node, *, allow_unused: bool = False) -> Node:
    """`jacobian` in reverse mode, in one pass for all elements of y: ``J[i, :] = vjp(y, x, e_i)``.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jacrev(x[0] * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [4., 3.]], dtype=float32)
    """
    return _jacobian("jacrev", y, x, allow_unused, forward=False)


def _jacobian(name: str, y: Node, x: Node, allow_unused: bool, forward: bool | None = None) -> Node:
    check_floating(name, [y], "the output")
    checked_targets(name, [y], [x], allow_unused)
    rows, columns = y.spec.size, x.spec.size
    if 0 in (rows, columns):
        return broadcast_to(constant(np.zeros((), x.dtype.numpy)), (*y.shape, *x.shape))
    if _is_shorter(rows, columns) if forward is None else not forward:
        g = symbol(y.spec, f"cotangent of {y.label}")
        line = vjp([y], x, [g], allow_unused=True)
        return Reshape((*y.shape, *x.shape))(_for_each_unit(line, g, rows))
    t = symbol(x.spec, f"tangent of {x.label}")
    lines = _for_each_unit(jvp(y, [x], [t], allow_unused=True), t, columns)
    return Reshape((*y.shape, *x.shape))(permute_dims(lines, (*range(1, lines.ndim), 0)))


def _is_shorter(rows: Size, columns: Size) -> bool:
    """Whether there are fewer rows than columns; a number counts as less than a name, which is a batch as a rule."""
    if isinstance(rows, int) and isinstance(columns, int):
        return rows < columns
    return isinstance(rows, int) or not isinstance(columns, int)


def _for_each_unit(line: Node, direction: Node, count: Size) -> Node:
    """A line of a Jacobian for all unit arrays in the place of its direction, at once."""
    number = Iota(count, int64)()
    units = Reshape((count, *direction.shape))(astype(expand_dims(number, axis=1) == number, direction.dtype))
    ((lines, is_batched),) = batch([line], {direction: units})
    return lines if is_batched else broadcast_to(lines, (count, *lines.shape))


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
    symbols = [symbol(node.spec, f"tangent of {node.label}") for node in nodes]
    pushed = jvp(ends, nodes, symbols, allow_unused=allow_unused)

    def push(tangents: Any) -> Any:
        given = directions("linearize", "tangents", nodes, tangents)
        return tree.rebuild(outputs, iter(substitute(pushed, dict(zip(symbols, given, strict=True)))))

    return outputs, push
