"""check_gradients: derivatives of a graph, in both modes and orders, against finite differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphnn.compile.function import function
from graphnn.errors import DifferentiationError, GraphError, GraphnnError
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import float64
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Placeholder, Variable, placeholder
from graphnn.ir.node import Node
from graphnn.ir.rebuild import bind_sizes, transform
from graphnn.ops.bitwise import Astype, astype
from graphnn.testing.oracle import numeric_jacobian
from graphnn.transform.forward import jvp
from graphnn.transform.reverse import vjp

_FULL = 48  # up to so many elements, Jacobians are compared entry by entry; beyond, along random directions
_RANDOM = 4
_SHOWN = 6
_IDENTITY = 1e-12


class GradientCheckError(GraphnnError, AssertionError):
    """A derivative is wrong: it differs from the finite difference by more than the tolerance."""


class InconclusiveCheckError(GraphnnError, AssertionError):
    """Finite differences are too inexact at this point to tell whether a derivative is right."""


@dataclass(frozen=True)
class Entry:
    """One compared number.

    Attributes
    ----------
    what : such as ``reverse: d y / d x``
    index : the places in the output and in the variable, or the number of a random direction
    analytic, numeric : the two values
    estimate : how far off the numeric one may be
    scale : what the tolerance is relative to
    """

    what: str
    index: tuple[Any, ...]
    analytic: float
    numeric: float
    estimate: float
    scale: float

    def __str__(self) -> str:
        error = abs(self.analytic - self.numeric) / self.scale if self.scale else float("nan")
        return (
            f"{self.what} at {', '.join(map(str, self.index))}: {self.analytic:.15g}, finite difference "
            f"{self.numeric:.15g} ± {self.estimate:.1e}, relative error {error:.1e}"
        )


@dataclass
class GradientReport:
    """What a check found.

    Attributes
    ----------
    checked : how many numbers were compared
    wrong, inconclusive : the entries that differ, and those of which finite differences cannot tell
    worst : the largest error relative to its scale, of all conclusive entries
    broken : identities ``<Jv, u> = <v, J'u>`` and shapes that do not hold, as text
    """

    checked: int = 0
    worst: float = 0.0
    wrong: list[Entry] = field(default_factory=list)
    inconclusive: list[Entry] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def raise_for(self) -> None:
        """Raise GradientCheckError or InconclusiveCheckError if something is wrong or open."""
        if self.wrong or self.broken:
            first = self.broken[0] if self.broken else str(self.wrong[0])
            raise GradientCheckError(
                f"{len(self.wrong) + len(self.broken)} of {self.checked} derivatives are wrong: {first}",
                *_listed([*self.broken, *map(str, self.wrong)][1:]),
            )
        if self.inconclusive:
            raise InconclusiveCheckError(
                f"{len(self.inconclusive)} of {self.checked} derivatives could not be checked: {self.inconclusive[0]}",
                *_listed(list(map(str, self.inconclusive))[1:]),
                "Move the point away from kinks, poles and large values.",
            )


def _listed(lines: list[str]) -> list[str]:
    return lines[:_SHOWN] + ([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])


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
    (63, True)
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

        def compiled(extra: list[Node], nodes: list[Node]) -> Any:
            return function([*self._inputs, *extra], nodes, on_unused="ignore")

        self._value = compiled([], ys)
        self._pull = self._push = self._pull_pull = self._push_pull = None
        pulled: list[Node] = vjp(ys, xs, gs, allow_unused=True) if xs else []
        if "reverse" in modes:
            self._pull = compiled(gs, pulled)
        if "forward" in modes:
            self._push = compiled(vs, jvp(ys, xs, vs, allow_unused=True) if xs else [])
        if order == 2:
            self._pulled = compiled(gs, pulled)
            if "reverse" in modes:
                # The cotangents of the pulled nodes have the shapes of the tangents.
                self._pull_pull = compiled([*gs, *vs], vjp(pulled, xs, vs, allow_unused=True) if xs else [])
            if "forward" in modes:
                self._push_pull = compiled([*gs, *vs], jvp(pulled, xs, vs, allow_unused=True) if xs else [])

    def check(self, feeds: Mapping[Node, Any]) -> GradientReport:
        """Check at a point; see `check_gradients`. The report tells, nothing is raised."""
        arrays = [_fed(feeds[leaf], node) for leaf, node in zip(self._leaves, self._inputs, strict=True)]
        generator = np.random.default_rng(self._seed)
        report = GradientReport()
        names = [self._names[i] for i in self._places]
        xs = [arrays[i] for i in self._places]
        label = ", ".join(node.label for node in self._outputs)

        def at(point: Array) -> list[Array]:
            moved = list(arrays)
            for place, part in zip(self._places, _parts(point, xs), strict=True):
                moved[place] = part
            return moved

        def value(point: Array) -> Array:
            return _joined(self._value(*at(point)))

        point = _joined(xs)
        ys = self._value(*arrays)
        pull = None if self._pull is None else lambda u: _joined(self._pull(*arrays, *_parts(u, ys)))
        push = None if self._push is None else lambda v: _joined(self._push(*arrays, *_parts(v, xs)))
        self._compare(report, generator, value, point, {"reverse": pull, "forward": push}, label, names, xs, ys)
        if pull is not None and push is not None:
            self._identity(report, generator, pull, push, point.size, _joined(ys).size, label)
        if self._pull_pull is None and self._push_pull is None:
            return report
        # The second order: J'u for a fixed random u, as a function of the point; its Jacobian is symmetric.
        u = _parts(generator.uniform(0.5, 1.5, _joined(ys).size), ys)

        def gradient(moved: Array) -> Array:
            return _joined(self._pulled(*at(moved), *u))

        again = None if self._pull_pull is None else lambda v: _joined(self._pull_pull(*arrays, *u, *_parts(v, xs)))
        ahead = None if self._push_pull is None else lambda v: _joined(self._push_pull(*arrays, *u, *_parts(v, xs)))
        modes = {"reverse over reverse": again, "forward over reverse": ahead}
        self._compare(report, generator, gradient, point, modes, f"gradient of {label}", names, xs, xs)
        return report

    def _compare(
        self,
        report: GradientReport,
        generator: np.random.Generator,
        value: Callable[[Array], Array],
        point: Array,
        products: Mapping[str, Callable[[Array], Array] | None],
        label: str,
        names: list[str],
        xs: Sequence[Array],
        ys: Sequence[Array],
    ) -> None:
        """Compare Jacobian products with the numeric Jacobian; pulling modes give its rows, pushing ones its columns."""
        here = value(point)
        columns = np.eye(point.size) if point.size <= _FULL else generator.choice([-1.0, 1.0], (_RANDOM, point.size))
        rows = np.eye(here.size) if here.size <= _FULL else generator.choice([-1.0, 1.0], (_RANDOM, here.size))
        numeric = numeric_jacobian(value, point, columns, self._tolerance / 100)
        # Which variable a column belongs to; a random direction belongs to all.
        owner = np.repeat(np.arange(len(xs)), [x.size for x in xs]) if point.size <= _FULL else np.zeros(_RANDOM, int)
        for mode, product in products.items():
            if product is None:
                continue
            if mode.startswith("forward"):
                found = np.stack([product(v) for v in columns], 1) if len(columns) else np.zeros((here.size, 0))
                expected, estimate, size = numeric
                places = [(_index(i, ys),) for i in range(here.size)]
            else:
                found = np.stack([product(u) for u in rows]) @ columns.T if len(rows) else np.zeros((0, len(columns)))
                expected, estimate, size = (
                    rows @ numeric.value,
                    np.abs(rows) @ numeric.error,
                    np.abs(rows) @ numeric.size,
                )
                places = [(_index(i, ys) if here.size <= _FULL else f"direction {i}",) for i in range(len(rows))]
            ends = [_index(j, xs) if point.size <= _FULL else f"direction {j}" for j in range(len(columns))]
            scale = _scales(found, expected, owner, size)
            tell = [f"{mode}: d {label} / d {names[k] if point.size <= _FULL else ', '.join(names)}" for k in owner]
            self._judge(
                report, found, expected, estimate, scale, lambda i, j, p=places, t=tell: (t[j], (*p[i], ends[j]))
            )

    def _judge(
        self,
        report: GradientReport,
        found: Array,
        expected: Array,
        estimate: Array,
        scale: Array,
        tell: Callable[..., tuple[str, tuple[Any, ...]]],
    ) -> None:
        allowed = self._tolerance * scale
        with np.errstate(invalid="ignore"):
            error = np.abs(found - expected)
            open_ = ~(estimate <= allowed)
            wrong = ~(error <= allowed) & ~open_  # also where the derivative is not finite
        report.checked += found.size
        settled = ~open_ & (scale > 0)
        if settled.any():
            report.worst = max(report.worst, float(np.max(error[settled] / scale[settled])))
        for target, mask in ((report.wrong, wrong), (report.inconclusive, open_)):
            for i, j in np.argwhere(mask):
                what, index = tell(int(i), int(j))
                numbers = (float(array[i, j]) for array in (found, expected, estimate, scale))
                target.append(Entry(what, index, *numbers))

    def _identity(
        self,
        report: GradientReport,
        generator: np.random.Generator,
        pull: Callable[[Array], Array],
        push: Callable[[Array], Array],
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


def _scales(found: Array, expected: Array, owner: Array, size: Array) -> Array:
    """What errors are relative to: the entry, or the largest of its row that belongs to the same variable.

    Rows that are zero but for rounding are compared with the whole Jacobian and with the values that were subtracted.
    """
    with np.errstate(invalid="ignore"):
        magnitude = np.nan_to_num(np.maximum(np.abs(found), np.abs(expected)), nan=0.0, posinf=0.0)
    scale = np.zeros_like(magnitude)
    for k in np.unique(owner):
        block = magnitude[:, owner == k]
        rows = block.max(axis=1, initial=0.0)
        scale[:, owner == k] = np.maximum(rows, 1e-4 * block.max(initial=0.0))[:, None]
    return np.maximum(scale, 1e-3 * size)


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)


def _parts(vector: Array, like: Sequence[Array]) -> list[Array]:
    ends = np.cumsum([0, *(x.size for x in like)])
    return [vector[a:b].reshape(x.shape) for a, b, x in zip(ends[:-1], ends[1:], like, strict=True)]


def _index(flat: int, arrays: Sequence[Array]) -> tuple[int, ...]:
    for array in arrays:
        if flat < array.size:
            return tuple(int(i) for i in np.unravel_index(flat, array.shape))
        flat -= array.size
    raise IndexError(flat)


def _fed(value: Any, node: Node) -> Array:
    return np.asarray(value, node.dtype.numpy)


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
        return None

    replaced = {bound.get(leaf, leaf): new for leaf, new in inputs.items()}
    made = transform(outputs, widened, replaced)
    # Constants keep their data type, so an output may still be narrower.
    return [astype(made[node], float64) if node.dtype.is_floating else made[node] for node in outputs], inputs
