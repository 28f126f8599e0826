"""Operations that run a Python function of NumPy arrays, and the barrier that makes one value wait for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.errors import DifferentiationError, GraphError, GraphnnError, ShapeError
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, General, Linear
from graphnn.ir.spec import Spec, broadcast
from graphnn.ops.operands import Operand, as_node, as_nodes


class Host:
    """What all calls of a host operation have in common; call it to make a node. Made by `host_op`.

    Attributes
    ----------
    name : the name of the function
    function : takes the arrays of the operands, gives the array of the result
    infer : takes the specs of the operands, gives that of the result
    vjp : the derivative rule, or None
    """

    def __init__(
        self,
        function: Callable[..., Any],
        infer: Callable[..., Spec],
        vjp: Callable[..., Any] | None,
    ) -> None:
        self.function, self.infer, self.vjp = function, infer, vjp
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.__doc__ = getattr(function, "__doc__", None)

    def __call__(self, *operands: Operand) -> Node:
        return HostOp(self)(*as_nodes(self.name, *operands))

    def __repr__(self) -> str:
        return self.name


class HostOp(General):
    """A Python function of NumPy arrays"""

    host: Host
    latex = r"{host}\left({args}\right)"
    python = "{host}({args})"

    @property
    def name(self) -> str:
        return self.host.name

    def infer(self, *specs: Spec) -> Spec:
        try:
            spec = self.host.infer(*specs)
        except GraphnnError:
            raise
        except TypeError as error:
            raise GraphError(
                f"{self.name}: infer failed for {', '.join(map(str, specs)) or 'no operands'}: {error}",
                "It is called with the spec of each operand.",
            ) from error
        if not isinstance(spec, Spec):
            raise GraphError(f"{self.name}: infer gave {spec!r}, not a Spec", "Return gn.Spec(shape, dtype).")
        new = spec.names.difference(*[operand.names for operand in specs])
        if new:
            raise GraphError(
                f"{self.name}: infer gave {spec}, but no operand has the size {min(new)!r}",
                "Sizes of the result are numbers, or computed from those of the operands: x.shape[0].",
            )
        return spec

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        rule = self.host.vjp
        if rule is None:
            error = DifferentiationError(
                f"{self.name} has no derivative: it is a function of arrays, and has no rule",
                "Give it one: gn.host_op(function, infer=..., vjp=lambda g, x, *, out: ...), or take it as a constant: "
                "gn.stop_gradient(node).",
            )
            raise explain(error, operands, out)
        return as_cotangents(self.name, rule(g, *operands, out=out), operands, out)


def host_op(function: Callable[..., Any], *, infer: Callable[..., Spec], vjp: Callable[..., Any] | None = None) -> Host:
    """An operation that runs a Python function of NumPy arrays: ``out = function(*arrays)``.

    Only the NumPy backend runs it. The function must be pure: nodes with the same operands are computed once. Its
    arrays are read-only, its result is copied, and checked against `infer` at every call.

    Parameters
    ----------
    function : takes the arrays of the operands, gives the array of the result
    infer : takes the `Spec` of each operand (named sizes as well as numbers), gives that of the result
    vjp : ``vjp(g, *operands, out)`` builds the cotangents of the operands from that of the result, all of them nodes;
        None for an operand stands for zero. Forward mode follows from it, and higher orders from what it builds.

    Returns
    -------
    Host
        Call it with nodes.

    Raises
    ------
    DifferentiationError
        If a derivative is asked for and there is no `vjp`.
    ExecutionError
        When it runs: if the function fails, or its result is not what `infer` says.

    >>> cube_root = gn.host_op(np.cbrt, infer=lambda x: x, vjp=lambda g, x, *, out: g / (3 * out * out))
    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate([cube_root(x), gn.grad(gn.sum(cube_root(x)), x)], {x: [1.0, 8.0]})
    [array([1., 2.], dtype=float32), array([0.33333334, 0.08333334], dtype=float32)]
    """
    for what, value in (("function", function), ("infer", infer), ("vjp", vjp)):
        if not callable(value) and not (what == "vjp" and value is None):
            raise GraphError(
                f"host_op: {what} is a function, not {value!r}"[:200],
                "For example gn.host_op(np.cbrt, infer=lambda x: x): the result has the spec of x.",
            )
    return Host(function, infer, vjp)


def as_cotangents(name: str, given: Any, operands: tuple[Node, ...], out: Node) -> tuple[Cotangent, ...]:
    """What a rule of the user's gave, checked: a cotangent for each operand, of its shape or broadcast from it."""
    values = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    try:
        if len(values) != len(operands):
            raise DifferentiationError(
                f"{name}: its rule gives {len(values)} cotangents for {len(operands)} operands",
                "Return one for each operand, in their order; None where the derivative is zero.",
            )
        return tuple(_cotangent(name, i, *pair) for i, pair in enumerate(zip(values, operands, strict=True)))
    except (DifferentiationError, ShapeError) as error:
        raise explain(error, operands, out) from None


def _cotangent(name: str, place: int, value: Any, operand: Node) -> Node | None:
    if value is None:
        return None
    node = as_node(value, operand.dtype if operand.dtype.is_floating else None)
    if not node.dtype.is_floating:
        raise DifferentiationError(
            f"{name}: its rule gives {node.spec} as the cotangent of operand {place}",
            "A cotangent is floating-point; None stands for zero.",
        )
    try:
        fits = broadcast(name, node.shape, operand.shape) == node.shape
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{name}: its rule gives {node.spec} as the cotangent of operand {place}, which is {operand.spec}",
            "A cotangent has the shape of its operand, or one that the operand broadcasts to.",
        )
    return node


class Barrier(Linear):
    """The first operand, to be had only when the second has been computed"""

    latex, python = "{0:100}", "{0:100}"

    def infer(self, *specs: Spec) -> Spec:
        return specs[0]

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return g, None
