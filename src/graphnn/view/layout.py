"""Layout by Graphviz, in a child process with a time limit."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from graphnn.errors import RenderError

_SCRIPT = Path(__file__).with_name("_layout.py")


def find_engine() -> str:
    """``dot`` where the program is on the PATH, else ``pygraphviz`` where that package is there, else nothing."""
    if shutil.which("dot") and importlib.util.find_spec("graphviz"):
        return "dot"
    return "pygraphviz" if importlib.util.find_spec("pygraphviz") else ""


def lay_out(text: str, kind: str, timeout: float) -> bytes:
    """The picture of a DOT text, as svg, png or pdf.

    Raises
    ------
    RenderError
        If there is no Graphviz, it fails, or it needs longer than `timeout` seconds.
    """
    engine = find_engine()
    if not engine:
        raise RenderError(
            f"drawing {kind} needs Graphviz, and neither a dot program nor the package pygraphviz is there",
            "Install one: pip install pygraphviz (it brings Graphviz along), or Graphviz itself from graphviz.org.",
            "A .dot file needs neither: gn.render(node, 'graph.dot').",
        )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "SOURCE_DATE_EPOCH": "0"}
    try:
        child = subprocess.Popen(
            # -P: this script's folder holds files such as text.py, which must not hide modules of those names
            [sys.executable, "-P", str(_SCRIPT), engine, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=os.name == "posix",
        )
    except OSError as error:  # a Python that is embedded in another program cannot start itself
        raise RenderError(
            f"the layout needs a Python process of its own, and {sys.executable!r} cannot be started: {error.strerror}",
            "A .dot file needs none: gn.render(node, 'graph.dot').",
        ) from None
    try:
        out, err = child.communicate(text.encode("utf-8"), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"the layout of the graph took longer than {timeout:g} seconds",
            "Give it more time: timeout=600. Or draw a part: render the node where the part ends.",
            "Or write a .dot file, gn.render(node, 'graph.dot'), and lay it out by another program.",
        ) from None
    finally:
        _end(child)
    if child.returncode or not out:
        reason = err.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"it ended with code {child.returncode}"]
        raise RenderError(
            f"Graphviz ({engine}) could not draw the graph: {reason[0][:300]}",
            "Write a .dot file, gn.render(node, 'graph.dot'), and lay it out by another program.",
        )
    return out


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child, and the dot program that it may have started."""
    if child.poll() is None:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.communicate()
