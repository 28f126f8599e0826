"""Pictures of graphs as files."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from graphnn.errors import RenderError
from graphnn.view.dot import dot
from graphnn.view.layout import lay_out
from graphnn.view.subject import Subject, as_graph
from graphnn.view.svg import svg

_FORMATS = ("svg", "png", "pdf", "dot")
_TIME = re.compile(rb"(/(?:CreationDate|ModDate) \(D:)\d{14}")


def render(
    what: Subject,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    expand: bool = False,
    timeout: float = 60,
) -> Path:
    """Draw a graph into a file: SVG, PNG, PDF, or the DOT text itself.

    Modules and scopes are boxes, shapes stand on the edges. Inputs, parameters, states, constants, operations, outputs and the
    reverse pass differ in shape and in colour. The layout is Graphviz's, in a process of its own: by the program
    ``dot`` if it is on the PATH, else by the Graphviz inside pygraphviz. On one machine the same graph gives the same
    bytes on every run: versions and times are taken out. Another Graphviz or other fonts may give another layout.

    Parameters
    ----------
    what : a node, a list or dict of nodes, a `Graph`, a compiled function, or a module
    path : the file; it is written completely or not at all
    format : ``"svg"``, ``"png"``, ``"pdf"`` or ``"dot"``; by the ending of the path unless told
    expand : open composites such as softmax, and draw their bodies
    timeout : seconds that the layout may take

    Returns
    -------
    The path.

    Raises
    ------
    RenderError
        If the path is none, the format is unknown, there is no Graphviz, it fails or runs out of time, or the file
        cannot be written.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> x = gn.placeholder("x", (3,))
    >>> gn.render(gn.tanh(x), folder / "tanh.dot").name
    'tanh.dot'
    """
    if not isinstance(path, (str, os.PathLike)):
        if isinstance(what, (str, os.PathLike)):
            raise RenderError(
                "render: the graph comes first, then the path", f"Write gn.render(node, {os.fspath(what)!r})."
            )
        raise RenderError(
            f"render: the path is a str or a Path, not {type(path).__name__}", "Write gn.render(node, 'graph.svg')."
        )
    target = Path(path)
    kind = (format or target.suffix.lstrip(".")).lower()
    if kind not in _FORMATS:
        raise RenderError(
            f"render: unknown picture format {kind!r}" if kind else f"render: {target.name!r} has no ending",
            "Let the path end in .svg, .png, .pdf or .dot, or give format='svg'.",
        )
    graph = as_graph(what)
    if kind == "svg":
        data = svg(graph, expand=expand, timeout=timeout).encode("utf-8")
    elif kind == "dot":
        data = dot(graph, expand=expand).encode("utf-8")
    else:
        data = lay_out(dot(graph, expand=expand), kind, timeout)
        if kind == "pdf":  # a time of the same length, as a PDF counts its bytes
            data = _TIME.sub(rb"\g<1>19700101000000", data)
    write(target, data)
    return target


def write(target: Path, data: bytes) -> None:
    """Write a file completely or not at all.

    Raises
    ------
    RenderError
        If it cannot be written.
    """
    draft = ""
    try:
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, target)
    except OSError as error:
        if draft:
            with contextlib.suppress(OSError):
                os.unlink(draft)
        reason = error.strerror or str(error)
        hint = "Does the folder exist, and may you write there?"
        raise RenderError(f"cannot write {str(target)!r}: {reason}", hint) from None


def _umask() -> int:
    # A temporary file is private to its owner; the picture gets the rights that any new file has.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
