"""Which items are computed together, in one loop nest: element-wise chains and the reductions that consume them.

A group has a domain: the shape its loops run over. Its full items have a value at every point of the domain; where it
holds reductions, all are over the same axes, and what follows from their results alone are row items, with a value at
every point of the axes that are kept. So a softmax, a layer norm or a cross-entropy is one group. Each item is in one
group only: nothing is computed twice.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Sequence
from typing import Any

from graphnn.backend.native.items import Access, Item, Joined, Sizes, contiguous, refine, split_strides_of_all, spread

MOST_ITEMS = 64
"""How many items one loop nest holds at most: more would not fit into registers, and compile slowly."""
_SEARCH = 64  # how many groups are looked at to find out whether one depends on another; if it takes more: it may


class Group:
    """Items that are computed in one loop nest; or one item that is computed by a kernel of its own."""

    __slots__ = ("closed", "domain", "index", "into", "items", "needed", "needs", "reduced", "rows")

    def __init__(self, index: int, domain: Sizes, reduced: tuple[bool, ...] | None, closed: bool = False) -> None:
        self.index, self.domain, self.reduced, self.closed = index, domain, reduced, closed
        self.items: list[Item] = []
        self.rows: set[Item] = set()  # the row items among them, reductions too
        self.needs: set[Group] = set()
        self.needed = False  # by another one
        self.into: Group | None = None  # where its items went

    @property
    def kept(self) -> Sizes:
        """The sizes of the axes that are not reduced."""
        flags = self.reduced or (False,) * len(self.domain)
        return tuple([n for n, gone in zip(self.domain, flags, strict=True) if not gone])

    def row_strides(self, domain: Sizes, reduced: Sequence[bool]) -> Sizes:
        """The strides of a row item on the domain."""
        kept = iter(contiguous([n for n, gone in zip(domain, reduced, strict=True) if not gone]))
        return tuple([0 if gone else next(kept) for gone in reduced])


def flags_on(shape: Sizes, axes: Sequence[int], domain: Sizes) -> tuple[bool, ...]:
    """Which axes of a domain that refines `shape` belong to the given axes of it."""
    marks = split_strides_of_all(shape, [(i in axes) * 1 for i in range(len(shape))], domain)
    assert marks is not None
    # A split axis carries its mark as a stride: 1, then 1 times the size; 0 stays 0.
    return tuple([mark != 0 for mark in marks])


def plain(shape: Sequence[int]) -> Sizes:
    """The shape without axes of size 1."""
    return tuple([n for n in shape if n != 1])


class Regions:
    """Puts items into groups, one after the other, in the order in which they were built."""

    def __init__(self) -> None:
        self.groups: dict[Group, None] = {}
        self._count = 0
        self._joined: list[tuple[Item, Any]] = []  # and the kernels that they would have been computed by

    def add(self, item: Item) -> None:
        """Find the group of an item, or make a new one."""
        sources = list(dict.fromkeys(find(a.item.group) for a in item.operands if a.item.group is not None))
        sources.sort(key=lambda g: -g.index)
        joined = sources[0] if item.role == "part" else None
        if item.role in ("element", "reduce"):
            # What is computed again joins the one that reads it, not the one that has it already.
            copies = {find(a.item.group) for a in item.operands if a.item.again and a.item.group is not None}
            wanted = [g for g in sources if g in copies] if item.again else sources
            joined = next((g for g in wanted if not g.closed and self._join(item, g, sources)), None)
        if isinstance(item.key, Joined) and _stored_apart(item) and self._together(sources):
            self._joined.append((item, item.kernel))
            item.role, item.kernel, joined = "joined", None, sources[0]
        if joined is None:
            joined = self._new(item)
        item.group = joined
        joined.items.append(item)
        for group in map(find, sources):
            if group is not joined:
                joined.needs.add(group)
                group.needed = True

    def undo(self) -> None:
        """Make items as they were before they were put into groups."""
        for item, kernel in self._joined:
            item.role, item.kernel = "kernel", kernel
        for group in self.groups:
            for item in group.items:
                item.group = None

    def _new(self, item: Item) -> Group:
        self._count += 1
        if item.role == "reduce":
            domain = plain(item.wide)
            group = Group(self._count, domain, flags_on(item.wide, item.axes, domain))
            group.rows.add(item)
        else:
            group = Group(self._count, plain(item.shape), None, closed=item.role != "element")
        self.groups[group] = None
        return group

    def _join(self, item: Item, group: Group, sources: list[Group]) -> bool:
        if len(group.items) >= MOST_ITEMS:
            return False
        fitted = _fits(item, group, (group,))
        # What it reads beside must not wait for this group, or each would wait for the other.
        others = [other for other in sources if other is not group]
        if fitted is None or any(_reaches(other, group) for other in others):
            return False
        for other in others:
            # Nor may what it goes on to read wait for what is merged here.
            apart = [third for third in map(find, others) if third is not other and third is not group]
            circle = other.closed or _reaches(group, other) or any(_reaches(third, other) for third in apart)
            both = None if circle else _merged(group, other)
            if both is not None and (together := _fits(item, both, (group, other))) is not None:
                self._merge(group, other, both)
                fitted = together
        group.domain, group.reduced, row = fitted
        if row:
            group.rows.add(item)
        return True

    def _together(self, groups: list[Group]) -> bool:
        """Make one group of several, where their loops are the same and none waits for another."""
        first = groups[0]
        for other in groups[1:]:
            both = None if _reaches(first, other) or _reaches(other, first) else _merged(first, other)
            if both is None:
                return False
            self._merge(first, other, both)
        return len(first.items) < MOST_ITEMS

    def _merge(self, group: Group, other: Group, both: Group) -> None:
        other.into = group
        group.items = sorted([*group.items, *other.items], key=lambda item: item.index)
        group.domain, group.reduced, group.rows = both.domain, both.reduced, both.rows
        group.needs |= other.needs
        group.needed |= other.needed
        del self.groups[other]

    def join(self, group: Group, other: Group) -> None:
        """Put a group into the only one that reads it."""
        group.into = other
        other.items = sorted([*other.items, *group.items], key=lambda item: item.index)
        other.needs = {find(need) for need in (*other.needs, *group.needs)} - {other}
        del self.groups[group]

    def write_over(self, updated: Sequence[tuple[Item, Item]]) -> tuple[list[Group], set[Item]]:
        """The groups in order, and the results that may be written into the array of the variable whose value they become.

        Such a result is stored after all others have read the variable, and after everything that may fail.
        """
        used = {find(need) for group in self.groups for need in group.needs}
        readers: dict[Item, list[tuple[Item, Access]]] = {variable: [] for _, variable in updated}
        for group in self.groups:
            for item in group.items:
                for access in item.operands:
                    if access.item in readers:
                        readers[access.item].append((item, access))
        failing: list[Group] = []
        checked: set[Hashable] = set()
        for group in sorted(self.groups, key=lambda g: g.items[0].index):
            checks = {check for item in group.items for check in item.checks}
            if not checks <= checked:
                failing.append(group)
                checked |= checks
        candidates: list[tuple[Item, Group, set[Group]]] = []
        after: dict[Group, set[Group]] = {}
        for result, variable in updated:
            others = _other_readers(result, readers[variable])
            if others is None or result.group is None:
                continue
            own = find(result.group)
            if own not in used:
                # Nothing waits for it but what has been made to wait for it here.
                if _follows(others, own, after):
                    continue
                after.setdefault(own, set()).update(others)
                own.needs.update(others, failing)
            candidates.append((result, own, others))
        order = self.ordered()
        place = {group: number for number, group in enumerate(order)}
        last = max([place[group] for group in failing], default=-1)
        fine = {r for r, own, others in candidates if place[own] > max([last, *[place[g] for g in others]])}
        return order, fine

    def ordered(self) -> list[Group]:
        """The groups in an order in which each comes after what it needs.

        Where there is a choice, what only makes results comes first, as its operands have just been made; then the oldest.
        """
        needs = {group: {find(need) for need in group.needs} - {group} for group in self.groups}
        users: dict[Group, list[Group]] = {group: [] for group in self.groups}
        for group in self.groups:
            for need in needs[group]:
                users[need].append(group)
        waiting = {group: len(needs[group]) for group in self.groups}
        ready = [(bool(users[g]), g.items[0].index, g.index, g) for g, count in waiting.items() if not count]
        heapq.heapify(ready)
        out = []
        while ready:
            group = heapq.heappop(ready)[-1]
            out.append(group)
            for item in group.items:
                item.group = group
            for user in users[group]:
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(ready, (bool(users[user]), user.items[0].index, user.index, user))
        assert len(out) == len(self.groups), "groups wait for each other"
        return out


def _stored_apart(item: Item) -> bool:
    """Whether a loop nest may store all that an array is put together of where it belongs."""
    return bool(item.operands) and all(
        a.item.role == "element"
        and a.item.group is not None
        and not find(a.item.group).closed
        and a.item not in find(a.item.group).rows
        and same_place(shape, a)
        and a.item.kind == item.kind
        for a, (_, shape, _) in zip(item.operands, item.key.pieces, strict=True)
    )


def find(group: Group) -> Group:
    """The group into which a group was merged."""
    while group.into is not None:
        if group.into.into is not None:
            group.into = group.into.into
        group = group.into
    return group


def _reaches(start: Group, target: Group) -> bool:
    """Whether `start` depends on `target`; also True where finding out would take long."""
    if not target.needed:  # as one that was just made, however deep the graph is
        return False
    seen, stack = {start}, [start]
    while stack:
        for need in stack.pop().needs:
            group = find(need)
            if group is target:
                return True
            if group not in seen:
                seen.add(group)
                if len(seen) > _SEARCH:
                    return True
                stack.append(group)
    return False


def _other_readers(result: Item, readers: list[tuple[Item, Access]]) -> set[Group] | None:
    """The groups beside its own that read the variable; None where its own group forbids to write over it."""
    if result.group is None:
        return None
    own = find(result.group)
    if own.closed or result.role == "joined" or (own.reduced is not None and result not in own.rows):
        return None
    others: set[Group] = set()
    for reader, access in readers:
        assert reader.group is not None
        if find(reader.group) is not own:
            others.add(find(reader.group))
            continue
        if reader.role != "element" or not same_place(reader.shape, access):
            return None
        # Row items are stored as soon as they are known.
        if own.reduced is not None and not (reader in own.rows and reader.index <= result.index):
            return None
    return others


def _follows(starts: set[Group], target: Group, after: dict[Group, set[Group]]) -> bool:
    seen, stack = set(starts), list(starts)
    while stack:
        group = stack.pop()
        if group is target:
            return True
        for other in after.get(group, ()):
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return False


def _merged(group: Group, other: Group) -> Group | None:
    """A group as it would be if both were one; None where their loops differ."""
    if len(group.items) + len(other.items) >= MOST_ITEMS or math.prod(group.domain) != math.prod(other.domain):
        return None
    domain = refine(group.domain, other.domain)
    if domain is None:
        return None
    mine, theirs = flags_of(group, domain), flags_of(other, domain)
    if mine is not None and theirs is not None and mine != theirs:
        return None
    both = Group(0, domain, theirs if mine is None else mine)
    both.rows = group.rows | other.rows
    return both


def _fits(item: Item, group: Group, parts: Sequence[Group]) -> tuple[Sizes, tuple[bool, ...] | None, bool] | None:
    """The domain and the reduced axes of a group (made of parts) with the item in it, and whether it is a row item."""
    size = math.prod(group.domain)
    inside = [a for a in item.operands if a.item.group is not None and find(a.item.group) in parts]
    if item.role == "reduce":
        domain = refine(group.domain, plain(item.wide)) if math.prod(item.wide) == size else None
        if domain is None or any(a.item in group.rows or not same_place(item.wide, a) for a in inside):
            return None
        flags = flags_on(item.wide, item.axes, domain)
        return (domain, flags, True) if group.reduced is None or flags_of(group, domain) == flags else None
    kept = group.kept
    if group.reduced is not None and item.size == math.prod(kept) and item.size != size:
        fits = refine(kept, plain(item.shape)) == kept and all(
            a.item in group.rows and same_place(item.shape, a) for a in inside
        )
        return (group.domain, group.reduced, True) if fits else None
    domain = refine(group.domain, plain(item.shape)) if item.size == size else None
    if domain is None:
        return None
    reduced = flags_of(group, domain)
    for access in inside:
        if access.item not in group.rows:
            if not same_place(item.shape, access):
                return None
            continue
        assert reduced is not None
        strides = spread(item.shape, access.strides, domain)
        if access.offset or strides != group.row_strides(domain, reduced):
            return None
    return domain, reduced, False


def flags_of(group: Group, domain: Sizes) -> tuple[bool, ...] | None:
    """The reduced axes of a group on a finer domain."""
    if group.reduced is None or domain == group.domain:
        return group.reduced
    return flags_on(group.domain, [i for i, gone in enumerate(group.reduced) if gone], domain)


def _effective(strides: Sizes, shape: Sizes) -> Sizes:
    return tuple([s for s, n in zip(strides, shape, strict=True) if n != 1])


def same_place(shape: Sizes, access: Access) -> bool:
    """Whether a reader of this shape reads each element at its own place, counted through."""
    return (
        access.offset == 0
        and access.item.size == math.prod(shape)
        and _effective(access.strides, shape) == _effective(contiguous(shape), shape)
    )
