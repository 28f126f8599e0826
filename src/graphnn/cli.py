"""The ``graphnn`` command: a demonstration, pictures and summaries of models in Python files."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import graphnn
from graphnn import nn
from graphnn.compile.function import Function
from graphnn.demo import run as run_demo
from graphnn.errors import GraphError, GraphnnError, listing, nearest
from graphnn.ir.graph import Graph
from graphnn.ir.node import Node
from graphnn.view.render import render
from graphnn.view.summary import summary

DRAWABLE = (Node, Graph, nn.Module, Function)


def load(target: str) -> Any:
    """What ``FILE.py:NAME`` means: the file is run, and the name is looked up in it.

    Raises
    ------
    GraphError
        If the file or the name is not there, or the name is nothing that can be drawn.
    """
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name:
        raise GraphError(f"{target!r} does not name anything", "Write FILE.py:NAME, such as model.py:loss.")
    path = Path(file)
    if not path.is_file():
        raise GraphError(f"there is no file {file!r}", f"You are in {Path.cwd()}.")
    sys.path.insert(0, str(path.resolve().parent))  # as if the file had been started itself
    try:
        names = runpy.run_path(str(path), run_name="__graphnn__")
    finally:
        sys.path.pop(0)
    if name not in names:
        found = [key for key, value in names.items() if isinstance(value, DRAWABLE)]
        raise GraphError(
            f"{file} has no {name!r}", nearest(name, found), f"It has {listing(found) or 'no graph at all'}."
        )
    value = names[name]
    if isinstance(value, Function):
        return value.graph
    if not isinstance(value, DRAWABLE):
        raise GraphError(
            f"{name!r} in {file} is a {type(value).__name__}", "Name a node, a graph, a compiled function or a module."
        )
    return value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="graphnn", description="Neural networks as explicit graphs.")
    top.add_argument("--version", action="version", version=f"graphnn {graphnn.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="train a network on handwritten digits and look into it")
    demo.add_argument("-o", "--out", type=Path, default=Path("out"), help="folder of the pictures (default: out)")
    demo.add_argument("--epochs", type=_positive, default=20, help="passes over the training data (default: 20)")
    demo.add_argument("--seed", type=int, default=0, help="seed of weights, order and dropout (default: 0)")

    draw = commands.add_parser("render", help="draw a node, a graph or a model of a Python file")
    draw.add_argument("target", metavar="FILE.py:NAME")
    draw.add_argument("-o", "--output", type=Path, required=True, help="picture: .svg, .png, .pdf or .dot")
    draw.add_argument("--expand", action="store_true", help="open composites such as softmax")

    table = commands.add_parser("summary", help="the layers and parameters of a model of a Python file")
    table.add_argument("target", metavar="FILE.py:NAME")
    return top


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives 0, or 1 after an error, which is printed without a traceback."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "demo":
            run_demo(options.out, options.epochs, options.seed)
        elif options.command == "render":
            print(render(load(options.target), options.output, expand=options.expand))
        else:
            print(summary(load(options.target)))
    except (GraphnnError, OSError) as error:
        print(f"graphnn {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
