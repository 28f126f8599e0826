"""The passes that a graph goes through before a backend gets it, in order: a plain list to read, copy and edit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from operator import is_
from typing import TypeAlias

from graphnn.errors import GraphError, RewriteError, nearest
from graphnn.ir.graph import Graph
from graphnn.ir.node import Node
from graphnn.rewrite.chains import order_chains
from graphnn.rewrite.engine import Compute, Context, Index, Keep, Step, apply_rules, keep_none
from graphnn.rewrite.passes import expand, fold_constants, inside_of_loops, intern, less_in_loops, share_loops
from graphnn.rewrite.rule import Rule
from graphnn.rewrite.rules.algebra import ALGEBRA, SQUARES
from graphnn.rewrite.rules.canonical import CANONICAL
from graphnn.rewrite.rules.gathers import GATHERS
from graphnn.rewrite.rules.products import PRODUCTS
from graphnn.rewrite.rules.reductions import REDUCTIONS
from graphnn.rewrite.rules.selection import SELECTION
from graphnn.rewrite.rules.shapes import SHAPES
from graphnn.rewrite.rules.stability import DIGITS, NAMED

Walk: TypeAlias = Callable[[Sequence[Node], Context], "list[Node]"]
"""A pass as a function: the outputs of a graph, and what all passes have in common, to new outputs."""


SUSPICIOUS_ROUNDS = 20
"""After so many repetitions of passes inside of a pass it is looked whether the graph comes back, or grows without end."""
MOST_ROUNDS = 200
"""After so many it is left as it is: right, but not as simple as it might be."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pass:
    """One stage of the pipeline: rules, applied together until none matches; or other passes, repeated; or a function.

    Parameters
    ----------
    name : how logs, errors and `without` call it
    work : a list of rules; a list of passes, repeated in this order until none of them changes the graph any more; or a
        function of the outputs and a `Context` that gives new outputs
    exact : for a function, whether results keep their bits; rules tell it themselves

    >>> from graphnn import rewrite
    >>> [stage.name for stage in rewrite.PASSES]
    ['merge', 'names', 'bodies', 'expand', 'merge', 'share', 'loops', 'improve']
    >>> rewrite.PASSES[-1]
    Pass('improve', [fold, simplify, chains, merge])
    """

    name: str
    work: Sequence[Rule] | Sequence[Pass] | Walk
    exact: bool = True

    def __post_init__(self) -> None:
        if callable(self.work):
            return
        kind = Pass if any(isinstance(item, Pass) for item in self.work) else Rule
        for item in self.work:
            if not isinstance(item, kind):
                raise GraphError(
                    f"pass {self.name!r}: {item!r} is not a {kind.__name__.lower()}"[:200],
                    "Rules are made by rewrite.rule(...) and @rewrite.rewrites(...).",
                )
        object.__setattr__(self, "_index", Index(self.rules) if kind is Rule else None)  # once for all graphs

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Its own rules."""
        return () if callable(self.work) else tuple(item for item in self.work if isinstance(item, Rule))

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes that it repeats."""
        return () if callable(self.work) else tuple(item for item in self.work if isinstance(item, Pass))

    def __call__(self, outputs: Sequence[Node], context: Context | None = None) -> list[Node]:
        context = Context() if context is None else context
        if self.passes:
            return self._repeated(outputs, context)
        context.stage = self.name
        if context.times is None:
            return self._once(outputs, context)
        started = time.perf_counter()
        made = self._once(outputs, context)
        context.times[self.name] = context.times.get(self.name, 0.0) + time.perf_counter() - started
        return made

    def _once(self, outputs: Sequence[Node], context: Context) -> list[Node]:
        if callable(self.work):
            made = self.work(outputs, context)
            if [node.spec for node in made] != [node.spec for node in outputs]:
                old, new = (", ".join(str(node.spec) for node in ends) for ends in (outputs, made))
                raise RewriteError(
                    f"the pass {self.name!r} changes the outputs from {old} to {new}",
                    "A pass gives one node of the same shape and data type for each output.",
                )
            return made
        index: Index = self._index  # type: ignore[attr-defined]
        return apply_rules(outputs, index, context)

    def _repeated(self, outputs: Sequence[Node], context: Context) -> list[Node]:
        nodes, passes, waiting = list(outputs), self.passes, set(self.passes)
        before, most = Graph(()), 0  # a graph as it was some rounds ago, and the nodes that it may grow to
        for number in range(MOST_ROUNDS):
            for stage in passes:
                if stage not in waiting:
                    continue
                new = stage(nodes, context)
                if not all(map(is_, new, nodes)):
                    waiting = set(passes)
                    nodes = new
                waiting.discard(stage)  # once more would change nothing
            if not waiting:
                return nodes
            # One pass may simplify what another one has merged, layer after layer: many rounds alone are no circle.
            if number >= SUSPICIOUS_ROUNDS:
                graph = Graph(nodes)
                most = most or 100 + 2 * len(graph.nodes)
                if graph == before or len(graph.nodes) > most:
                    raise self._without_end(waiting)
                if number.bit_count() == 1 or number == SUSPICIOUS_ROUNDS:
                    before = graph
        return nodes

    def _without_end(self, waiting: set[Pass]) -> RewriteError:
        names = " and ".join(repr(stage.name) for stage in self.passes if stage in waiting)
        return RewriteError(
            f"the passes in {self.name!r} did not come to an end in {SUSPICIOUS_ROUNDS} rounds",
            f"At last {names} still had work to do; do they undo each other?",
        )

    def __repr__(self) -> str:
        if self.passes:
            return f"Pass({self.name!r}, [{', '.join(stage.name for stage in self.passes)}])"
        what = getattr(self.work, "__name__", "a function") if callable(self.work) else f"{len(self.rules)} rules"
        return f"Pass({self.name!r}, {what})"


EXPAND = Pass("expand", expand)
MERGE = Pass("merge", intern)

SHARE = Pass("share", share_loops)

BASIC: tuple[Pass, ...] = (EXPAND, MERGE, SHARE)
"""What `evaluate` does, and ``gn.function(..., passes=rewrite.BASIC)``: every operation is computed as it was written."""

PASSES: tuple[Pass, ...] = (
    MERGE,
    Pass("names", SQUARES + NAMED + DIGITS),  # while composites still have their names
    Pass("bodies", inside_of_loops),
    EXPAND,
    MERGE,
    SHARE,
    Pass("loops", less_in_loops, exact=False),
    Pass(
        "improve",
        [
            Pass("fold", fold_constants),
            Pass("simplify", CANONICAL + ALGEBRA + SHAPES + SELECTION + REDUCTIONS + PRODUCTS + GATHERS + DIGITS),
            Pass("chains", order_chains, exact=False),
            MERGE,
        ],
    ),
)
"""What `function` does unless told otherwise."""


def without(*names: str, passes: Sequence[Pass] = PASSES) -> tuple[Pass, ...]:
    """The pipeline without some passes, groups of rules, or rules, by their names.

    >>> from graphnn import rewrite
    >>> x = gn.placeholder("x")
    >>> f = gn.function([x], gn.log(1 + x), passes=rewrite.without("stability"))
    >>> float(f(1e-10))
    0.0

    Raises
    ------
    GraphError
        If nothing there has one of the names.
    """
    known: set[str] = set()
    for stage in all_of(passes):
        known |= {stage.name, *(rule.name for rule in stage.rules), *(rule.group for rule in stage.rules if rule.group)}
    for name in names:
        if name not in known:
            raise GraphError(f"without: there is no pass, group or rule {name!r}", nearest(str(name), known))
    gone = set(names)
    return _selected(passes, lambda p: p.name not in gone, lambda r: r.name not in gone and r.group not in gone)


def only_exact(passes: Sequence[Pass] = PASSES) -> tuple[Pass, ...]:
    """The pipeline with those rules only whose result has the same bits as what they replace.

    Sums and products may still be rounded differently in their last bit, where NumPy adds numbers in another order
    because they lie in memory in another way.

    >>> from graphnn import rewrite
    >>> [stage.name for stage in rewrite.only_exact()]
    ['merge', 'names', 'bodies', 'expand', 'merge', 'share', 'improve']
    """
    return _selected(passes, lambda stage: stage.exact, lambda rule: rule.exact)


def _selected(
    passes: Sequence[Pass], keep_pass: Callable[[Pass], bool], keep_rule: Callable[[Rule], bool]
) -> tuple[Pass, ...]:
    found = []
    for stage in passes:
        if not keep_pass(stage):
            continue
        kept: tuple[Rule, ...] | tuple[Pass, ...] = tuple(rule for rule in stage.rules if keep_rule(rule))
        if stage.passes:
            kept = _selected(stage.passes, keep_pass, keep_rule)
        if callable(stage.work) or kept == tuple(stage.work):
            found.append(stage)
        elif kept:
            found.append(dataclasses.replace(stage, work=kept))
    return tuple(found)


def all_of(passes: Sequence[Pass]) -> Iterator[Pass]:
    """The passes, and those inside of them."""
    for stage in passes:
        yield stage
        yield from all_of(stage.passes)


def optimize(
    outputs: Sequence[Node],
    keep: Keep = keep_none,
    passes: Sequence[Pass] = PASSES,
    *,
    compute: Compute | None = None,
    log: list[Step] | None = None,
    times: dict[str, float] | None = None,
) -> list[Node]:
    r"""The outputs of a graph after all passes, in order; the graph itself does not change.

    Parameters
    ----------
    outputs : nodes; their derivatives must have been taken before
    keep : tells the composites that a backend runs by name; all others are expanded, at the end if no pass has done it
    passes : see `PASSES`
    compute : computes nodes that depend on constants only; without it they are not folded
    log : a list that gets a `Step` for every rewrite
    times : a dict that gets the seconds that each pass takes, by its name

    Raises
    ------
    RewriteError
        If a rule is wrong: it fails, changes a shape or a data type, or there is no end to it.

    >>> from graphnn import rewrite
    >>> x = gn.placeholder("x", (3,))
    >>> steps = []
    >>> rewrite.optimize([gn.log(1 + x) * 1.0], log=steps)
    [log1p(x): float32[3]]
    >>> print(*steps, sep="\n")
    names: log1p: log(1.0 + x) -> log1p(x)
    simplify: times_one: log1p(x) * 1.0 -> log1p(x)
    """
    context = Context(keep, compute, log, times)
    stages = check_passes(passes)

    def through_all(ends: Sequence[Node]) -> list[Node]:
        nodes = list(ends)
        for stage in stages:
            nodes = stage(nodes, context)
        return expand(nodes, context)

    def through_body(ends: Sequence[Node]) -> list[Node]:
        spent, context.times = context.times, None
        try:
            return through_all(ends)
        finally:
            context.times = spent

    context.through_all = through_body
    return through_all(outputs)


def check_passes(passes: object) -> tuple[Pass, ...]:
    """Passes as a tuple, checked to be such."""
    if isinstance(passes, Sequence) and not isinstance(passes, str) and all(isinstance(p, Pass) for p in passes):
        return tuple(passes)
    raise GraphError(
        f"passes is a list of rewrite.Pass, not {passes!r}"[:200],
        'Begin with the usual ones: passes=[*rewrite.PASSES, rewrite.Pass("mine", [my_rule])].',
    )
