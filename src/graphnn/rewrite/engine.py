"""The engine: applies a list of rules to a graph, from the inputs to the outputs, until none matches any more.

It visits every node once, after its operands. Where a rule matches, what it builds is visited too, before anything that
reads it. So no node is looked at twice without a reason, nothing recurses, and rules see operands that are done. The
engine checks each replacement, carries lines and names on, and notices rules that do not come to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphnn.errors import GraphnnError, RewriteError
from graphnn.ir.algebra import expression
from graphnn.ir.arrays import Array
from graphnn.ir.graph import topological
from graphnn.ir.node import Node, build, operand_rows
from graphnn.ir.op import Op
from graphnn.ops.composite import Composite
from graphnn.rewrite.pattern import Head, head_of
from graphnn.rewrite.rule import Rule

Keep: TypeAlias = Callable[[Op], bool]
"""Whether the backend runs a composite by name."""
Compute: TypeAlias = Callable[[Sequence[Node]], "list[Array]"]
"""The values of nodes that depend on constants only."""

MANY_STEPS = 64
"""After so many rewrites in one place, and twice as many, and so on, the engine looks whether rules undo each other."""
STEPS_PER_NODE = 20
"""How many rewrites a pass may take for each node of the graph, beside the first thousand."""


MANY_OPERANDS = 8
"""Of nodes with more operands, only the kinds that are among them are looked up."""
MOST_KINDS = 10_000
"""How many kinds of nodes a list of rules is sorted by: composites may be defined without end."""


def keep_none(op: Op) -> bool:
    """For a backend that runs no composite by name."""
    return False


class Step(NamedTuple):
    """One rewrite: the pass, the name of the rule, the node before and the node after."""

    stage: str
    rule: str
    before: Node
    after: Node

    def __str__(self) -> str:
        return f"{self.stage}: {self.rule}: {_shown(self.before)} -> {_shown(self.after)}"


class Context:
    """What all passes over one graph have in common.

    Attributes
    ----------
    keeps : tells the composites that the backend runs by name
    compute : computes nodes that depend on constants only; None where no backend is at hand
    log : gets every step, if it is a list
    times : gets the seconds that each pass takes, if it is a dict; passes inside of loops count for the one that looks there
    stage : the name of the pass that is running
    merged : the outputs, if they are those of a graph in which all equal nodes are one
    through_all : the whole pipeline, for the graphs inside of loops and branches
    """

    def __init__(
        self,
        keeps: Keep = keep_none,
        compute: Compute | None = None,
        log: list[Step] | None = None,
        times: dict[str, float] | None = None,
    ) -> None:
        self.keeps, self.compute, self.log, self.times = keeps, compute, log, times
        self.stage = ""
        self.merged: tuple[Node, ...] | None = None
        self.through_all: Callable[[Sequence[Node]], list[Node]] = list
        self._ends: tuple[Node, ...] = ()
        self._order: tuple[Node, ...] = ()

    def order(self, outputs: Sequence[Node]) -> tuple[Node, ...]:
        """The nodes of the graph in topological order; found once for all passes that leave it as it is."""
        if len(outputs) != len(self._ends) or any(a is not b for a, b in zip(outputs, self._ends, strict=True)):
            self._ends, self._order = tuple(outputs), topological(outputs)
        return self._order


class Index:
    """A list of rules, by what they may match: the kinds of a node and of its operands."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._kinds: dict[Head, _Kind | None] = {}

    def for_op(self, op: Op) -> _Kind | None:
        """The rules for nodes with this op; None where there are none."""
        head = op.definition if type(op) is Composite else type(op)
        try:
            return self._kinds[head]
        except KeyError:
            if len(self._kinds) > MOST_KINDS:
                self._kinds.clear()
            kinds = head.__mro__ if isinstance(head, type) else (head,)
            rules = tuple(rule for rule in self.rules if any(kind in rule.heads for kind in kinds))
            found = self._kinds[head] = _Kind(rules) if rules else None
            return found


class _Kind:
    """The rules for nodes of one kind, and which of them may match by the kinds of the operands."""

    __slots__ = ("rules", "table")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.table: dict[tuple[Head, ...], tuple[Rule, ...]] = {}

    def for_node(self, node: Node) -> tuple[Rule, ...]:
        key: tuple[Any, ...] = tuple([head_of(operand.op) for operand in node.inputs])
        many = len(key) > MANY_OPERANDS
        if many:  # they are of few kinds
            key = (len(key), *dict.fromkeys(key))
        found = self.table.get(key)
        if found is None:
            if len(self.table) > MOST_KINDS:
                self.table.clear()
            found = tuple(r for r in self.rules if (r.before is not None and many) or r.may_match(key[many:]))
            self.table[key] = found
        return found


def apply_rules(outputs: Sequence[Node], index: Index, context: Context) -> list[Node]:
    """The outputs with all rules applied, until none of them matches.

    Raises
    ------
    RewriteError
        If a rule fails, gives something else than a node of the same shape and data type, or there is no end to it.
    """
    order = context.order(outputs)
    if not order:
        return []
    engine = _Engine(index, context, len(order), order[-1].index)
    replaced = engine.final
    for node in order:
        current = node
        if replaced:
            for operand in node.inputs:
                if operand in replaced:
                    inputs = tuple([replaced.get(n, n) for n in node.inputs])
                    current = build(node.op, inputs, node.spec, like=node)  # replacements have the same specs
                    break
        kind = index.for_op(node.op)
        if kind is not None:
            current = engine.settle(current, kind)
        elif current is not node:
            engine.done.add(current)
        if current is not node:
            replaced[node] = current
    return [replaced.get(node, node) for node in outputs]


def replace(order: Iterable[Node], replaced: Mapping[Node, Node], outputs: Sequence[Node]) -> list[Node]:
    """The outputs with some nodes replaced by others of the same specs."""
    new = dict(replaced)
    for node in order:
        if node not in new:
            for operand in node.inputs:
                if operand in new:
                    inputs = tuple([new.get(n, n) for n in node.inputs])
                    new[node] = build(node.op, inputs, node.spec, like=node)
                    break
    return [new.get(node, node) for node in outputs]


class Move(NamedTuple):
    """One rewrite of a place: the rule, what it made, of what, and the move that had made that."""

    rule: Rule
    after: Node
    before: Node
    last: Move | None


class _Engine:
    def __init__(self, index: Index, context: Context, nodes: int, newest: int) -> None:
        self.index, self.context = index, context
        self.newest = newest  # what has a larger number was made in this pass
        self.final: dict[Node, Node] = {}  # what became of a node, if anything did
        self.done: set[Node] = set()  # nodes made in this pass that need no further look
        self.budget = 1000 + STEPS_PER_NODE * nodes
        self.steps = 0

    def settle(self, start: Node, kind: _Kind) -> Node:
        """What becomes of a node whose operands are done."""
        rules = kind.for_node(start)
        first = self._step(start, rules) if rules else None
        if first is None:
            if start.index > self.newest:
                self.done.add(start)
            return start
        moves = [Move(*first, start, None)]
        becomes: dict[Node, Node] = {start: first[1]}  # by the last step that was taken
        made_by = {first[1]: moves[0]}
        stack = [first[1]]
        while stack:
            node = stack[-1]
            if node in becomes:  # what it became has been looked at by now
                becomes[node] = self._end(becomes, becomes[node])
                stack.pop()
                continue
            if self._is_done(node):
                stack.pop()
                continue
            pending = [n for n in node.inputs if n not in becomes and not self._is_done(n)]
            if pending:
                stack.extend(pending)
                continue
            current = node
            inputs = tuple([self._end(becomes, n) for n in node.inputs])
            if any(new is not old for new, old in zip(inputs, node.inputs, strict=True)):
                current = build(node.op, inputs, node.spec, like=node)
            kind_here = self.index.for_op(current.op)
            step = None if kind_here is None else self._step(current, kind_here.for_node(current))
            if step is None:
                self.done.add(current)
                stack.pop()
                if current is not node:
                    becomes[node] = current
                continue
            move = Move(*step, current, made_by.get(node))
            made_by[step[1]] = move
            moves.append(move)
            if step[1] in becomes or (len(moves) >= MANY_STEPS and len(moves).bit_count() == 1):
                _check_for_circle(move, self.newest)
            if step[1] in becomes:
                what = f"the rule {step[0].name!r} gives back a node that has been replaced"
                raise _broken(step[0], current, what, after=step[1])
            becomes[node] = step[1]
            if not self._is_done(step[1]):
                stack.append(step[1])
        return self._end(becomes, start)

    def _is_done(self, node: Node) -> bool:
        return node.index <= self.newest or node in self.done

    @staticmethod
    def _end(becomes: dict[Node, Node], node: Node) -> Node:
        while node in becomes:
            node = becomes[node]
        return node

    def _step(self, node: Node, rules: tuple[Rule, ...]) -> tuple[Rule, Node] | None:
        """The first rule that matches a node, and what it makes of it."""
        for rule in rules:
            try:
                new = rule.run(node)
            except Exception as error:
                what = error.headline if isinstance(error, GraphnnError) else f"{type(error).__name__}: {error}"
                raise _broken(rule, node, f"the rule {rule.name!r} failed on {node.label}: {what}") from error
            if new is None:
                continue
            new = self._checked(rule, node, new)
            self.steps += 1
            if self.steps > self.budget:
                raise _broken(
                    rule, node, f"the pass {self.context.stage!r} took more than {self.budget} rewrites", after=new
                )
            if self.context.log is not None:
                self.context.log.append(Step(self.context.stage, rule.name, node, new))
            return rule, new
        return None

    def _checked(self, rule: Rule, node: Node, new: Node) -> Node:
        if not isinstance(new, Node):
            raise _broken(rule, node, f"the rule {rule.name!r} gives {type(new).__name__}, not a node")
        if new is node:
            raise _broken(rule, node, f"the rule {rule.name!r} gives back the node that it should replace")
        if new.spec != node.spec:
            headline = f"the rule {rule.name!r} makes {new.spec} of {node.spec}"
            raise _broken(rule, node, headline, after=new)
        if node.name is not None and new.name is None and new.inputs and not self._is_done(new):
            return build(new.op, new.inputs, new.spec, name=node.name, like=new)  # type: ignore[no-any-return]
        return new


def _broken(rule: Rule, node: Node, headline: str, after: Node | None = None) -> RewriteError:
    shown = f"It rewrites {_shown(node)}" + (f" to {_shown(after)}." if after is not None else ".")
    return RewriteError(
        headline,
        shown,
        f"The error is in the rule, not in your graph. Leave the rule out: {_way_out(rule)}.",
        operands=operand_rows(node.inputs),
        at=str(node.source) if node.source is not None else "",
    )


def _way_out(rule: Rule) -> str:
    # Only rules of a group are sure to be among those that `without` begins with; a user's own may be in a list of theirs.
    return f"passes=rewrite.without({rule.name!r})" if rule.group else f"take {rule.name!r} from the list of its pass"


def _check_for_circle(move: Move, newest: int) -> None:
    """Raise where a node came back: the rules on the way undo each other."""
    way: list[Move] = []
    step: Move | None = move
    while step is not None:
        way.append(step)
        step = step.last
    way.reverse()
    forms: dict[object, int] = {}
    known: dict[Node, int] = {}
    seen: dict[int, int] = {}
    for place, node in enumerate([*[step.before for step in way], move.after]):
        form = _form(node, newest, forms, known)
        if form not in seen:
            seen[form] = place
            continue
        circle = way[seen[form] : place]
        names = list(dict.fromkeys(repr(step.rule.name) for step in circle))
        many = len(names) > 1
        who = f"the rules {' and '.join(names)} undo each other" if many else f"the rule {names[0]} undoes itself"
        start = circle[0].before
        raise RewriteError(
            f"{who}: there is no end to it",
            f"They go round: {' -> '.join(_shown(step.before) for step in circle)} -> {_shown(node)}.",
            f"Leave {'one of them' if many else 'it'} out: {_way_out(circle[-1].rule)}.",
            operands=operand_rows(start.inputs),
            at=str(start.source) if start.source is not None else "",
        )


def _form(node: Node, newest: int, forms: dict[object, int], known: dict[Node, int]) -> int:
    # A number for the structure of what was made in this pass, on top of what was there before.
    for n in topological(node.inputs, stop=_Stop(newest, known)):
        if n not in known:
            key: object = n.index if n.index <= newest else (n.op, *[known[operand] for operand in n.inputs])
            known[n] = forms.setdefault(key, len(forms))
    key = (node.op, *[known[operand] for operand in node.inputs]) if node.inputs else node.index
    return forms.setdefault(key, len(forms))


class _Stop:
    """Nodes up to a number, and those that are known."""

    def __init__(self, newest: int, known: Mapping[Node, int]) -> None:
        self.newest, self.known = newest, known

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and (node.index <= self.newest or node in self.known)


def _shown(node: Node) -> str:
    return expression(node, limit=8)
