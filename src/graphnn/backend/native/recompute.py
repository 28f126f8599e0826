"""What is computed again where it is needed, because that is cheaper than to store it and to read it back.

A group of element-wise work, as an activation, hands values on to groups that come later, as its gradient. What it
hands on is the least that the others can be computed from: a minimal cut through its items, weighed by the memory that
has to be written and read. What is dear, as an exponential, and what is reduced, is never computed again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from graphnn.backend.native.items import Access, Item
from graphnn.backend.native.layout import is_counted, is_literal
from graphnn.backend.native.products import Product
from graphnn.backend.native.regions import Group, Regions, find, same_place
from graphnn.ops.arithmetic import Divide
from graphnn.ops.exponential import Sqrt

_OPERATION, _SLOW = 1.4, 6.0  # what computing an element again costs, measured in bytes that are written or read
_LEAST_BYTES = 1 << 16  # a smaller array is in the nearest caches when it is read


def recompute(items: Sequence[Item], regions: Regions) -> list[Item] | None:
    """The items with some of them twice, and those left out that nobody needs any more; None if nothing changes."""
    readers: dict[Item, list[tuple[Item, int]]] = {}
    for item in items:
        for number, access in enumerate(item.operands):
            readers.setdefault(access.item, []).append((item, number))
    before: dict[Item, list[Item]] = {}  # the copies that come before an item
    for group in regions.groups:
        if not group.closed:
            _cut(group, readers, before)
    if not before:
        return None
    made = [one for item in items for one in (*before.get(item, ()), item)]
    for index, item in enumerate(made):
        item.index = index
    return made


def _cut(group: Group, readers: dict[Item, list[tuple[Item, int]]], before: dict[Item, list[Item]]) -> None:
    inside = set(group.items)
    wanted: list[Item] = []  # what could be computed again by all that read it outside
    kept: dict[Item, int] = {}  # what is stored whatever happens, and its last reader
    for item in group.items:
        outside = [(r, n) for r, n in readers.get(item, ()) if r not in inside]
        if item.output >= 0 or not all(_may_compute(reader, reader.operands[n]) for reader, n in outside):
            kept[item] = max([reader.index for reader, _ in outside], default=-1)
        elif outside:
            wanted.append(item)
    if not wanted or sum(item.bytes for item in wanted) < _LEAST_BYTES:
        return
    when = min(reader.index for item in wanted for reader, _ in readers[item] if reader not in inside)

    def weight(item: Item) -> int:
        if item in kept:
            # Read elsewhere at about that time, as an activation by the product that gives the gradient of the weights,
            # it is there then, and in the caches.
            return 0 if 2 * kept[item] > when + item.index else item.bytes
        if item in inside:
            return item.bytes * 2
        rides = isinstance(item.key, Product) and all(reader in inside for reader, _ in readers[item])
        return item.bytes * (2 if rides else 1)

    flow = _Flow(weight)
    for item in group.items:
        if _cheap(item):
            for access in item.operands:
                if not is_literal(access.item) and not is_counted(access.item):
                    flow.edges.setdefault(access.item, []).append(item)
                    if access.item not in inside:
                        flow.sources[access.item] = None
        else:
            flow.sources[item] = None
    cut = flow.cut(wanted)
    again = [item for item in wanted if item not in cut]
    if not again:
        return
    families: dict[Group, list[tuple[Item, int]]] = {}
    for item in again:
        for reader, number in readers[item]:
            if reader not in inside:
                assert reader.group is not None
                families.setdefault(find(reader.group), []).append((reader, number))
    stop = cut | kept.keys()
    cost = 0.0
    for pairs in families.values():
        for item in _computed({reader.operands[n].item for reader, n in pairs}, inside, stop):
            slow = isinstance(item.key, tuple) and isinstance(item.key[0], (Divide, Sqrt))
            cost += item.size * (_SLOW if slow else _OPERATION)
    if sum(2 * item.bytes for item in wanted) <= sum(weight(item) for item in cut) + cost:
        return
    for pairs in families.values():
        copies: dict[Item, Item] = {}
        first = min((reader for reader, _ in pairs), key=lambda item: item.index)
        place = before.setdefault(first, [])
        for item in _computed({reader.operands[n].item for reader, n in pairs}, inside, stop):
            copies[item] = copy = Item(0, "element", item.node, item.shape, item.dtype)
            copy.emit, copy.key, copy.again = item.emit, item.key, True
            copy.operands = [a._replace(item=copies.get(a.item, a.item)) for a in item.operands]
            place.append(copy)
        for reader, number in pairs:
            access = reader.operands[number]
            reader.operands[number] = access._replace(item=copies[access.item])


def _may_compute(reader: Item, access: Access) -> bool:
    """Whether a reader can have what it reads computed in its own loops."""
    if reader.role not in ("element", "reduce") or reader.group is None or find(reader.group).closed:
        return False
    return same_place(reader.wide if reader.role == "reduce" else reader.shape, access)


def _cheap(item: Item) -> bool:
    return item.role == "element" and not getattr(item.emit, "dear", False)


def _computed(wanted: set[Item], inside: set[Item], stop: set[Item]) -> list[Item]:
    """What has to be computed for the wanted items, in order."""
    found, stack = set(wanted), list(wanted)
    while stack:
        for access in stack.pop().operands:
            item = access.item
            if item in inside and item not in stop and item not in found:
                found.add(item)
                stack.append(item)
    return sorted(found, key=lambda item: item.index)


class _Flow:
    """A network whose nodes have capacities, and its minimal cut: the largest flow from the sources to what is wanted.

    Each node has two halves; what flows from the first to the second flows through it.
    """

    def __init__(self, weight: Callable[[Item], int]) -> None:
        self.weight = weight
        self.edges: dict[Item, list[Item]] = {}
        self.sources: dict[Item, None] = {}

    def cut(self, wanted: Sequence[Item]) -> set[Item]:
        """The nodes of the minimal cut that is nearest to what is wanted."""
        back: dict[Item, list[Item]] = {}
        for item, others in self.edges.items():
            for other in others:
                back.setdefault(other, []).append(item)
        used: dict[Item, int] = {}  # what flows through a node
        along: dict[tuple[Item, Item], int] = {}  # and from one to the next

        def arrivals(node: tuple[Item, bool]) -> list[tuple[Item, bool]]:
            """The halves from which more could flow to this one; True is the second half."""
            item, second = node
            if second:
                found = [(item, False)] if used.get(item, 0) < self.weight(item) else []
                return found + [(other, False) for other in self.edges.get(item, ()) if along.get((item, other), 0)]
            found = [(other, True) for other in back.get(item, ())]
            return found + ([(item, True)] if used.get(item, 0) else [])

        while True:
            # Backwards from the wanted ones; the nodes seen when nothing more can flow are those behind the cut.
            following: dict[tuple[Item, bool], tuple[Item, bool] | None] = {(item, True): None for item in wanted}
            queue = list(following)
            reached = None
            for node in queue:
                if not node[1] and node[0] in self.sources:
                    reached = node
                    break
                for earlier in arrivals(node):
                    if earlier not in following:
                        following[earlier] = node
                        queue.append(earlier)
            if reached is None:
                return {item for item, second in following if second and (item, False) not in following}
            path = [reached]
            while (after := following[path[-1]]) is not None:
                path.append(after)
            rooms = [self._room(a, b, used, along) for a, b in itertools.pairwise(path)]
            amount = min(rooms)
            for a, b in itertools.pairwise(path):
                if a[0] is b[0]:
                    used[a[0]] = used.get(a[0], 0) + (amount if b[1] else -amount)
                elif a[1]:
                    along[a[0], b[0]] = along.get((a[0], b[0]), 0) + amount
                else:
                    along[b[0], a[0]] -= amount

    def _room(
        self, a: tuple[Item, bool], b: tuple[Item, bool], used: dict[Item, int], along: dict[tuple[Item, Item], int]
    ) -> int:
        if a[0] is b[0]:
            return self.weight(a[0]) - used.get(a[0], 0) if b[1] else used[a[0]]
        return 1 << 62 if a[1] else along[b[0], a[0]]
