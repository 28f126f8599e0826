"""A module in parts that threads compile at the same time, each with as much effort as it is worth.

What only calls kernels, once for each call of a function, is compiled as it stands: LLVM would take longer to improve it
than it ever takes to run. Kernels are put into parts of about equal length. All that a kernel consists of stays with it,
so that its code is what it would be in one module with all others; plain numbers that several read are in each part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from graphnn.backend.native.emit import Module

_LENGTH = 40_000
"""Characters of a part; it follows from the text alone how many there are, so that the cache on disk finds them."""
_DEFINED = re.compile(r"^(?:define [^@\n]*@([\w.]+)\(|@([\w.]+) = )", re.MULTILINE)
_NAMED = re.compile(r"@([\w.]+)")
_CALLS = re.compile(r"segment\d|call$")
_ROWS = re.compile(r"segment\d+\.(?:rows|call|kernels)\b")  # what rows.py makes runs once for each kernel


class Part(NamedTuple):
    """The text of a module, and how it is compiled; see `graphnn.backend.native.jit.object_code`."""

    text: str
    level: int = 1
    passes: bool = True


class _Body:
    """What was emitted at once: the names that it defines, and those that it mentions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.defines = [one or other for one, other in _DEFINED.findall(text)]
        self.mentions = dict.fromkeys(_NAMED.findall(text))
        for name in self.defines:
            del self.mentions[name]
        self.rows = bool(_ROWS.match(self.defines[0]))
        self.calls = bool(_CALLS.match(self.defines[0])) and not self.rows
        self.numbers = not self.mentions and text.startswith("@") and " = internal constant " in text

    def shown(self, entries: Mapping[str, str]) -> str:
        """Its text, with the names that other parts mention for all to find."""
        text = self.text
        for name in self.defines:
            if name in entries:
                text = text.replace(f"define internal {entries[name]}", f"define {entries[name]}", 1)
        return text

    def head(self, name: str) -> str:
        """How a function of it is declared."""
        found = re.search(rf"^define (?:internal )?(\w+ @{re.escape(name)}\(.*\)) \{{", self.text, re.MULTILINE)
        assert found is not None, f"{name} is no function"
        return found[1]


def parts(module: Module) -> list[Part]:
    """The parts of a module; together they define what it defines."""
    bodies = [_Body(text) for text in module.bodies]
    known = {name: body for body in bodies for name in body.defines}
    declared = {_NAMED.findall(line)[0]: line for line in module.declarations}
    shares = _shares([body for body in bodies if not body.calls and not body.rows and not body.numbers], known)
    shares.append([body for body in bodies if body.rows])
    shares.append([body for body in bodies if body.calls])
    shares = [share for share in shares if share]
    place = {name: number for number, share in enumerate(shares) for body in share for name in body.defines}
    entries: dict[str, str] = {}
    for number, share in enumerate(shares):
        for name in [name for body in share for name in body.mentions]:
            if place.get(name, number) != number and name not in entries:
                entries[name] = known[name].head(name)
    made = []
    for number, share in enumerate(shares):
        mentioned = dict.fromkeys(name for body in share for name in body.mentions)
        lines = [declared[name] for name in mentioned if name in declared]
        lines += [known[name].text for name in mentioned if name in known and known[name].numbers]
        lines += [f"declare {entries[name]}" for name in mentioned if place.get(name, number) != number]
        text = "\n".join([*lines, *[body.shown(entries) for body in share], ""])
        made.append(Part(text, 0, False) if share[0].calls else Part(text))
    return made


def _shares(kernels: list[_Body], known: dict[str, _Body]) -> list[list[_Body]]:
    """The kernels in lists of about equal length, what mentions each other in the same one."""
    into: dict[_Body, _Body] = {}

    def find(body: _Body) -> _Body:
        while body in into:
            body = into[body]
        return body

    for body in kernels:
        for name in body.mentions:
            other = known.get(name)
            if other is not None and not other.numbers and find(other) is not find(body):
                into[find(other)] = find(body)
    together: dict[_Body, list[_Body]] = {}
    for body in kernels:
        together.setdefault(find(body), []).append(body)
    count = max(1, round(sum(len(body.text) for body in kernels) / _LENGTH))
    shares: list[list[_Body]] = [[] for _ in range(count)]
    lengths = [0] * count
    for each in sorted(together.values(), key=lambda found: -sum(len(body.text) for body in found)):
        least = lengths.index(min(lengths))
        shares[least] += each
        lengths[least] += sum(len(body.text) for body in each)
    return shares
