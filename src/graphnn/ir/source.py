"""Where a node comes from: the user's file and line, the name scope, and for derivatives the node they serve.

Every node records this when it is built, so it must be cheap: one walk up the call stack that stops at the first
frame outside the package, and no text is read before somebody asks for it.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from graphnn.ir.node import Node

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_inside: dict[str, bool] = {}  # is this file part of the package? asked for every frame of every node
_sources: dict[Source, Source] = {}  # nodes made in one line share its Source: there are few lines and many nodes


class Source(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int
    function: str

    @property
    def place(self) -> str:
        """``model.py:42 in encode``."""
        where = "" if self.function.startswith("<") else f" in {self.function}"
        return f"{os.path.basename(self.file)}:{self.line}{where}"

    @property
    def text(self) -> str:
        """The line itself, stripped; empty where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{self.place}    {self.text}" if self.text else self.place


class Origin(NamedTuple):
    """What a derived node is for: its pass (``reverse``, ``forward``, ``update``) and the node that it serves."""

    role: str
    node: Node


class Context(NamedTuple):
    """What the nodes that are being built right now have in common."""

    scope: tuple[str, ...] = ()
    source: Source | None = None  # set while a rule builds nodes on behalf of a user's node
    origin: Origin | None = None


_context: ContextVar[Context] = ContextVar("graphnn_context", default=Context())  # noqa: B039 - a NamedTuple of immutable things
current_context = _context.get


def user_source() -> Source | None:
    """The innermost line of the call stack that is not part of graphnn."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        inside = _inside.get(file)
        if inside is None:
            inside = _inside[file] = file.startswith(_PACKAGE)
        if not inside:
            source = Source(file, frame.f_lineno, code.co_name)
            return _sources.setdefault(source, source)
        frame = frame.f_back  # type: ignore[assignment]
    return None


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Put the nodes built inside the block under a name; pictures draw a scope as a box, errors tell it.

    >>> import graphnn as gn
    >>> with gn.scope("encoder"):
    ...     x = gn.placeholder("x", (3,))
    >>> x.scope
    ('encoder',)
    """
    outer = _context.get()
    token = _context.set(outer._replace(scope=(*outer.scope, str(name))))
    try:
        yield
    finally:
        _context.reset(token)


class _Within:
    """A block in which nodes have this in common. There is one for each node of a derivative: a generator would be slower."""

    __slots__ = ("_common", "_token")
    _token: Token[Context]

    def __init__(self, common: Context) -> None:
        self._common = common

    def __enter__(self) -> None:
        self._token = _context.set(self._common)

    def __exit__(self, *error: object) -> None:
        _context.reset(self._token)


@contextmanager
def apart() -> Iterator[None]:
    """Nodes built inside the block belong to no scope and no line: the bodies of composites."""
    token = _context.set(Context())
    try:
        yield
    finally:
        _context.reset(token)


def serving(node: Node, role: str) -> _Within:
    """Nodes built inside the block serve `node`: they carry its line and scope, and know it as their origin."""
    return _Within(Context(node.scope, node.source, Origin(role, node)))


def on_behalf_of(node: Node, origin: Origin | None = None) -> _Within:
    """Nodes built inside the block replace `node` or are its parts: they carry its line, scope and origin.

    `origin` is given where the node that it serves is replaced too.
    """
    return _Within(Context(node.scope, node.source, origin or node.origin))
