"""A graph in the DOT language of Graphviz: what it looks like, not where things go."""

from __future__ import annotations

from collections.abc import Iterable

from graphnn.ir.algebra import expression, name_of, number_of
from graphnn.ir.dtype import float32
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Constant, DimSize, Parameter, Placeholder, State
from graphnn.ir.node import Node, printable
from graphnn.ir.op import Leaf
from graphnn.ir.spec import Spec, shape_text
from graphnn.ops.composite import Composite
from graphnn.view.palette import FONT, INK, LOOKS, PAPER, PURPLE, QUIET, VERMILLION, mix
from graphnn.view.subject import Subject, as_graph, opened

_SMALL = 24  # up to so many nodes every edge is drawn; beyond, long edges between the passes are cut
_NEAR = 3  # ranks that an edge between the passes may span and is still drawn
_MANY = 700  # from so many nodes on edges are straight, as routing them would take most of the time
_NAME = 40  # characters of a name that are shown


def dot(what: Subject, *, expand: bool = False) -> str:
    """A graph as DOT text, for Graphviz and for everything that reads it. Equal graphs give equal text.

    Parameters
    ----------
    what : a node, a list or dict of nodes, a `Graph`, or a module
    expand : open composites such as softmax, and draw their bodies as boxes

    >>> x = gn.placeholder("x", (3,))
    >>> print(dot(gn.tanh(x)).splitlines()[0])
    digraph graphnn {
    """
    graph = as_graph(what)
    return "\n".join(_Drawing(opened(graph) if expand else graph).lines()) + "\n"


class _Drawing:
    """One graph on its way to DOT: what each node is, where it stands, which edges are cut."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.number = {node: i for i, node in enumerate(graph.nodes)}
        self.users = graph.users()
        self.outputs = frozenset(graph.outputs)
        ends = self.outputs.union(*graph.updates) if graph.updates else self.outputs
        self.becomes: dict[Node, list[Node]] = {}
        for variable, value in graph.updates:
            self.becomes.setdefault(value, []).append(variable)
        self.inlined = {n for n in graph.nodes if _is_small(n) and n not in ends and self.users[n]}
        self.drawn = [node for node in graph.nodes if node not in self.inlined]
        self.phase = self._phases()
        self.places = {node: self._place(node) for node in self.drawn}
        self.cut = self._cut_edges() if len(self.drawn) > _SMALL else set()
        self.called = {source for source, _ in self.cut}  # stubs call these, so they show their number

    def lines(self) -> list[str]:
        splines = "line" if len(self.drawn) > _MANY else "true"
        out = [
            "digraph graphnn {",
            f'  graph [rankdir=TB, bgcolor="{PAPER}", fontname="{FONT}", fontsize=11, nodesep=0.3, ranksep=0.35, '
            f"pad=0.2, splines={splines}]",
            f'  node [fontname="{FONT}", fontsize=12, fontcolor="{INK}", height=0.36, margin="0.14,0.06"]',
            f'  edge [fontname="{FONT}", fontsize=9, fontcolor="{QUIET}", color="{QUIET}", arrowsize=0.6]',
        ]
        out += self._boxes()
        for node in self.drawn:
            out += self._edges(node)
        out += [self._update(variable, value) for variable, value in self.graph.updates]
        out += self._order()
        return [*out, "}"]

    # --- what each node is ---

    def _phases(self) -> dict[Node, str]:
        """The pass of each node. What only new values of variables need, and no output, belongs to the update."""
        needed = set(self.outputs)
        for node in reversed(self.graph.nodes):
            if node in needed:
                needed.update(node.inputs)
        out: dict[Node, str] = {}
        for node in self.graph.nodes:
            if node.origin is not None:
                out[node] = node.origin.role
            else:
                out[node] = "forward" if node in needed or isinstance(node.op, Leaf) else "update"
        return out

    def kind(self, node: Node) -> str:
        """What a node is drawn as."""
        for kind, ops in (("input", Placeholder), ("parameter", Parameter), ("state", State)):
            if isinstance(node.op, ops):
                return kind
        if self.phase[node] in ("reverse", "update"):
            return self.phase[node]
        if isinstance(node.op, Leaf):
            return "constant"
        if node in self.outputs:
            return "output"
        return "composite" if isinstance(node.op, Composite) else "op"

    def _place(self, node: Node) -> tuple[str, ...]:
        """The box that a node stands in: its scope; a leaf without one stands beside those that read it."""
        scope = node.scope
        if not scope and isinstance(node.op, Leaf) and not isinstance(node.op, Placeholder):
            readers = [n for n in self.users[node] if self.phase[n] == "forward"] or self.users[node]
            scopes = [(n.scope, self.phase[n]) for n in readers]
            if not scopes:
                return ()
            scope = _common(scope for scope, _ in scopes)
            phases = {phase for _, phase in scopes}
            if phases == {"reverse"} or phases == {"update"}:
                return (_REVERSE if phases == {"reverse"} else _UPDATE, *scope)
        # The reverse pass of a module has a box of its own: one box for both would reach from the top to the bottom.
        if self.phase[node] == "update":
            return (_UPDATE, *scope)
        return (_REVERSE, *scope) if self.phase[node] == "reverse" else scope

    # --- lines ---

    def _boxes(self) -> list[str]:
        """The nodes, in boxes inside boxes, in the order in which the boxes are first met."""
        members: dict[tuple[str, ...], list[Node]] = {}
        inner: dict[tuple[str, ...], dict[tuple[str, ...], None]] = {}
        for node, place in self.places.items():
            members.setdefault(place, []).append(node)
            for depth in range(len(place)):
                inner.setdefault(place[:depth], {})[place[: depth + 1]] = None
        out: list[str] = []
        count = 0
        stack: list[tuple[tuple[str, ...], str]] = [((), "open")]
        while stack:
            place, step = stack.pop()
            pad = "  " * (len(place) + 1)
            if step == "close":
                out.append(pad[2:] + "}")
                continue
            if place:
                out.append(f"{pad[2:]}subgraph cluster_{count} {{")
                out.append(f"{pad}graph [{_cluster(place)}]")
                count += 1
                stack.append((place, "close"))
            for node in members.get(place, ()):
                out += [pad + line for line in self._node(node)]
            stack += [(box, "open") for box in reversed(inner.get(place, {}))]
        return out

    def _node(self, node: Node) -> list[str]:
        look = LOOKS[self.kind(node)]
        double = ", peripheries=2" if node in self.outputs else ""
        lines = [
            f'n{self.number[node]} [label="{self._label(node)}", shape={look.shape}, style="{look.style}", '
            f'fillcolor="{look.fill}", color="{look.line}"{double}, tooltip="{_quote(self._sentence(node), 400)}"]'
        ]
        for operand in dict.fromkeys(node.inputs):
            if self._is_cut(operand, node):
                lines.append(f'{self._stub(node, operand)} [label="{_quote("↑ " + self._call(operand))}", {_STUB}]')
        for variable in self.becomes.get(node, ()) if len(self.drawn) > _SMALL else ():
            lines.append(f'u{self.number[variable]} [label="{_quote(self._call(variable))}", {_STUB}]')
        return lines

    def _label(self, node: Node) -> str:
        rows = []
        if node.name is not None:
            rows.append(_quote(node.name, _NAME))
        if not isinstance(node.op, (Placeholder, Parameter, State)) and not (
            node.name and isinstance(node.op, Constant)
        ):
            rows.append(_quote(self._operation(node), _NAME))
        if node.name is None and self.number[node] in self.called:
            rows.append(f"#{self.number[node]}")
        return "\\n".join(rows)

    def _operation(self, node: Node) -> str:
        if isinstance(node.op, Leaf):
            return name_of(node, "python").text
        contraction = hasattr(node.op, "is_matmul") and not node.op.is_matmul
        if contraction or any(operand in self.inlined for operand in node.inputs):
            # The numbers are part of the operation: "2.0 * ·" says more than a node for the 2.0.
            holes = {operand: self._short(operand) if operand in self.inlined else "·" for operand in node.inputs}
            return expression(node, holes, limit=1)
        return node.op.name

    def _short(self, node: Node) -> str:
        text = name_of(node, "python").text
        return text if len(text) <= 12 or not isinstance(node.op, Constant) else f"{number_of(node):.4g}"

    def _sentence(self, node: Node) -> str:
        kind = self.kind(node)
        what = f"{kind} {node.label}" if isinstance(node.op, Leaf) else expression(node, limit=4)
        name = f"{printable(node.name, _NAME)} is " if node.name is not None and not isinstance(node.op, Leaf) else ""
        parts = [f"Node {self.number[node]}: {name}{what}, {node.spec}"]
        if node.origin is not None:
            parts.append(f"{node.origin.role} pass of {node.origin.node.label}")
        if node.scope:
            parts.append(f"in {'.'.join(printable(part, _NAME) for part in node.scope)}")
        sentence = ", ".join(parts)
        return f"{sentence}; {printable(str(node.source), 160)}" if node.source else sentence

    def _call(self, node: Node) -> str:
        return printable(node.name, _NAME) if node.name is not None else f"#{self.number[node]} {node.op.name}"

    def _stub(self, node: Node, operand: Node) -> str:
        return f"s{self.number[operand]}_{self.number[node]}"

    def _edges(self, node: Node) -> list[str]:
        out = []
        backward = self.phase[node] != "forward"
        for operand in node.inputs:
            if operand in self.inlined:
                continue
            start = self._stub(node, operand) if self._is_cut(operand, node) else f"n{self.number[operand]}"
            look = ""
            if backward:
                colour = VERMILLION if self.phase[node] == "reverse" else mix(PURPLE, INK, 0.35)
                own = self.phase[operand] != "forward"
                look = f', style=dashed, color="{colour if own else QUIET}"'
            out.append(f'  {start} -> n{self.number[node]} [label=" {_quote(_shape(operand.spec))}"{look}]')
        return out

    def _update(self, variable: Node, value: Node) -> str:
        small = len(self.drawn) <= _SMALL
        target = f"n{self.number[variable]}" if small else f"u{self.number[variable]}"
        look = f'label=" new value", style=bold, color="{mix(PURPLE, INK, 0.35)}"'
        return f"  n{self.number[value]} -> {target} [{look}{', constraint=false' if small else ''}]"

    def _order(self) -> list[str]:
        """Invisible edges that put the reverse pass under the outputs: it begins where the forward pass ends."""
        end = self._end()
        starts = [node for node in self.drawn if self._begins(node)] if end is not None else []
        if self.cut:
            starts = starts[:1]  # the others follow those that read them; edges to all would be long again
        return [f"  n{self.number[end]} -> n{self.number[node]} [style=invis]" for node in starts if end is not None]

    def _end(self) -> Node | None:
        """The first output of the forward pass, if the graph goes on from there."""
        ends = (n for n in self.graph.outputs if self.phase[n] == "forward" and not isinstance(n.op, Leaf))
        return next(ends, None)

    def _begins(self, node: Node) -> bool:
        inner = (n for n in node.inputs if n not in self.inlined)
        return self.phase[node] == "reverse" and all(self.phase[n] == "forward" for n in inner)

    def _is_cut(self, operand: Node, node: Node) -> bool:
        return (self.number[operand], self.number[node]) in self.cut

    def _cut_edges(self) -> set[tuple[int, int]]:
        """Edges into the reverse pass and the update that come from far away: they make layouts slow and unreadable."""
        rank: dict[Node, int] = {}
        end = self._end()
        for node in self.graph.nodes:
            rank[node] = 1 + max((rank[operand] for operand in node.inputs), default=-1)
            if end in rank and self._begins(node):
                rank[node] = max(rank[node], rank[end] + 1)
        for node in self.graph.nodes:
            if isinstance(node.op, Leaf):  # drawn just above the first that reads it
                rank[node] = min((rank[user] for user in self.users[node]), default=1) - 1
        return {
            (self.number[operand], self.number[node])
            for node in self.drawn
            for operand in node.inputs
            if operand not in self.inlined
            if self.phase[operand] != self.phase[node] or isinstance(operand.op, Leaf)
            if rank[node] - rank[operand] > _NEAR
        }


_REVERSE, _UPDATE = "\0reverse", "\0update"  # the boxes around these passes; no scope has these names
_BOXES = {_REVERSE: ("reverse pass", "#E3B7A0", "#FFF9F6"), _UPDATE: ("update", "#D9BDCC", "#FCF7FA")}
_STUB = f'shape=plaintext, fontsize=9, fontcolor="{QUIET}", height=0.2, margin="0.04,0.02"'


def _is_small(node: Node) -> bool:
    if node.name is not None:
        return False
    return isinstance(node.op, DimSize) or (isinstance(node.op, Constant) and node.op.payload.array.ndim == 0)


def _common(scopes: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The scope that all these lie in."""
    first, *rest = scopes
    for other in rest:
        same = 0
        while same < min(len(first), len(other)) and first[same] == other[same]:
            same += 1
        first = first[:same]
    return first


def _cluster(place: tuple[str, ...]) -> str:
    _, line, fill = _BOXES.get(place[0], ("", "#C3CCD6", "#F6F8FA"))
    label = _BOXES[place[-1]][0] if place[-1] in _BOXES else _quote(place[-1], _NAME)
    return (
        f'label="{label}", labeljust=l, style="rounded,filled", color="{line}", fillcolor="{fill}", '
        f'fontcolor="{QUIET}", margin=10'
    )


def _shape(spec: Spec) -> str:
    shape = shape_text(spec.shape) if spec.shape else ""
    if spec.dtype is float32:
        return shape or "scalar"
    return f"{spec.dtype}{shape}" if shape else f"{spec.dtype} scalar"


def _quote(text: str, limit: int = 80) -> str:
    """Text for a double-quoted DOT string: Graphviz reads backslashes and entities such as &lt; in labels."""
    return printable(text, limit).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
