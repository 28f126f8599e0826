"""Reverse mode: one walk against the topological order, from the outputs to what they depend on.

The adjoint of a node is the sum of the contributions of all nodes that read it; each contribution is made by the
rule of its reader. Everything here builds nodes: the result is an ordinary graph, which can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from graphnn.errors import DifferentiationError, GraphError, ShapeError
from graphnn.ir import tree
from graphnn.ir.collector import without_collector
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Parameter, Placeholder, constant
from graphnn.ir.node import Node, explain, operand_rows
from graphnn.ir.op import Elementwise, General, Linear, Masked, Multi
from graphnn.ir.source import serving, user_source
from graphnn.ir.spec import shape_text
from graphnn.ops.arithmetic import negative
from graphnn.ops.bitwise import StopGradient, astype
from graphnn.ops.comparison import logical_and, logical_or, where
from graphnn.ops.composite import Composite
from graphnn.ops.movement import Reshape, broadcast_to
from graphnn.ops.operands import as_node
from graphnn.ops.reduction import Any_, Sum
from graphnn.ops.results import Result, results_of
from graphnn.transform.sums import sum_of


class Pull:
    """A cotangent on its way: its value counts where the mask (if there is one) is True, and is zero elsewhere."""

    __slots__ = ("_whole", "mask", "value")

    def __init__(self, value: Node, mask: Node | None = None) -> None:
        self.value, self.mask = value, mask
        self._whole: Node | None = value if mask is None else None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.value, self.mask))

    def materialized(self) -> Node:
        """The cotangent as a single node, the same one at every call."""
        if self._whole is None:
            assert self.mask is not None
            self._whole = where(self.mask, self.value, as_node(0.0, self.value.dtype))
        return self._whole


class Contribution(NamedTuple):
    """What one reader adds to the adjoint of one of its operands."""

    reader: Node
    position: int
    pull: Pull


class Step(NamedTuple):
    """One node of the reverse pass: what is added to its adjoint, and the sum."""

    node: Node
    contributions: tuple[Contribution, ...]
    adjoint: Pull


def reverse_pass(
    outputs: Sequence[Node],
    cotangents: Sequence[Pull],
    wrt: Iterable[Node],
    stop: frozenset[Node] = frozenset(),
    *,
    record: bool = False,
    serve: Node | None = None,
    ends: bool = False,
) -> tuple[dict[Node, Pull], list[Step]]:
    """The adjoints of `wrt`, and with `record` every step of the pass in the order in which it was made.

    Nodes in `stop` are taken as independent: the walk does not go past them. With `ends` they are leaves: what arrives at
    them is asked for as it is, without the mask that would go on with it. All that is built serves the node `serve`
    where it is given (a composite whose body this is), else the node whose rule built it.
    """
    targets = frozenset(wrt)
    active = active_between(outputs, targets, stop)
    arriving: dict[Node, list[Contribution]] = {}
    for node, cotangent in zip(outputs, cotangents, strict=True):
        if node in active:
            arriving.setdefault(node, []).append(Contribution(node, -1, cotangent))
    adjoints: dict[Node, Pull] = {}
    steps: list[Step] = []
    for node in reversed(active):
        contributions = arriving.pop(node, None)
        if not contributions:
            continue
        with serving(node if serve is None else serve, "reverse"):
            if isinstance(node.op, Multi):
                if node not in stop:
                    for position, pull in enumerate(_bundle_pulls(node.op, node, contributions)):
                        operand = node.inputs[position]
                        if pull is not None and operand in active:
                            pull = _fit(pull, operand, ends and operand in stop)
                            arriving.setdefault(operand, []).append(Contribution(node, position, pull))
                continue
            adjoint = _total([c.pull for c in contributions])
            if record:
                steps.append(Step(node, tuple(contributions), adjoint))
            if node in targets:
                adjoints[node] = adjoint
            if node in stop or not node.inputs:
                continue
            wanted = [operand in active for operand in node.inputs]
            if True not in wanted:
                continue
            if isinstance(node.op, Result):  # its bundle collects what comes from all results
                arriving.setdefault(node.inputs[0], []).append(Contribution(node, node.op.index, Pull(*adjoint)))
                continue
            for position, pull in enumerate(pulls_of(node, adjoint, wanted)):
                if pull is not None and wanted[position]:
                    operand = node.inputs[position]
                    pull = _fit(pull, operand, ends and operand in stop)
                    arriving.setdefault(operand, []).append(Contribution(node, position, pull))
    return adjoints, steps


def active_between(outputs: Sequence[Node], targets: frozenset[Node], stop: frozenset[Node]) -> dict[Node, None]:
    """The nodes between the targets and the outputs, in topological order, that carry a derivative."""
    active: dict[Node, None] = {}
    for node in topological(outputs, stop):
        if not node.spec.differentiable:
            continue
        flows = node not in stop and not isinstance(node.op, StopGradient)
        if node in targets or (flows and any(operand in active for operand in node.inputs)):
            active[node] = None
    return active


def pulls_of(node: Node, adjoint: Pull, wanted: list[bool]) -> list[Pull | None]:
    """The contributions of one node to its operands, by its op's rule."""
    op, operands = node.op, node.inputs
    if isinstance(op, Elementwise):
        g, mask = adjoint
        pulls: list[Pull | None] = []
        for partial, want in zip(op.partials(*operands, out=node), wanted, strict=True):
            if partial is None or not want:
                pulls.append(None)
            elif isinstance(partial, DifferentiationError):
                raise explain(partial, operands, node)
            elif isinstance(partial, int):
                pulls.append(Pull(g if partial == 1 else negative(g), mask))
            else:
                pulls.append(Pull(g * partial, mask))
        return pulls
    if isinstance(op, Composite):
        return _composite_pulls(op, node, adjoint, wanted)
    if isinstance(op, Linear) and op.mask_follows and adjoint.mask is not None:
        values, masks = op.transpose(adjoint.value, *operands), op.transpose(adjoint.mask, *operands)
        return [
            None if value is None else Pull(value, mask)  # type: ignore[arg-type]
            for value, mask in zip(values, masks, strict=True)
        ]
    g, mask = adjoint if op.elementwise else Pull(adjoint.materialized())
    if isinstance(op, Linear):
        rule = op.transpose(g, *operands)
    elif isinstance(op, General):
        rule = op.vjp(g, *operands, out=node)
    else:
        raise DifferentiationError(f"{op.name} has no derivative rule", at=str(node.source or ""))
    return [as_pull(cotangent, mask) for cotangent in rule]


def _bundle_pulls(op: Multi, node: Node, contributions: list[Contribution]) -> list[Pull | None]:
    """The contributions of an operation with several results to its operands."""
    outs = list(results_of(node))
    arrived: dict[int, list[Pull]] = {}
    for reader, index, pull in contributions:
        outs[index] = reader
        arrived.setdefault(index, []).append(pull)
    gs = tuple([_total(arrived[i]).materialized() if i in arrived else None for i in range(len(outs))])
    return [as_pull(cotangent) for cotangent in op.vjp(gs, *node.inputs, outs=tuple(outs))]


def as_pull(cotangent: Node | Masked | None, mask: Node | None = None) -> Pull | None:
    """What a rule gives for one operand, on its way; `mask` is that of the result's cotangent."""
    if cotangent is None:
        return None
    if isinstance(cotangent, Masked):
        return Pull(cotangent.value, cotangent.mask if mask is None else logical_and(cotangent.mask, mask))
    return Pull(cotangent, mask)


def _composite_pulls(op: Composite, node: Node, adjoint: Pull, wanted: list[bool]) -> list[Pull | None]:
    g, mask = adjoint if op.elementwise else Pull(adjoint.materialized())
    rule = op.vjp(g, *node.inputs, out=node)
    if rule is not None:
        return [as_pull(cotangent, mask) for cotangent in rule]
    inner = op.expand(*node.inputs)
    targets = [operand for operand, want in zip(node.inputs, wanted, strict=True) if want]
    found, _ = reverse_pass([inner], [Pull(g, mask)], targets, frozenset(node.inputs), serve=node)
    # In f(x, x) the sum for both is found once; the first place takes it.
    return [found.pop(operand, None) for operand in node.inputs]


def _fit(pull: Pull, operand: Node, ends: bool) -> Pull:
    """The cotangent in the shape and data type of the operand: summed over what was broadcast, and cast."""
    value, mask = pull
    if value.shape == operand.shape and value.dtype is operand.dtype and mask is None:
        return pull
    if value.shape != operand.shape:
        added = value.ndim - operand.ndim
        axes = tuple(
            i for i in range(value.ndim) if i < added or (operand.shape[i - added] == 1 and value.shape[i] != 1)
        )
        if mask is not None:
            spread = broadcast_to(mask, value.shape)
            value = Pull(value, spread).materialized()
            # A leaf passes nothing on, so what the mask would keep from spreading is not there.
            mask = None if ends or not operand.inputs else Reshape(operand.shape)(Any_(axes)(spread))
        value = Reshape(operand.shape)(Sum(axes)(value)) if axes else value
    elif mask is not None:
        mask = broadcast_to(mask, value.shape)  # a condition may have fewer axes than what it chooses between
    if value.dtype is not operand.dtype:
        value = astype(value, operand.dtype)
    return Pull(value, mask)


def _total(pulls: list[Pull]) -> Pull:
    if len(pulls) == 1:
        return pulls[0]
    masks = [pull.mask for pull in pulls]
    if masks[0] is not None and all(mask is masks[0] for mask in masks):
        return Pull(sum_of([pull.value for pull in pulls]), masks[0])
    value = sum_of([pull.materialized() for pull in pulls])
    if any(mask is None for mask in masks):
        return Pull(value)
    union = masks[0]
    for mask in masks[1:]:
        union = logical_or(union, mask)  # type: ignore[arg-type]
    return Pull(value, union)


# --- the public functions ---


def grad(loss: Node, wrt: Any, *, allow_unused: bool = False) -> Any:
    """The gradient of a scalar: ``d loss / d w`` for each node of `wrt`, as new nodes of the same shapes.

    Parameters
    ----------
    loss : a floating-point scalar
    wrt : a node, or a list, tuple or dict of nodes: parameters, inputs, or any other nodes that the loss depends on
    allow_unused : give zeros, instead of an error, for nodes that the loss does not depend on

    Returns
    -------
    The gradients, in the structure of `wrt`.

    Raises
    ------
    DifferentiationError
        If the loss is not a scalar, something is not floating-point, or the loss does not depend on a node.

    >>> x = gn.placeholder("x", (3,))
    >>> gn.evaluate(gn.grad(gn.sum(x * x), x), {x: [1.0, 2.0, 3.0]})
    array([2., 4., 6.], dtype=float32)
    """
    return gradient("grad", loss, wrt, allow_unused)


def gradient(name: str, loss: Node, wrt: Any, allow_unused: bool = False) -> Any:
    """What `grad` does, for messages that begin with another name."""
    if not isinstance(loss, Node):
        raise GraphError(f"{name}: the loss is a node, not {loss!r}")
    if loss.ndim != 0:
        raise DifferentiationError(
            f"{name}: the loss is not a scalar: {loss.label} is {loss.spec}",
            "The loss comes first: gn.grad(loss, w)."
            if isinstance(loss.op, Parameter)
            else "Reduce it first: gn.grad(gn.mean(loss), w). For all derivatives of an array use gn.jacobian.",
            operands=operand_rows((loss,), ("loss",)),
            at=str(user_source() or ""),
        )
    check_floating(name, [loss], "the loss")
    with serving(loss, "reverse"):
        one = constant(1.0, loss.dtype)
    return _pull_back(name, [loss], [one], wrt, allow_unused)


def vjp(outputs: Any, wrt: Any, cotangents: Any, *, allow_unused: bool = False) -> Any:
    """Vector-Jacobian products: ``sum(cotangents * d outputs / d w)`` for each node of `wrt`, in one reverse pass.

    Parameters
    ----------
    outputs : a node or a list of nodes
    wrt : a node, or a tree of nodes
    cotangents : for each output an array or node of its shape
    allow_unused : give zeros for nodes that the outputs do not depend on

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.vjp(x * x, x, [1.0, 10.0]), {x: [3.0, 4.0]})
    array([ 6., 80.], dtype=float32)
    """
    ends = [outputs] if isinstance(outputs, Node) else list(outputs)
    check_floating("vjp", ends, "an output")
    return _pull_back("vjp", ends, directions("vjp", "cotangents", ends, cotangents), wrt, allow_unused)


def directions(name: str, what: str, nodes: list[Node], values: Any) -> list[Node]:
    """For each node a node of its spec, from arrays; for a single node the list around its array may be left out."""
    if len(nodes) == 1:
        alone = isinstance(values, (list, tuple)) and len(values) == 1 and as_node(values[0]).ndim == nodes[0].ndim
        values = values if alone else [values]
    if len(values) != len(nodes):
        raise GraphError(f"{name}: {len(values)} {what} for {len(nodes)} nodes")
    return [_like(name, value, node) for value, node in zip(values, nodes, strict=True)]


def _like(name: str, value: Any, node: Node) -> Node:
    given = as_node(value, node.dtype)
    if given.shape != node.shape:
        raise ShapeError(
            f"{name}: {given.spec} does not have the shape of {node.label}: {node.spec}",
            f"Give an array of the shape {shape_text(node.shape)}.",
            operands=operand_rows((given, node), ("given", "for")),
            at=str(user_source() or ""),
        )
    return astype(given, node.dtype)


@without_collector
def _pull_back(name: str, outputs: list[Node], cotangents: list[Node], wrt: Any, allow_unused: bool = False) -> Any:
    targets = checked_targets(name, outputs, wrt, allow_unused)
    adjoints, _ = reverse_pass(outputs, [Pull(g) for g in cotangents], targets)
    results = []
    for node in targets:
        pull = adjoints.get(node)
        with serving(node, "reverse"):
            results.append(zeros_of(node) if pull is None else pull.materialized())
    return tree.rebuild(wrt, iter(results))


def zeros_of(node: Node) -> Node:
    """Zeros of the spec of a node."""
    return broadcast_to(constant(0.0, node.dtype), node.shape)


def check_floating(name: str, nodes: Sequence[Node], what: str) -> None:
    """Check that nodes have derivatives at all; `what` tells what they are."""
    for node in nodes:
        if not node.dtype.is_floating:
            raise DifferentiationError(
                f"{name}: {what} is {node.dtype}: only floating-point numbers have derivatives",
                "Declare it as floating-point: dtype='float32'."
                if not node.inputs
                else f"{node.op.name} has steps and no slopes. Differentiate something smooth that leads to it."
                if not any(operand.dtype.is_integer for operand in node.inputs)
                else f"Cast it where it is made: {node.label}.astype('float32').",
                operands=operand_rows((node,), (what.split()[-1],)),
                at=str(user_source() or ""),
            )


def checked_targets(name: str, outputs: Sequence[Node], wrt: Any, allow_unused: bool = False) -> list[Node]:
    """The nodes of `wrt`, checked to be floating-point nodes that the outputs depend on."""
    targets = [leaf for _, leaf in tree.leaves(wrt)]
    for node in targets:
        if not isinstance(node, Node):
            raise GraphError(
                f"{name}: derivatives are with respect to nodes, not {node!r}"[:200],
                "Give the parameter or input itself, not its name and not its value.",
            )
    check_floating(name, targets, "the variable")
    everything = topological(outputs)
    for node in everything:
        if isinstance(node.op, General) and node.op.starts_again:
            _check_outside(name, node, targets)
    if allow_unused:
        return targets
    reached = set(everything)
    # A derivative flows along floating-point nodes only.
    smooth = {node for node in outputs if node.spec.differentiable}
    for node in reversed(everything):
        if node in smooth:
            smooth.update(operand for operand in node.inputs if operand.spec.differentiable)
    for node in targets:
        if node not in reached:
            raise DifferentiationError(
                f"{name}: {outputs[0].label} does not depend on {node.label}",
                f"There is no path from {node.label} to {outputs[0].label}, which depends on: {_sources(everything)}.",
                "Take it out of the list, or use it in the graph.",
                operands=operand_rows((outputs[0], node), ("loss", "variable")),
                at=str(user_source() or ""),
            )
        if node not in smooth:
            raise _cut_path(name, outputs, node, everything)
    return targets


def _check_outside(name: str, again: Node, targets: list[Node]) -> None:
    inside = set(topological(again.inputs[:1], stop=set(again.inputs[1:]))).difference(again.inputs[1:])
    for node in targets:
        if node in inside:
            raise DifferentiationError(
                f"{name}: {node.label} is made inside of a checkpoint, where nodes have no derivatives of their own",
                "The checkpoint computes it a second time. Make it outside, and use it in the function.",
                operands=operand_rows((node,), ("variable",)),
                at=str(user_source() or ""),
            )


def _sources(nodes: Sequence[Node]) -> str:
    names = [node.label for node in nodes if isinstance(node.op, (Placeholder, Parameter))]
    return (
        ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "constants only"
    )


def _cut_path(name: str, outputs: Sequence[Node], target: Node, everything: Sequence[Node]) -> DifferentiationError:
    # No path of floating-point nodes leads from the target to an output: show one and where it is cut.
    came_from: dict[Node, Node | None] = {target: None}
    smooth = {target}
    for node in everything:
        if node.index <= target.index:
            continue
        for operand in node.inputs:
            if operand in smooth and node.spec.differentiable:
                smooth.add(node)
            if operand in came_from:
                came_from.setdefault(node, operand)
    path: list[Node] = []
    step: Node | None = next(output for output in outputs if output in came_from)
    while step is not None:
        path.append(step)
        step = came_from[step]
    path.reverse()
    cut = next(node for node in path if node not in smooth)
    shown = [n.label for n in path]
    if len(shown) > 9:
        shown = [*shown[:4], "...", *shown[-4:]]
    return DifferentiationError(
        f"{name}: {outputs[0].label} depends on {target.label} only through {cut.label}, which is {cut.dtype}",
        f"The path {' -> '.join(shown)} has no derivative from {cut.label} on: only floating-point numbers have one.",
        operands=operand_rows((cut, target), ("cut at", "variable")),
        at=str(user_source() or ""),
    )
