"""What became of a graph, in words: passes with their times, kernels, memory, and where the machine code came from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from graphnn.backend.native.items import Item
from graphnn.backend.native.layout import is_counted, is_literal
from graphnn.backend.native.products import Product
from graphnn.backend.native.regions import Group
from graphnn.ir.source import Source
from graphnn.ir.spec import Bundle
from graphnn.transform.branches import Switch
from graphnn.transform.loops import Scan

if TYPE_CHECKING:
    from graphnn.backend.native.plan import Plan

_MOST_LINES = 3
_MOST_ARRAYS = 8
"""Of the memory plan; in a deep network there are hundreds, which look alike."""


def report(plan: Plan) -> str:
    """The text of ``f.explain()``."""
    done = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in plan.times.items())
    lines = [f"compiling: {done}"]
    origin = plan.library.origin if plan.native else "there is none"
    lines.append(f"machine code: {origin}; {len(plan.text):,} characters of LLVM IR")
    total_flops = sum(flops(group) for _, group in plan.kernels)
    total_bytes = sum(traffic(group) for _, group in plan.kernels)
    count = f"{len(plan.kernels)} native kernels"
    lines.append(f"{count}: {_short(total_flops)}FLOP, {_short(total_bytes)}B read and written")
    for number, (name, group) in enumerate(plan.kernels):
        work = f"{_short(flops(group))}FLOP"
        moved = f"{_short(traffic(group))}B"
        lines.append(f"  {number:3} {name:16} {work:>12} {moved:>10}  {_operations(group)}  {_places(group)}".rstrip())
    for item in plan.by_numpy:
        assert item.node is not None
        spec = f"{item.dtype}{list(item.shape)}"
        lines.append(
            f"  NumPy runs {item.node.op.name}: {spec}, it has no native lowering for this  {_source(item)}".rstrip()
        )
    lines.append(_memory(plan))
    return "\n".join(lines)


def times(plan: Plan, seconds: list[float]) -> str:
    """The text of ``f.profile()``: the kernels of a plan that runs each by itself, the slowest first."""
    total = sum(seconds)
    lines = [f"{len(seconds)} kernels, {total * 1e6:.1f} us together, each as fast as it ever was"]
    native = iter(plan.kernels)
    rows = []
    for step, second in zip(plan.program.steps, seconds, strict=True):
        share = f"{second / total:6.1%} {second * 1e6:10.1f} us"
        if isinstance(step, Item):
            assert step.node is not None
            rows.append((second, f"{share} {'':24}  NumPy: {step.node.op.name}  ({_source(step)})"))
        else:
            name, group = next(native)
            rate = f"{_short(flops(group) / second)}FLOP/s {_short(traffic(group) / second)}B/s"
            rows.append((second, f"{share} {rate:>24}  {name} {_operations(group)}  {_places(group)}"))
    rows.sort(key=lambda row: -row[0])
    return "\n".join([*lines, *[text for _, text in rows]])


def _operations(group: Group) -> str:
    first = group.items[0]
    shape = list(first.wide or first.shape) if group.closed else list(group.domain)
    if first.node is not None and isinstance(first.node.spec, Bundle):
        return f"{first.node.op.name} {first.node.spec}{_bodies(first)}"
    return f"{shape} {_names(group.items)}"


def _names(items: Iterable[Item]) -> str:
    names: dict[str, int] = {}
    for item in items:
        name = "copy" if item.key == "copy" or item.node is None else item.node.op.name
        names[name] = names.get(name, 0) + 1
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in names.items())


def _bodies(item: Item) -> str:
    """What is inside of a loop or a choice."""
    if item.node is None or not item.bodies:
        return ""
    listed = [_names(inner for group in program.groups for inner in group.items) for program, _ in item.bodies]
    if isinstance(item.node.op, Switch):
        return f", one of: {' | '.join(listed)}"
    steps = f"{item.bodies[0][1]} steps" if isinstance(item.node.op, Scan) else "each step, which is what is counted"
    return f", {steps}: {', '.join(names for names in listed if names)}"


def _all_items(group: Group) -> Iterator[Item]:
    """The items of a group, and those inside of its loops."""
    for item in group.items:
        yield item
        for program, _ in item.bodies:
            for inner in program.groups:
                yield from _all_items(inner)


def _places(group: Group) -> str:
    found = list(dict.fromkeys(_source(item) for item in _all_items(group)))
    found = [place for place in found if place]
    more = f" and {len(found) - _MOST_LINES} more" if len(found) > _MOST_LINES else ""
    return f"({', '.join(found[:_MOST_LINES])}{more})" if found else ""


def _source(item: Item) -> str:
    node = item.node
    if node is None:
        return ""
    if node.origin is not None and node.origin[1].source is not None:
        return f"{node.origin[0]} of {_line(node.origin[1].source)}"
    return _line(node.source) if node.source is not None else ""


def _line(source: Source) -> str:
    return str(source).partition(" ")[0]


def flops(group: Group) -> int:
    """Floating-point operations of a kernel: one for each element of each item, two for each term of a product.

    A scan does those of all its steps; a `while_loop`, of which nobody knows how many there are, is counted with one; a
    choice with the dearest of its branches.
    """
    count = 0
    for item in group.items:
        inside = [times * sum(map(flops, program.groups)) for program, times in item.bodies]
        if inside:
            chosen = item.node is not None and isinstance(item.node.op, Switch)
            count += max(inside) if chosen else sum(inside)
        if isinstance(item.key, Product):
            count += item.key.work
        elif item.role == "reduce":
            count += math.prod(item.wide)
        elif item.role == "element" and item.key != "copy" and item.dtype.is_floating:
            count += item.size
    return count


def traffic(group: Group) -> int:
    """Bytes that a kernel reads and writes, each array counted once."""
    inside, arrays = set(group.items), {}
    for item in group.items:
        if item.stored:
            arrays[item] = item.bytes
        for access in item.operands:
            if access.item not in inside and not is_literal(access.item) and not is_counted(access.item):
                arrays[access.item] = access.item.bytes
    return sum(arrays.values())


def _memory(plan: Plan) -> str:
    results = sum(math.prod(shape) * dtype.itemsize for shape, dtype, _ in plan.outputs)
    kept = sum(item.bytes for item in plan.arena.offsets)
    lines = [
        f"memory: {_short(plan.arena.size)}B between kernels ({len(plan.arena.offsets)} arrays, {_short(kept)}B if each had "
        f"its own), {_short(results)}B of results"
    ]
    numbers = {group: str(number) for number, (_, group) in enumerate(plan.kernels)}
    largest = sorted(plan.arena.lives, key=lambda life: -life.size)
    for life in largest[:_MOST_ARRAYS]:
        item = life.item
        first, last = (numbers.get(plan.program.groups[place], "NumPy") for place in (life.first, life.last))
        place, kernels = f"at {plan.arena.offsets[item]:,}", f"kernels {first} to {last}"
        lines.append(f"  {_short(item.bytes):>7}B {place:16} {kernels:20}  {list(item.shape)} {_names([item])}")
    if len(largest) > _MOST_ARRAYS:
        lines.append(f"  and {len(largest) - _MOST_ARRAYS} more, none of them larger")
    return "\n".join(lines)


def _short(number: float) -> str:
    for unit in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} T"
