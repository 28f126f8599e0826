"""Run as a script in a process of its own: reads DOT from stdin, writes a picture to stdout.

``python _layout.py ENGINE FORMAT``, where the engine is ``dot`` (the program, through the package graphviz) or
``pygraphviz`` (the Graphviz inside pygraphviz). A crash or an endless layout then ends this process and not the user's.
It imports nothing of graphnn, so that it starts at once.
"""

from __future__ import annotations

import sys


def picture(engine: str, kind: str, text: str) -> bytes:
    """The picture of a DOT text."""
    if engine == "dot":
        import graphviz

        drawn: bytes = graphviz.Source(text).pipe(format=kind, quiet=True)
        return drawn
    import pygraphviz

    made: bytes = pygraphviz.AGraph(string=text).draw(format=kind, prog="dot")
    return made


if __name__ == "__main__":
    sys.stdout.buffer.write(picture(sys.argv[1], sys.argv[2], sys.stdin.buffer.read().decode("utf-8")))
