"""Branches and loops. What decides about them is part of the graph: branches are chosen and loops are laid out."""

from __future__ import annotations

from typing import Any

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axis

MOST_ROUNDS = 10_000
"""How often the body of a loop may be laid out."""


@onnx_op("If")
def branch(call: Call, condition: Node) -> tuple[Node, ...]:
    """The outputs of one of two graphs."""
    value = call.static(0)
    if value.size != 1:
        raise call.error("the condition is one truth value")
    return tuple(call.run("then_branch" if value.reshape(-1)[0] else "else_branch"))


def _rounds(call: Call, count: int) -> None:
    if count > MOST_ROUNDS:
        raise call.unsupported(f"a loop of {count} rounds; {MOST_ROUNDS} are laid out at most")


@onnx_op("Loop")
def loop(call: Call, most: Node | None, condition: Node | None, *carried: Node) -> tuple[Node, ...]:
    """The body, so many times or until its condition fails: the last carried values, then the others stacked."""
    limit = int(call.static(0).reshape(-1)[0]) if most is not None else None
    going = bool(call.static(1).reshape(-1)[0]) if condition is not None else True
    states: list[Node] = list(carried)
    rows: list[list[Node]] = []
    count = len(call.outputs) - len(states)
    i = 0
    while going and (limit is None or i < limit):
        _rounds(call, i + 1)
        keep, *made = call.run("body", gn.constant(i, "int64"), gn.constant(True), *states)
        if len(made) < len(states):
            raise call.error(f"the body gives {len(made)} values, but {len(states)} are carried")
        states, out = made[: len(states)], made[len(states) :]
        rows.append(out)
        i += 1
        if limit is None or i < limit:
            going = bool(call.value_of(keep).reshape(-1)[0])
    if count and not rows:
        raise call.unsupported("a loop without rounds that stacks values")
    return (*states, *(gn.stack(list(column)) for column in zip(*rows, strict=True)))


@onnx_op("Scan")
def scan_with_batches(call: Call, *inputs: Any) -> tuple[Node, ...]:
    """The first version, which had an axis of batches."""
    raise call.unsupported("version 8 of Scan")


@onnx_op("Scan", since=9)
def scan(call: Call, *inputs: Node) -> tuple[Node, ...]:
    """The body for each slice of some inputs: the last carried values, then the others stacked."""
    count = call.integer("num_scan_inputs")
    if not 0 < count <= len(inputs):
        raise call.error(f"num_scan_inputs is {count} for {len(inputs)} inputs")
    states, sequences = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count :]
    stacked = len(call.outputs) - len(states)
    axes = call.integers("scan_input_axes", (0,) * count)
    backwards = call.integers("scan_input_directions", (0,) * count)
    out_axes = call.integers("scan_output_axes", (0,) * stacked)
    out_backwards = call.integers("scan_output_directions", (0,) * stacked)
    if len(axes) != count or len(backwards) != count or len(out_axes) != stacked or len(out_backwards) != stacked:
        raise call.error("the axes and directions do not fit the inputs and outputs")
    slices: list[tuple[Node, ...]] = []
    for x, axis, reverse in zip(sequences, axes, backwards, strict=True):
        place = normalize_axis("Scan", axis, x.ndim)
        length = x.shape[place]
        if not isinstance(length, int):
            raise call.unsupported(f"a loop over an axis of the named size {length}")
        _rounds(call, length)
        parts = gn.unstack(x, axis=place)
        slices.append(parts[::-1] if reverse else parts)
    if len({len(parts) for parts in slices}) != 1:
        raise call.error("the sequences differ in length")
    rows = []
    for parts in zip(*slices, strict=True):
        made = call.run("body", *states, *parts)
        states, out = made[: len(states)], made[len(states) :]
        rows.append(out)
    if stacked and not rows:
        raise call.unsupported("a loop without rounds that stacks values")
    columns = [list(column) for column in zip(*rows, strict=True)]
    return (
        *states,
        *(
            gn.stack(column[::-1] if reverse else column, axis=axis)
            for column, axis, reverse in zip(columns, out_axes, out_backwards, strict=True)
        ),
    )
