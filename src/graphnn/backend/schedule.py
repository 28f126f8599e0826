"""In which order the nodes of a graph run, where their values are kept, and when they are let go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from graphnn.ir.graph import topological
from graphnn.ir.node import Node


class Slot(NamedTuple):
    """One step of a schedule: a node, the slots of its operands, its own slot, and the slots that are free after it."""

    node: Node
    operands: tuple[int, ...]
    slot: int
    free: tuple[int, ...]


class Schedule(NamedTuple):
    """The steps, and the slots of arguments, fixed leaves and outputs."""

    steps: tuple[Slot, ...]
    arguments: tuple[int, ...]
    leaves: tuple[tuple[Node, int], ...]
    outputs: tuple[int, ...]
    size: int


def schedule(outputs: Sequence[Node], arguments: Sequence[Node], *, keep_all: bool = False) -> Schedule:
    """Give every node a slot; with `keep_all` nothing is freed."""
    order = topological([*outputs, *arguments])
    slot = {node: i for i, node in enumerate(order)}
    given = set(arguments)
    last: dict[Node, Node] = {}
    for node in order:
        for operand in node.inputs:
            last[operand] = node
    for node in outputs:
        last.pop(node, None)
    dying: dict[Node, list[int]] = {}
    if not keep_all:
        for operand, user in last.items():
            # Arguments and constants belong to others: letting go of them early frees nothing.
            if operand not in given and operand.inputs:
                dying.setdefault(user, []).append(slot[operand])
    steps = tuple(
        Slot(node, tuple(slot[n] for n in node.inputs), slot[node], tuple(dying.get(node, ())))
        for node in order
        if node not in given and node.inputs
    )
    leaves = tuple((node, slot[node]) for node in order if node not in given and not node.inputs)
    return Schedule(steps, tuple(slot[n] for n in arguments), leaves, tuple(slot[n] for n in outputs), len(order))
