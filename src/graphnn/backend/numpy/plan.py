"""Planning and running: a graph becomes a list of kernels with slots for their operands; a call only walks the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphnn.backend.base import Executable, failure, where_it_comes_from
from graphnn.backend.numpy.lower import lower
from graphnn.backend.schedule import Schedule, schedule
from graphnn.errors import ExecutionError, LoweringError
from graphnn.ir.arrays import Array
from graphnn.ir.leaves import Constant, Iota
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.op import Op


class NumpyBackend:
    """Runs graphs with NumPy, one kernel after the other."""

    name = "numpy"

    def keeps(self, op: Op) -> bool:
        """Composites are expanded: NumPy has no kernels of their own for them."""
        return False

    def compile(self, outputs: Sequence[Node], arguments: Sequence[Node], debug: str | None = None) -> Executable:
        """Plan the graph; ``debug="nan"`` finds the node that makes the first NaN or infinity of a result."""
        return _Plan(outputs, arguments, debug)


class _Plan:
    def __init__(self, outputs: Sequence[Node], arguments: Sequence[Node], debug: str | None) -> None:
        plan: Schedule = schedule(outputs, arguments, keep_all=debug is not None)
        self.debug = debug
        self.nodes = [step.node for step in plan.steps]
        self.steps = [(lower(s.node.op, s.node), s.operands, s.slot, s.free) for s in plan.steps]
        self.arguments, self.outputs = plan.arguments, plan.outputs
        self.template: list[Any] = [None] * plan.size
        for node, slot in plan.leaves:
            self.template[slot] = _leaf(node)
        self.fixed = frozenset(id(self.template[slot]) for _, slot in plan.leaves)

    def __call__(self, arguments: Sequence[Array]) -> list[Array]:
        values = self.template.copy()
        for slot, array in zip(self.arguments, arguments, strict=True):
            values[slot] = array
        step = 0
        try:
            # NaN and infinity are values here, not warnings; debug="nan" is there to find them.
            with np.errstate(all="ignore"):
                for step, (kernel, operands, slot, free) in enumerate(self.steps):  # noqa: B007
                    values[slot] = kernel(*[values[i] for i in operands])
                    for i in free:
                        values[i] = None
        except Exception as error:
            operands = self.steps[step][1]
            raise failure(self.nodes[step], [values[i] for i in operands], error) from error
        if self.debug is not None:
            self._check_finite(values)
        taken = {id(array) for array in arguments}
        return [self._own(values[slot], taken) for slot in self.outputs]

    def _own(self, value: Any, taken: set[int]) -> Array:
        # Results belong to the caller alone: views, inputs, constants and doubles are copied.
        if type(value) is not np.ndarray:
            return np.asarray(value)
        if value.base is not None or id(value) in taken or id(value) in self.fixed:
            value = value.copy()
        taken.add(id(value))
        return np.ascontiguousarray(value) if value.ndim else value

    def _check_finite(self, values: list[Any]) -> None:
        made = {slot: i for i, (_, _, slot, _) in enumerate(self.steps)}
        bad = [slot for slot in self.outputs if not _finite(values[slot])]
        if not bad:
            return
        # Walk back from the bad result to a node whose operands were all finite: it made the NaN or infinity.
        slot = min(bad)
        while slot in made:
            worse = [i for i in self.steps[made[slot]][1] if not _finite(values[i])]
            if not worse:
                break
            slot = min(worse)
        else:
            raise ExecutionError(
                "an input of the function holds NaN or infinity", "debug='nan' traced a result back to it."
            )
        node = self.nodes[made[slot]]
        array = np.asarray(values[slot])
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0]) if array.ndim else ()
        rows = [
            row._replace(spec=f"{row.spec} {_range(values[i])}")
            for row, i in zip(operand_rows(node.inputs), self.steps[made[slot]][1], strict=False)
        ]
        raise ExecutionError(
            f"{node.op.name} made {array[place]}{f' at index {list(place)}' if place else ''} of {node.label}: {node.spec}",
            "All its operands were finite. This check is there because of debug='nan'.",
            operands=rows,
            at=where_it_comes_from(node),
        )


def _leaf(node: Node) -> Array:
    if isinstance(node.op, Constant):
        return node.op.payload.array
    if isinstance(node.op, Iota):
        size: Any = node.op.size
        return np.arange(size, dtype=np.int64).astype(node.op.dtype.numpy)
    raise LoweringError(f"the NumPy backend got the leaf {node.label} ({node.op.name}), which has no value")


def _finite(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind in "biu" or bool(np.isfinite(array).all())


def _range(value: Any) -> str:
    array = np.asarray(value)
    if array.size == 0:
        return "(empty)"
    low, high = array.min(), array.max()
    return f"= {low:g}" if low == high else f"from {low:g} to {high:g}"
