"""What notebooks show for nodes and graphs."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from graphnn.errors import GraphnnError
from graphnn.ir.graph import Graph
from graphnn.ir.node import HOOKS, Node
from graphnn.view.latex import latex
from graphnn.view.layout import find_engine
from graphnn.view.svg import svg

_DRAWN = 150  # nodes of the largest graph that is drawn by itself
_WRITTEN = 60  # nodes of the largest graph whose algebra is
_PATIENCE = 5.0  # seconds that a picture may take


def mimebundle(
    what: Node | Graph, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> dict[str, Any]:
    r"""What a notebook may show: text always, the algebra of a small node, the picture of a small graph. It never raises.

    Parameters
    ----------
    what : a node or a graph
    include, exclude : the kinds of contents that are wanted or not, as IPython asks for them

    >>> from graphnn.view.notebook import mimebundle
    >>> bundle = mimebundle(gn.tanh(gn.placeholder("x")))
    >>> bundle["text/plain"], bundle["text/latex"]
    ('tanh(x): float32[]', '$\\displaystyle \\tanh\\left(x\\right)$')
    """
    out: dict[str, Any] = {"text/plain": repr(what)}

    def wanted(kind: str) -> bool:
        return (include is None or kind in include) and (exclude is None or kind not in exclude) and not _in_terminal()

    # A display that fails must not hide the value, so whatever is wrong with a picture, the text remains.
    try:
        if isinstance(what, Node):
            if wanted("text/latex") and _is_small(what, _WRITTEN):
                out["text/latex"] = latex(what)._repr_latex_()
        elif wanted("image/svg+xml") and len(what) <= _DRAWN and find_engine():
            out["image/svg+xml"] = svg(what, timeout=_PATIENCE)._repr_svg_()
    except (GraphnnError, OSError, ValueError, RecursionError):
        pass
    return out


def _is_small(node: Node, most: int) -> bool:
    """Whether a node needs at most so many others; looks at no more than these."""
    seen = {node}
    stack = [node]
    while stack:
        for operand in stack.pop().inputs:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
        if len(seen) > most:
            return False
    return True


def _in_terminal() -> bool:
    """Whether IPython runs in a terminal, which asks for pictures too but cannot show them."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "TerminalInteractiveShell"


HOOKS["mimebundle"] = mimebundle
