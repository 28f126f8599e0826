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
    steps: list[Slot] = []
    # Against the order, the first reader of a value that is met is the last one to read it.
    read = set(outputs)
    for node in reversed(order):
        if node in given or not node.inputs:
            continue
        free: tuple[int, ...] = ()
        if not keep_all:
            # Arguments and constants belong to others: letting go of them early frees nothing.
            dying = [n for n in dict.fromkeys(node.inputs) if n not in read and n not in given and n.inputs]
            free = tuple([slot[n] for n in dying])
            read.update(node.inputs)
        steps.append(Slot(node, tuple([slot[n] for n in node.inputs]), slot[node], free))
    steps.reverse()
    leaves = tuple((node, slot[node]) for node in order if node not in given and not node.inputs)
    return Schedule(
        tuple(steps), tuple(slot[n] for n in arguments), leaves, tuple(slot[n] for n in outputs), len(order)
    )
