"""Planning and running: a graph becomes a list of kernels with slots for their operands; a call only walks the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphnn.backend.base import Form, failure, value_of, where_it_comes_from
from graphnn.backend.numpy.lower import lower
from graphnn.backend.schedule import Schedule, schedule
from graphnn.errors import ExecutionError
from graphnn.ir.arrays import Array
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.op import Op
from graphnn.ops.results import Result


class NumpyBackend:
    """Runs graphs with NumPy, one kernel after the other."""

    name = "numpy"

    def keeps(self, op: Op) -> bool:
        """Composites are expanded: NumPy has no kernels of their own for them."""
        return False

    def compile(
        self, outputs: Sequence[Node], arguments: Sequence[Node], debug: str | None = None, form: Form | None = None
    ) -> Plan:
        """Plan the graph; ``debug="nan"`` finds the node that makes the first NaN or infinity of a result."""
        return Plan(outputs, arguments, debug)

    @staticmethod
    def compute(nodes: Sequence[Node]) -> list[Array]:
        """The values of nodes that depend on constants only."""
        return Plan(nodes, ())(())


class Plan:
    """The kernels of a graph in order, with the slots of their operands."""

    reason = ""  # why NumPy runs it, where another backend was asked for

    def __init__(self, outputs: Sequence[Node], arguments: Sequence[Node], debug: str | None = None) -> None:
        plan: Schedule = schedule(outputs, arguments, keep_all=debug is not None)
        self.debug = debug
        self.nodes = [step.node for step in plan.steps]
        self.steps = [(lower(s.node.op, s.node), s.operands, s.slot, s.free) for s in plan.steps]
        self.arguments, self.outputs = plan.arguments, plan.outputs
        self.template: list[Any] = [None] * plan.size
        for node, slot in plan.leaves:
            # Views, so that a constant is known by its base even where it comes out of a loop or branch.
            self.template[slot] = value_of(node).view()
        self.leaves = {slot: node for node, slot in plan.leaves} | dict(zip(plan.arguments, arguments, strict=True))

    def explain(self) -> str:
        """What runs, in order."""
        lines = [
            f"NumPy runs {len(self.nodes)} kernels, one after the other" + (f": {self.reason}" * bool(self.reason))
        ]
        for node in self.nodes:
            lines.append(f"  {node.op.name:20} {node.spec!s:28} {where_it_comes_from(node)}".rstrip())
        return "\n".join(lines)

    def __call__(self, arguments: Sequence[Array]) -> list[Array]:
        # NaN and infinity are values here, not warnings; debug="nan" is there to find them.
        with np.errstate(all="ignore"):
            values = self._execute(arguments)
        if self.debug is not None:
            self._check_finite(values)
        taken = {id(array) for array in arguments}
        try:
            return [self._own(values[slot], taken) for slot in self.outputs]
        except MemoryError as error:  # a view of little may be a result beyond all memory
            sizes = [values[slot].nbytes for slot in self.outputs]
            raise ExecutionError("out of memory", f"The results take {sum(sizes):,} bytes.") from error

    def run(self, arguments: Sequence[Any]) -> list[Any]:
        """The outputs as they are: they may be views, and share memory with arguments. For graphs inside of others."""
        values = self._execute(arguments)
        return [values[slot] for slot in self.outputs]

    def _execute(self, arguments: Sequence[Any]) -> list[Any]:
        values = self.template.copy()
        for slot, array in zip(self.arguments, arguments, strict=True):
            values[slot] = array
        step = 0
        try:
            for step, (kernel, operands, slot, free) in enumerate(self.steps):  # noqa: B007
                count = len(operands)  # one and two, nearly all there are, go without a list of their own
                if count == 2:
                    left, right = operands
                    values[slot] = kernel(values[left], values[right])
                elif count == 1:
                    values[slot] = kernel(values[operands[0]])
                else:
                    values[slot] = kernel(*[values[i] for i in operands])
                for i in free:
                    values[i] = None
        except Exception as error:
            if isinstance(error, ExecutionError) and error.at:  # inside of a loop: it says already where
                raise
            operands = self.steps[step][1]
            raise failure(self.nodes[step], [values[i] for i in operands], error) from error
        return values

    def _own(self, value: Any, taken: set[int]) -> Array:
        # Results belong to the caller alone: views, inputs, constants and doubles are copied.
        if type(value) is not np.ndarray:
            return np.asarray(value)
        if value.base is not None or id(value) in taken:
            value = value.copy()
        taken.add(id(value))
        return np.ascontiguousarray(value) if value.ndim else value

    def _check_finite(self, values: list[Any]) -> None:
        operands = {slot: inputs for _, inputs, slot, _ in self.steps}
        for (_, inputs, slot, _), node in zip(self.steps, self.nodes, strict=True):
            if isinstance(node.op, Result):  # what made it is the operation with all the results
                operands[slot] = operands[inputs[0]]
        # All values that are not finite and from which a result is computed that is not finite either.
        bad = {slot for slot in self.outputs if not _finite(values[slot])}
        stack = list(bad)
        while stack:
            for i in operands.get(stack.pop(), ()):
                if i not in bad and not _finite(values[i]):
                    bad.add(i)
                    stack.append(i)
        if not bad:
            return
        # To blame is the first that is NaN though no operand is, or infinite though all operands are finite. What is
        # infinite by the will of the user, such as the constant of a mask, is blamed only if nothing else is.
        nan = {slot for slot in bad if _has_nan(values[slot])}
        blamed = [
            slot
            for slot in bad
            if (slot in nan and nan.isdisjoint(operands.get(slot, ())))
            or (slot in operands and slot not in nan and bad.isdisjoint(operands[slot]))
        ]
        slot = min(blamed or bad)
        array = np.asarray(values[slot])
        place = tuple(int(i) for i in np.argwhere(np.isnan(array) if slot in nan else ~np.isfinite(array))[0])
        found = f"{array[place]}{f' at index {list(place)}' if place else ''}"
        advice = "This check is there because of debug='nan'."
        if slot in self.leaves:
            node = self.leaves[slot]
            raise ExecutionError(
                f"the {_KINDS.get(node.op.name, node.op.name)} {node.label} holds {found}",
                f"A result of the function is not finite because of it. {advice}",
                operands=operand_rows((node,)),
                at=where_it_comes_from(node),
            )
        step = next(i for i, (_, _, other, _) in enumerate(self.steps) if other == slot)
        node = self.nodes[step]
        node = node.inputs[0] if isinstance(node.op, Result) else node
        rows = [
            row._replace(spec=f"{row.spec} {_range(values[i])}")
            for row, i in zip(operand_rows(node.inputs), operands[slot], strict=False)
        ]
        innocent = "All its operands were finite" if bad.isdisjoint(operands[slot]) else "None of its operands was NaN"
        raise ExecutionError(
            f"{node.op.name} made {found} of {node.label}: {node.spec}",
            f"{innocent}. {advice}",
            operands=rows,
            at=where_it_comes_from(node),
        )


_KINDS = {"placeholder": "input"}


def _finite(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind in "biu" or bool(np.isfinite(array).all())


def _has_nan(value: Any) -> bool:
    return bool(np.isnan(np.asarray(value)).any())


def _range(value: Any) -> str:
    array = np.asarray(value)
    if array.size == 0:
        return "(empty)"
    low, high = array.min(), array.max()
    return f"= {low:g}" if low == high else f"from {low:g} to {high:g}"
