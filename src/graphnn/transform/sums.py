"""The sum of what several readers of a node contribute to its adjoint."""

from __future__ import annotations

from graphnn.ir.dims import Size
from graphnn.ir.node import Node
from graphnn.ops.movement import Concat, Pad


def sum_of(nodes: list[Node]) -> Node:
    """The sum of nodes of one shape."""
    nodes = _joined(nodes)
    total = nodes[0]
    for node in nodes[1:]:
        total = total + node
    return total


def _joined(nodes: list[Node]) -> list[Node]:
    """The summands, with those that are parts of one array side by side, zeros beside them, joined instead of padded."""
    rows: dict[int, dict[Size, Node]] = {}
    rest: list[Node] = []
    for node in nodes:
        axes = [i for i, w in enumerate(node.op.widths) if w != (0, 0)] if isinstance(node.op, Pad) else []
        row = rows.setdefault(axes[0], {}) if len(axes) == 1 else None
        start = node.op.widths[axes[0]][0] if row is not None else 0  # type: ignore[attr-defined]
        if row is None or start in row:
            rest.append(node)
        else:
            row[start] = node
    for axis, row in rows.items():
        while row:
            ends = {start + node.inputs[0].shape[axis] for start, node in row.items()}
            first = next((start for start in row if start not in ends), None)
            if first is None:  # parts of no size
                rest += row.values()
                break
            parts = [row.pop(first)]
            place = first + parts[0].inputs[0].shape[axis]
            while place in row:
                parts.append(row.pop(place))
                place = place + parts[-1].inputs[0].shape[axis]
            rest.append(_side_by_side(parts, axis))
    return rest


def _side_by_side(parts: list[Node], axis: int) -> Node:
    if len(parts) == 1:
        return parts[0]
    joined = Concat(axis)(*[part.inputs[0] for part in parts])
    widths = parts[0].op.widths[axis][0], parts[-1].op.widths[axis][1]  # type: ignore[attr-defined]
    if widths == (0, 0):
        return joined
    return Pad(tuple([widths if i == axis else (0, 0) for i in range(joined.ndim)]))(joined)
