"""The memory plan: one arena for all that lives between kernels, in which memory is used again after the last reader."""

from __future__ import annotations

import bisect

from graphnn.backend.native.items import Item
from graphnn.backend.native.regions import Group

_ALIGNMENT = 64


class Arena:
    """Where in the arena the items lie that are neither arguments nor results.

    Attributes
    ----------
    offsets : in bytes, by item
    size : of the arena, in bytes
    """

    def __init__(self, groups: list[Group]) -> None:
        self.offsets: dict[Item, int] = {}
        self.size = 0
        self._free: list[tuple[int, int]] = []  # pairs (offset, size), by offset
        last: dict[Item, int] = {}
        for number, group in enumerate(groups):
            for item in group.items:
                for access in item.operands:
                    last[access.item] = number
        ends: list[list[Item]] = [[] for _ in groups]
        for number, group in enumerate(groups):
            for item in group.items:
                if item.stored and item.output < 0 and item.role != "host":
                    self.offsets[item] = self._take(_rounded(item.bytes))
                    ends[max(number, last.get(item, number))].append(item)
            for item in ends[number]:
                self._give(self.offsets[item], _rounded(item.bytes))

    def _take(self, size: int) -> int:
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

    def _give(self, offset: int, size: int) -> None:
        place = bisect.bisect(self._free, (offset, 0))
        if place < len(self._free) and self._free[place][0] == offset + size:
            size += self._free.pop(place)[1]
        if place and sum(self._free[place - 1]) == offset:
            offset, before = self._free.pop(place - 1)
            size += before
            place -= 1
        self._free.insert(place, (offset, size))


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
