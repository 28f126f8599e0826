"""The algebra of a graph as LaTeX: one equation for each value that has a name or is read more than once."""

from __future__ import annotations

from graphnn.ir.algebra import expression, is_short, name_of, unique_names
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Constant, DimSize, Iota
from graphnn.ir.node import Node
from graphnn.ir.op import Leaf
from graphnn.view.subject import Subject, as_graph

_LONG = 8  # operations in one equation; a longer one is cut in two, so that each fits on a line


class Latex(str):
    """LaTeX source; notebooks show it set."""

    __slots__ = ()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self}$"


def latex(what: Subject) -> Latex:
    r"""The algebra of a node or graph as LaTeX, the output last.

    A named node, a node that several others read, and the end of a long expression get an equation of their own, so
    nothing is written twice and the text grows in proportion to the graph. Needs only what KaTeX and MathJax know.

    Parameters
    ----------
    what : a node, a list or dict of nodes, a `Graph`, or a module

    >>> x, w = gn.placeholder("x", ("batch", 3)), gn.placeholder("W1", (3, 2))
    >>> print(gn.latex(gn.tanh(x @ w)))
    \tanh\left(x\, W_{1}\right)
    >>> h = gn.tanh(x @ w).named("h")
    >>> print(gn.latex(gn.sum(h * h)))
    \begin{aligned}
    h &= \tanh\left(x\, W_{1}\right) \\
    y &= \sum h \odot h
    \end{aligned}
    """
    graph = as_graph(what)
    equations = _equations(graph)
    if not equations and not graph.updates:
        return Latex(", ".join(name_of(node, "latex").text for node in graph.outputs))
    if len(equations) == 1 and not graph.updates and equations[0].name is None:
        return Latex(expression(equations[0], _names(graph, equations), "latex", stop=_never, limit=None))
    names = _names(graph, equations)
    lines = [f"{names[node]} &= {_right_side(node, names)}" for node in equations]
    for variable, value in graph.updates:
        lines.append(rf"{names[variable]} &\leftarrow {names.get(value) or _right_side(value, names)}")
    body = " \\\\\n".join(lines)
    return Latex("\\begin{aligned}\n" + body + "\n\\end{aligned}")


def _right_side(node: Node, names: dict[Node, str]) -> str:
    if isinstance(node.op, Leaf):
        return name_of(node, "latex").text
    return expression(node, names, "latex", stop=_never, limit=None)


def _never(node: Node) -> bool:
    return False  # what is not written out is in the names


def _equations(graph: Graph) -> list[Node]:
    """The nodes with an equation of their own, in topological order; outputs that nothing else reads come last."""
    users = graph.users()
    ends = set(graph.outputs)
    uses = {node: len(readers) for node, readers in users.items()}
    for _, value in graph.updates:
        uses[value] += 1
    chosen: list[Node] = []
    size: dict[Node, int] = {}  # the operations that stand in the place of a node where it is read
    for node in graph.nodes:
        if isinstance(node.op, Leaf):
            size[node] = 0
            continue
        own = 3 if node.op.name == "where" else 1  # it takes two lines
        size[node] = own + sum(size[operand] for operand in node.inputs)
        if node in ends or node.name is not None or uses[node] > 1 or size[node] >= _LONG:
            chosen.append(node)
            size[node] = 0
    last = [node for node in dict.fromkeys(graph.outputs) if not users[node] and not isinstance(node.op, Leaf)]
    final = set(last)
    leaves = [node for node in dict.fromkeys(graph.outputs) if isinstance(node.op, Leaf) and node.name is None]
    return [node for node in chosen if node not in final] + leaves + last


def _names(graph: Graph, equations: list[Node]) -> dict[Node, str]:
    # Constants that are plain numbers stand as they are; all other leaves and all left sides have names.
    named = [node for node in graph.nodes if node.name is not None]
    outputs = {node for node in graph.outputs if node.name is None}
    inner = [node for node in equations if node.name is None and node not in outputs]
    names = unique_names([*named, *inner], "latex")
    taken = set(names.values())
    ends = [node for node in equations if node in outputs]
    stem = next(stem for stem in ("y", "z", r"\mathrm{out}", r"\mathrm{output}") if stem not in taken)
    for i, node in enumerate(ends, 1):
        names[node] = stem if len(ends) == 1 else f"{stem}_{{{i}}}"
    arrays = [
        n for n in graph.nodes if isinstance(n.op, Constant) and n.name is None and not is_short(n.op.payload.array)
    ]
    for i, node in enumerate(arrays, 1):
        names[node] = f"C_{{{i}}}" if f"C_{{{i}}}" not in taken else rf"\mathrm{{constant}}_{{{i}}}"
    return {n: name for n, name in names.items() if not isinstance(n.op, (DimSize, Iota)) or n.name is not None}
