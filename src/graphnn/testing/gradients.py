"""check_gradients: derivatives of a graph, in both modes and orders, against finite differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphnn.compile.function import Function, function
from graphnn.errors import DifferentiationError, GraphError
from graphnn.ir.arrays import Array
from graphnn.ir.body import Body, map_bodies, symbol
from graphnn.ir.dtype import float64
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Placeholder, Variable, placeholder
from graphnn.ir.node import Node
from graphnn.ir.rebuild import bind_sizes, transform
from graphnn.ops.bitwise import Astype, astype
from graphnn.ops.random import Advance
from graphnn.testing.oracle import Estimated, numeric_jacobian
from graphnn.testing.report import Basis, GradientReport
from graphnn.transform.forward import jvp
from graphnn.transform.reverse import vjp

_IDENTITY = 1e-12

Product: TypeAlias = Callable[[Array], Array]
"""A Jacobian product as a function of vectors."""


def check_gradients(
    outputs: Node | Sequence[Node] | Callable[..., Any],
    feeds: Mapping[Node, Any] | Sequence[Any],
    *,
    modes: Sequence[str] = ("reverse", "forward"),
    order: int = 1,
    wrt: Iterable[Node] | None = None,
    tolerance: float = 1e-9,
    seed: int = 0,
    raises: bool = True,
) -> GradientReport:
    """Check the derivatives of nodes at a point, entry by entry, against finite differences.

    Everything is computed in float64, also where the graph is in float32. The finite differences are extrapolated and
    bring an estimate of their own error (see `graphnn.testing.oracle`); where that is above the tolerance, the entry counts as
    inconclusive, never as right. With both modes, ``<J v, u> = <v, J' u>`` is checked to 1e-12 too, for random u and v.
    The second order is checked on ``J' u`` for a random u: reverse over reverse and forward over reverse.

    Parameters
    ----------
    outputs : a node, several nodes, or a function that makes them from placeholders
    feeds : arrays for the placeholders; for a function a list of arrays, one for each of its operands
    modes : ``"reverse"``, ``"forward"`` or both
    order : 1 or 2
    wrt : the placeholders and parameters to differentiate by; all floating-point ones that are fed unless told
    tolerance : the largest error, relative to the entry or to the largest entry of its row of the Jacobian
    seed : of random directions and cotangents
    raises : raise if something is wrong or inconclusive; else only report it

    Raises
    ------
    GradientCheckError
        If a derivative is wrong. The message lists mode, variable, index, both values and the error estimate.
    InconclusiveCheckError
        If nothing is known to be wrong, but finite differences cannot confirm all of it.

    >>> x = gn.placeholder("x", (3,))
    >>> report = gn.testing.check_gradients(gn.sin(x) * x, {x: [0.1, 0.2, 0.3]}, order=2)
    >>> report.checked, report.worst < 1e-9
    (37, True)
    """
    ends, given = _ends(outputs, feeds)
    checker = GradientChecker(ends, given, modes=modes, order=order, wrt=wrt, tolerance=tolerance, seed=seed)
    report = checker.check(given)
    if raises:
        report.raise_for()
    return report


def _ends(outputs: Any, feeds: Any) -> tuple[list[Node], dict[Node, Any]]:
    if isinstance(outputs, Node) or not callable(outputs):
        if not isinstance(feeds, Mapping):
            raise GraphError("check_gradients: the feeds of nodes are {placeholder: array}")
        return [outputs] if isinstance(outputs, Node) else list(outputs), dict(feeds)
    if isinstance(feeds, Mapping):
        raise GraphError("check_gradients: the feeds of a function are a list of arrays, one for each of its operands")
    operands = []
    for i, value in enumerate(feeds):
        array = np.asarray(value)
        dtype = float64 if array.dtype.kind == "f" else array.dtype
        operands.append(placeholder(f"x{i}", array.shape, dtype))
    made = outputs(*operands)
    return [made] if isinstance(made, Node) else list(made), dict(zip(operands, feeds, strict=True))


class GradientChecker:
    """The compiled parts of `check_gradients`, for checking one graph at many points of the same shapes.

    >>> x = gn.placeholder("x", (2,))
    >>> checker = GradientChecker([gn.exp(x)], {x: np.zeros(2)})
    >>> checker.check({x: [0.5, 1.0]}).wrong
    []
    """

    def __init__(
        self,
        outputs: Sequence[Node],
        feeds: Mapping[Node, Any],
        *,
        modes: Sequence[str] = ("reverse", "forward"),
        order: int = 1,
        wrt: Iterable[Node] | None = None,
        tolerance: float = 1e-9,
        seed: int = 0,
    ) -> None:
        if order not in (1, 2) or not modes or not set(modes) <= {"reverse", "forward"}:
            raise GraphError(f"check_gradients: order is 1 or 2, modes 'reverse' and 'forward', not {order}, {modes}")
        self._tolerance, self._seed = tolerance, seed
        self._leaves = list(feeds)
        ends, inputs = _in_float64(list(outputs), feeds)
        chosen = self._leaves if wrt is None else list(wrt)
        for node in chosen:
            if node not in inputs:
                raise GraphError(f"check_gradients: {node.label} is in wrt but not in the feeds")
        self._places = [i for i, leaf in enumerate(self._leaves) if leaf.dtype.is_floating and leaf in set(chosen)]
        self._inputs = list(inputs.values())
        self._names = [leaf.label for leaf in self._leaves]
        for node in ends:
            if not node.dtype.is_floating:
                raise DifferentiationError(f"check_gradients: {node.label} is {node.dtype}, which has no derivative")
        self._outputs = ends
        self._compile(modes, order)

    def _compile(self, modes: Sequence[str], order: int) -> None:
        ys, xs = self._outputs, [self._inputs[i] for i in self._places]
        gs = [placeholder(f"cotangent {i}", y.shape, y.dtype) for i, y in enumerate(ys)]
        vs = [placeholder(f"tangent {i}", x.shape, x.dtype) for i, x in enumerate(xs)]

        def compiled(extra: list[Node], nodes: list[Node]) -> Function:
            # What is checked are rules, not a backend; to compile them all would take longer than the checks.
            return function([*self._inputs, *extra], nodes, backend="numpy", on_unused="ignore")

        def pulled(nodes: list[Node], cotangents: list[Node]) -> list[Node]:
            return list(vjp(nodes, xs, cotangents, allow_unused=True)) if xs else []

        def pushed(nodes: list[Node]) -> list[Node]:
            return list(jvp(nodes, xs, vs, allow_unused=True)) if xs else []

        # The gradient is J'u; the cotangents of its own pullback have the shapes of the tangents.
        gradient = pulled(ys, gs)
        self._value, self._gradient = compiled([], ys), compiled(gs, gradient)
        self._first = {
            "reverse": self._gradient,
            "forward": compiled(vs, pushed(ys)) if "forward" in modes else None,
        }
        self._second = {
            "reverse over reverse": compiled([*gs, *vs], pulled(gradient, vs)) if "reverse" in modes else None,
            "forward over reverse": compiled([*gs, *vs], pushed(gradient)) if "forward" in modes else None,
        }
        if "reverse" not in modes:
            self._first["reverse"] = None
        if order == 1:
            self._second = {}

    def check(self, feeds: Mapping[Node, Any]) -> GradientReport:
        """Check at a point; see `check_gradients`. The report tells, nothing is raised."""
        arrays = [
            np.asarray(feeds[leaf], node.dtype.numpy) for leaf, node in zip(self._leaves, self._inputs, strict=True)
        ]
        generator = np.random.default_rng(self._seed)
        report = GradientReport()
        xs = [arrays[i] for i in self._places]
        ys = self._value(*arrays)
        point = _joined(xs)
        label = ", ".join(node.label for node in self._outputs)
        inputs = Basis(xs, [self._names[i] for i in self._places], generator)
        outputs = Basis(ys, [node.label for node in self._outputs], generator)

        def at(moved: Array) -> list[Array]:
            taken = list(arrays)
            for place, part in zip(self._places, _parts(moved, xs), strict=True):
                taken[place] = part
            return taken

        def product(f: Function | None, fixed: list[Array], like: Sequence[Array]) -> Product | None:
            return None if f is None else lambda vector: _joined(f(*arrays, *fixed, *_parts(vector, like)))

        pull, push = product(self._first["reverse"], [], ys), product(self._first["forward"], [], xs)
        numeric = numeric_jacobian(
            lambda moved: _joined(self._value(*at(moved))), point, inputs.vectors, self._tolerance / 100
        )
        self._rows(report, f"reverse: d {label}", pull, numeric, outputs, inputs)
        self._columns(report, f"forward: d {label}", push, numeric, ys, inputs)
        if pull is not None and push is not None:
            _check_identity(report, generator, pull, push, inputs.size, outputs.size, label)
        if not self._second:
            return report
        # The second order: the Jacobian of J'u for a fixed random u.
        u = _parts(generator.uniform(0.5, 1.5, outputs.size), ys)
        numeric = numeric_jacobian(
            lambda moved: _joined(self._gradient(*at(moved), *u)), point, inputs.vectors, self._tolerance / 100
        )
        again, ahead = (product(f, u, xs) for f in self._second.values())
        self._rows(report, f"reverse over reverse: d gradient of {label}", again, numeric, inputs, inputs)
        self._columns(report, f"forward over reverse: d gradient of {label}", ahead, numeric, xs, inputs)
        return report

    def _rows(
        self, report: GradientReport, what: str, pull: Product | None, numeric: Estimated, outputs: Basis, inputs: Basis
    ) -> None:
        if pull is not None:
            found = [pull(vector) for vector in outputs.vectors]
            matrix = inputs.project(np.stack(found)) if found else np.zeros((0, len(inputs.vectors)))
            report.compare(what, matrix, outputs.spread(numeric), outputs.places, inputs, self._tolerance)

    def _columns(
        self,
        report: GradientReport,
        what: str,
        push: Product | None,
        numeric: Estimated,
        ys: Sequence[Array],
        inputs: Basis,
    ) -> None:
        if push is not None:
            found = [push(vector) for vector in inputs.vectors]
            places = [index for y in ys for index in np.ndindex(y.shape)]
            matrix = np.stack(found, 1) if found else np.zeros((len(places), 0))
            report.compare(what, matrix, numeric, places, inputs, self._tolerance)


def _check_identity(
    report: GradientReport,
    generator: np.random.Generator,
    pull: Product,
    push: Product,
    inputs: int,
    outputs: int,
    label: str,
) -> None:
    u, v = generator.standard_normal(outputs), generator.standard_normal(inputs)
    pushed, pulled = push(v), pull(u)
    left, right = float(pushed @ u), float(v @ pulled)
    scale = float(np.abs(pushed) @ np.abs(u) + np.abs(v) @ np.abs(pulled))
    report.checked += 1
    if not abs(left - right) <= _IDENTITY * scale:
        report.broken.append(f"{label}: the modes disagree: <Jv, u> = {left:.15g}, <v, J'u> = {right:.15g}")


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)


def _parts(vector: Array, like: Sequence[Array]) -> list[Array]:
    ends = np.cumsum([0, *(x.size for x in like)])
    return [vector[a:b].reshape(x.shape) for a, b, x in zip(ends[:-1], ends[1:], like, strict=True)]


def _in_float64(outputs: list[Node], feeds: Mapping[Node, Any]) -> tuple[list[Node], dict[Node, Node]]:
    """The outputs in float64 and with numbers as sizes, and the new placeholder for each node that is fed."""
    sizes: dict[str, int] = {}
    for node, value in feeds.items():
        if not isinstance(node.op, Placeholder) and not isinstance(node, Variable):
            raise GraphError(f"check_gradients: {node.label} is neither a placeholder nor a parameter")
        shape = np.shape(value)
        if len(shape) != node.ndim:
            raise GraphError(f"check_gradients: {node.label} is {node.spec}, its feed has the shape {shape}")
        for size, number in zip(node.shape, shape, strict=True):
            if not isinstance(size, int) and sizes.setdefault(str(size), number) != number:
                raise GraphError(f"check_gradients: the feeds disagree on the size {size}")
    bound: dict[Node, Node] = {}
    if sizes:
        outputs = bind_sizes(outputs, sizes, bound)
    for node in Graph(outputs).inputs:
        if node not in {bound.get(leaf, leaf) for leaf in feeds}:
            raise GraphError(f"check_gradients: no value for {node.label}", "Add it to the feeds.")
    inputs = {
        leaf: placeholder(leaf.label, np.shape(value), float64 if leaf.dtype.is_floating else leaf.dtype)
        for leaf, value in feeds.items()
    }

    def widened(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if isinstance(node.op, Astype) and node.op.dtype.is_floating:
            return Astype(float64)(*operands)
        if isinstance(node.op, Advance):
            # A state must not move on between two evaluations, or each would draw other numbers: it follows itself.
            return Advance()(operands[0], operands[1], operands[1])
        bodies = map_bodies(node.op, widened_body)
        return (
            None if bodies is node.op else bodies(*[astype(x, float64) if x.dtype.is_floating else x for x in operands])
        )

    def widened_body(body: Body) -> Body:
        own = {x: symbol(x.label, x.spec.with_dtype(float64) if x.dtype.is_floating else x.spec) for x in body.inputs}
        inner = transform(body.outputs, widened, own)
        ends = [astype(inner[n], float64) if n.dtype.is_floating else inner[n] for n in body.outputs]
        return Body(own.values(), ends)

    replaced = {bound.get(leaf, leaf): new for leaf, new in inputs.items()}
    made = transform(outputs, widened, replaced)
    # Constants keep their data type, so an output may still be narrower.
    return [astype(made[node], float64) if node.dtype.is_floating else made[node] for node in outputs], inputs
