"""Graph: some outputs, and everything they are computed from, in topological order."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from graphnn.errors import GraphError, GraphnnError
from graphnn.ir.leaves import Constant, Parameter, Placeholder, State, Variable, set_cell
from graphnn.ir.node import HOOKS, Node, build, make
from graphnn.ir.op import Leaf, Op

if TYPE_CHECKING:
    import networkx


def topological(outputs: Iterable[Node], stop: Container[Node] = ()) -> tuple[Node, ...]:
    """All nodes that the outputs are computed from, and these, inputs before users; not past the nodes in `stop`.

    Nodes are numbered as they are built, so sorting what was reached is enough; nothing here recurses.
    """
    seen: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if node not in stop:
                stack.extend(node.inputs)
    return tuple(sorted(seen, key=_index))


def _index(node: Node) -> int:
    return node.index


class Graph:
    """Outputs, the updates of variables, and all nodes they need, in topological order.

    Parameters
    ----------
    outputs : a node or several
    updates : pairs of a variable and the node that becomes its value

    >>> import graphnn as gn
    >>> x = gn.placeholder("x", (3,))
    >>> graph = gn.Graph(gn.sum(x * x))
    >>> [node.op.name for node in graph]
    ['placeholder', 'multiply', 'sum']
    >>> graph == gn.Graph.from_networkx(graph.to_networkx())
    True
    """

    __slots__ = ("nodes", "outputs", "updates")
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Variable, Node], ...]
    nodes: tuple[Node, ...]

    def __init__(self, outputs: Node | Sequence[Node], updates: Iterable[tuple[Variable, Node]] = ()) -> None:
        self.outputs = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
        self.updates = tuple(updates)
        for node in self.outputs:
            if not isinstance(node, Node):
                raise GraphError(f"a graph is made of nodes, not of {node!r}")
        self.nodes = topological([*self.outputs, *(n for pair in self.updates for n in pair)])

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        counts = f"{len(self.nodes)} nodes, {len(self.inputs)} inputs, {len(self.parameters)} parameters"
        return f"Graph({counts} -> {', '.join(f'{node.label}: {node.spec}' for node in self.outputs[:4])})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, Any]:
        show = HOOKS.get("mimebundle")
        return {"text/plain": repr(self)} if show is None else show(self, include, exclude)

    def of_kind(self, kind: type[Op]) -> tuple[Node, ...]:
        """The nodes whose op is of a class, in topological order."""
        return tuple([node for node in self.nodes if isinstance(node.op, kind)])

    def _leaves(self, kind: type[Op]) -> tuple[Node, ...]:
        # Most nodes have operands, which is seen faster than the class of an op.
        return tuple([node for node in self.nodes if not node.inputs and isinstance(node.op, kind)])

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The placeholders."""
        return self._leaves(Placeholder)

    @property
    def parameters(self) -> tuple[Variable, ...]:
        """The parameters."""
        return self._leaves(Parameter)  # type: ignore[return-value]

    @property
    def states(self) -> tuple[Variable, ...]:
        """The states."""
        return self._leaves(State)  # type: ignore[return-value]

    @property
    def constants(self) -> tuple[Node, ...]:
        """The constants."""
        return self._leaves(Constant)

    def users(self) -> dict[Node, list[Node]]:
        """For each node, the nodes that read it; once for each operand that it is."""
        out: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for operand in node.inputs:
                out[operand].append(node)
        return out

    def _form(self) -> tuple[Any, ...]:
        # Numbers by a walk from the outputs, so that two graphs built in a different order are still equal.
        number: dict[Node, int] = {}
        rows: list[Any] = []

        def walk(ends: Sequence[Node]) -> None:
            stack = list(reversed(ends))
            while stack:
                node = stack[-1]
                missing = [operand for operand in reversed(node.inputs) if operand not in number]
                if node in number or not missing:
                    stack.pop()
                    if node not in number:
                        number[node] = len(number)
                        rows.append((node.op, tuple(number[n] for n in node.inputs), node.spec, node.name))
                else:
                    stack.extend(missing)

        walk(self.outputs)
        # Updates are simultaneous: the order in which they were given means nothing.
        updates = sorted(self.updates, key=lambda pair: (number.get(pair[0], len(number)), str(pair[0].name)))
        walk([node for pair in updates for node in pair])
        ends = tuple(number[node] for node in self.outputs)
        return ends, tuple((number[a], number[b]) for a, b in updates), tuple(rows)

    def __eq__(self, other: object) -> bool:
        """Whether both compute the same by the same ops from inputs of the same names and specs."""
        return isinstance(other, Graph) and (self is other or self._form() == other._form())

    def __hash__(self) -> int:
        return hash(self._form())

    def to_networkx(self) -> networkx.MultiDiGraph:
        """The graph for networkx: nodes are numbers in topological order, edges run from inputs to users.

        Each node has the attributes ``op`` (the op itself), ``kind`` (its name), ``name``, ``label``, ``shape``,
        ``dtype``, ``scope``, ``source``, ``pass_`` (forward, reverse or update) and ``output`` (its places among the outputs);
        each edge has ``position``, the place of the operand. ``from_networkx`` is the way back.
        """
        import networkx

        out = networkx.MultiDiGraph()
        number = {node: i for i, node in enumerate(self.nodes)}
        for node, i in number.items():
            out.add_node(
                i,
                op=node.op,
                kind=node.op.name,
                name=node.name,
                label=node.label,
                shape=node.shape,
                dtype=node.dtype,
                scope=node.scope,
                source=node.source,
                pass_=node.origin.role if node.origin else "forward",
                output=tuple(place for place, other in enumerate(self.outputs) if other is node),
                update_of=tuple(number[variable] for variable, value in self.updates if value is node),
                node=node,
            )
            for position, operand in enumerate(node.inputs):
                out.add_edge(number[operand], i, position=position)
        return out

    @classmethod
    def from_networkx(cls, graph: networkx.MultiDiGraph) -> Graph:
        """The graph that `to_networkx` gave, also after nodes or edges were changed there.

        Each node needs ``op`` (for a leaf also ``node``, the leaf itself); each edge ``position``. Specs are inferred
        anew.

        Raises
        ------
        GraphError
            If the graph has a cycle, an attribute is missing, or the positions of a node's operands are not 0, 1, 2 ...
        ShapeError, DTypeError
            If the ops do not fit together.
        """
        import networkx

        try:
            order = list(networkx.lexicographical_topological_sort(graph, key=_number))
        except networkx.NetworkXUnfeasible:
            cycle = [str(a) for a, *_ in networkx.find_cycle(graph)]
            raise GraphError(f"from_networkx: the graph has a cycle: {' -> '.join([*cycle, cycle[0]])}") from None
        made: dict[Any, Node] = {}
        for key in order:
            attributes = graph.nodes[key]
            if not isinstance(attributes.get("op"), Op):
                raise GraphError(f"from_networkx: node {key!r} has no attribute 'op' that is a graphnn op")
            made[key] = _node_from(key, attributes, _operands(graph, key, made))
        ends = sorted((place, key) for key in order for place in graph.nodes[key].get("output", ()))
        updates = [(made[target], made[key]) for key in order for target in graph.nodes[key].get("update_of", ())]
        outputs = [made[key] for _, key in ends]
        if not outputs and not updates:  # a graph from elsewhere: nobody said what its outputs are
            outputs = [made[key] for key in order if graph.out_degree(key) == 0]
        return cls(outputs, updates)  # type: ignore[arg-type]


def _number(key: Any) -> Any:
    return key if isinstance(key, int) else 0


def _operands(graph: networkx.MultiDiGraph, key: Any, made: dict[Any, Node]) -> tuple[Node, ...]:
    edges = [(data.get("position"), made[start]) for start, _, data in graph.in_edges(key, data=True)]
    positions = [position for position, _ in edges]
    if any(not isinstance(p, int) for p in positions) or sorted(positions) != list(range(len(edges))):
        raise GraphError(
            f"from_networkx: the operands of node {key!r} have the positions {positions}",
            "Give each edge the attribute position: 0, 1, 2 ... for the operands of a node.",
        )
    return tuple(node for _, node in sorted(edges, key=lambda edge: edge[0]))


def _node_from(key: Any, attributes: dict[str, Any], operands: tuple[Node, ...]) -> Node:
    op, like = attributes["op"], attributes.get("node")
    if isinstance(op, (Placeholder, Parameter, State)):
        if not isinstance(like, Node):
            raise GraphError(
                f"from_networkx: the leaf {key!r} has no attribute 'node'", "A leaf is taken over as it is."
            )
        made = build(op, (), like.spec, name=attributes.get("name"), like=like, kind=type(like))
        if isinstance(like, Variable):
            set_cell(made, like.cell)
        return made  # type: ignore[no-any-return]
    if isinstance(op, Leaf) and operands:
        raise GraphError(f"from_networkx: the leaf {key!r} has operands")
    if like is not None and like.op == op and tuple(n.spec for n in like.inputs) == tuple(n.spec for n in operands):
        return build(op, operands, like.spec, name=attributes.get("name"), like=like)  # type: ignore[no-any-return]
    try:
        return make(op, operands, name=attributes.get("name"), like=like)
    except (IndexError, ValueError, TypeError) as error:
        if isinstance(error, GraphnnError):
            raise
        raise GraphError(f"from_networkx: {op.name} (node {key!r}) does not take {len(operands)} operands") from None
