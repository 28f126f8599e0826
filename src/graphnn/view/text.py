"""A graph as a table of plain text, one line a node, in topological order."""

from __future__ import annotations

from graphnn.ir.algebra import name_of, static_fields
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Constant, DimSize, Iota
from graphnn.ir.node import Node, printable
from graphnn.view.subject import Subject, as_graph

_HEAD = ("#", "name", "op", "inputs", "spec", "scope", "pass", "line")
_WIDEST = 48
_OPERANDS = 6


def text(what: Subject) -> str:
    """A table of all nodes: number, name, op with its fields, inputs, spec, scope, pass and the user's line.

    Inputs go by name, or by number (``#3``) where they have none. Under the table stand the outputs and the updates.
    Columns in which nothing stands are left out; the pass is told for graphs with derivatives.

    Parameters
    ----------
    what : a node, a list or dict of nodes, a `Graph`, or a module

    >>> x = gn.placeholder("x", ("batch", 3))
    >>> print(gn.text(gn.sum(x * 2.0, axis=1)))
    #  name  op           inputs  spec               line
    0  x     placeholder          float32[batch, 3]  ...
    1        2.0                  float32[]          ...
    2        multiply     x, #1   float32[batch, 3]  ...
    3        sum(axis=1)  #2      float32[batch]     ...
    <BLANKLINE>
    output: #3
    """
    graph = as_graph(what)
    number = {node: i for i, node in enumerate(graph.nodes)}
    calls = _calls(graph, number)
    rows = [_HEAD]
    for node, i in number.items():
        rows.append(
            (
                str(i),
                "" if node.name is None else printable(node.name, _WIDEST),
                _op(node),
                _inputs(node, calls),
                _cut(str(node.spec)),
                _cut(".".join(printable(part) for part in node.scope)),
                _pass(node, calls),
                f"{printable(node.source.place.partition(' in ')[0])}" if node.source else "",
            )
        )
    used = [i for i in range(len(_HEAD)) if i == 0 or any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in used}
    lines = [
        "  ".join(row[i].rjust(widths[i]) if i == 0 else row[i].ljust(widths[i]) for i in used).rstrip() for row in rows
    ]
    lines.append("")
    ends = [calls[node] for node in graph.outputs]
    if ends:
        lines.append(f"{'output' if len(ends) == 1 else 'outputs'}: {', '.join(ends)}")
    lines += [f"update: {calls[variable]} <- {calls[value]}" for variable, value in graph.updates]
    return "\n".join(lines)


def _calls(graph: Graph, number: dict[Node, int]) -> dict[Node, str]:
    """How a node is called where another reads it: its name if no other node has it, else its number."""
    count: dict[str | None, int] = {}
    for node in graph.nodes:
        count[node.name] = count.get(node.name, 0) + 1
    return {
        node: printable(node.name, _WIDEST) if node.name is not None and count[node.name] == 1 else f"#{i}"
        for node, i in number.items()
    }


def _op(node: Node) -> str:
    if isinstance(node.op, Constant):
        return name_of(node, "python").text if node.name is None else f"constant {node.op.payload}"[:_WIDEST]
    if isinstance(node.op, (DimSize, Iota)):
        return _cut(f"{node.op.name}({node.op.size})")
    fields = static_fields(node) if node.inputs else ""
    return _cut(f"{printable(node.op.name)}({fields})" if fields else printable(node.op.name))


def _inputs(node: Node, calls: dict[Node, str]) -> str:
    shown = ", ".join(calls[operand] for operand in node.inputs[:_OPERANDS])
    more = len(node.inputs) - _OPERANDS
    return _cut(shown) + (f", … {more} more" if more > 0 else "")


def _pass(node: Node, calls: dict[Node, str]) -> str:
    if node.origin is None:
        return ""
    served = calls.get(node.origin.node)
    return node.origin.role if served is None else f"{node.origin.role} of {served}"


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else cell[: _WIDEST - 1] + "…"
