"""The memory plan: one arena for all that lives between kernels, in which memory is used again after the last reader."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple

from graphnn.backend.native.items import Item
from graphnn.backend.native.regions import Group

_ALIGNMENT = 64
_MOST = 400
"""Arrays that are compared each with each to save memory; for more it would take long."""


class Life(NamedTuple):
    """An array: how many bytes it takes, and the first and the last kernel that it must be there for."""

    item: Item
    size: int
    first: int
    last: int


class Arena:
    """Where in the arena the items lie that are neither arguments nor results.

    Attributes
    ----------
    offsets : in bytes, by item
    size : of the arena, in bytes
    """

    def __init__(self, groups: list[Group]) -> None:
        self.lives = lives = _lives(groups)
        self.offsets, self.size = _as_they_come(lives)
        if self.size > _most_at_once(lives) and len(lives) <= _MOST:  # there are gaps
            offsets, size = _by_size(lives)
            if size < self.size:
                self.offsets, self.size = offsets, size


def _lives(groups: list[Group]) -> list[Life]:
    """The arrays in the order in which they are made."""
    last: dict[Item, int] = {}
    for number, group in enumerate(groups):
        for item in group.items:
            for access in item.operands:
                last[access.item] = number
    return [
        Life(item, -(-item.bytes // _ALIGNMENT) * _ALIGNMENT, number, max(number, last.get(item, number)))
        for number, group in enumerate(groups)
        for item in group.items
        if item.stored and item.output < 0 and item.role != "host"
    ]


def _most_at_once(lives: Sequence[Life]) -> int:
    """The bytes of all arrays that are there for the kernel that has most: no plan takes less."""
    changes = sorted(
        [(life.first, 1, life.size) for life in lives] + [(life.last + 1, 0, -life.size) for life in lives]
    )
    now = most = 0
    for _, _, size in changes:
        now += size
        most = max(most, now)
    return most


def _as_they_come(lives: Sequence[Life]) -> tuple[dict[Item, int], int]:
    """Offsets and size of an arena where each array takes the smallest free piece that it fits into."""
    offsets: dict[Item, int] = {}
    pieces = _Pieces()
    ends: dict[int, list[Life]] = {}
    done = 0
    for life in lives:
        while done < life.first:
            for other in ends.pop(done, ()):
                pieces.give(offsets[other.item], other.size)
            done += 1
        offsets[life.item] = pieces.take(life.size)
        ends.setdefault(life.last, []).append(life)
    return offsets, pieces.size


def _by_size(lives: Sequence[Life]) -> tuple[dict[Item, int], int]:
    """Offsets and size of an arena where the largest arrays choose first, the others fill the gaps between them."""
    placed: list[tuple[int, Life]] = []  # by offset
    size = 0
    for life in sorted(lives, key=lambda each: -each.size):
        offset = 0
        for start, other in placed:
            if other.first <= life.last and life.first <= other.last:
                if start >= offset + life.size:
                    break
                offset = max(offset, start + other.size)
        bisect.insort(placed, (offset, life), key=lambda each: each[0])
        size = max(size, offset + life.size)
    return {life.item: offset for offset, life in placed}, size


class _Pieces:
    """The free pieces of an arena that grows."""

    def __init__(self) -> None:
        self.size = 0
        self._free: list[tuple[int, int]] = []  # pairs (offset, size), by offset

    def take(self, size: int) -> int:
        fitting = [(room, offset) for offset, room in self._free if room >= size]
        if fitting:
            room, offset = min(fitting)
            self._free.remove((offset, room))
            if room > size:
                bisect.insort(self._free, (offset + size, room - size))
            return offset
        if self._free and sum(self._free[-1]) == self.size:  # the last piece grows
            offset, room = self._free.pop()
            self.size += size - room
            return offset
        self.size += size
        return self.size - size

    def give(self, offset: int, size: int) -> None:
        place = bisect.bisect(self._free, (offset, 0))
        if place < len(self._free) and self._free[place][0] == offset + size:
            size += self._free.pop(place)[1]
        if place and sum(self._free[place - 1]) == offset:
            offset, before = self._free.pop(place - 1)
            size += before
            place -= 1
        self._free.insert(place, (offset, size))
