"""Rules: what is replaced by what. As data, `rule`, where a pattern says it; as a function, `rewrites`, where not."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from graphnn.errors import GraphError, nearest
from graphnn.ir.dtype import float64
from graphnn.ir.leaves import Constant, placeholder
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ir.source import on_behalf_of
from graphnn.ir.spec import Spec
from graphnn.ops.composite import Definition
from graphnn.rewrite.pattern import Found, Head, Part, Template, compiled, matches

Rewriter: TypeAlias = Callable[[Node], "Node | None"]
"""A rule as a function: the node that replaces the given one, or None where the rule does not apply."""
Example: TypeAlias = Callable[..., "tuple[Node, Node]"]
"""Gives a node and what the rule makes of it. Its parameters are inputs: float64[2, 3], or of the spec of their default."""


@dataclasses.dataclass(frozen=True, eq=False)
class Rule:
    """One rule. Made by `rule`, `rewrites` and `group`.

    Attributes
    ----------
    name : how logs, errors and `without` call it
    heads : the classes of ops, or composites, at the root of what it rewrites
    run : the function
    group : the list that it belongs to, such as ``"stability"``
    exact : whether the result has the same bits for every input (all NaNs being equal); else its rounding may differ
    example : a node, and what the rule makes of it
    reading : the classes of ops of which one must be among the operands; empty for any
    before : the pattern, or None
    gradients : whether the derivatives of the result are those of what it replaces
    text : what it does, in a line
    """

    name: str
    heads: tuple[Head, ...]
    run: Rewriter
    group: str = ""
    exact: bool = True
    example: Example | None = None
    reading: tuple[Head, ...] = ()
    before: Part | None = None
    gradients: bool = True
    text: str = ""

    def may_match(self, operands: tuple[Head, ...]) -> bool:
        """Whether it can match a node that has such operands: a quick look, before any pattern is matched."""
        if self.before is None:
            return not self.reading or any(_is_a(head, kind) for head in operands for kind in self.reading)
        parts = self.before.operands
        if len(parts) != len(operands):
            return False
        pairs = [parts, parts[::-1]] if self.before.commutative else [parts]
        return any(all(_fits(part, head) for part, head in zip(order, operands, strict=True)) for order in pairs)

    def shown_example(self) -> tuple[Node, Node]:
        """The node of its example and what should become of it."""
        if self.example is None:
            raise GraphError(
                f"the rule {self.name!r} has no example", "Give it one: example=lambda x: (before, after)."
            )
        return self.example(**example_inputs(self.example))

    def __repr__(self) -> str:
        return f"Rule({self.name!r}{f', {self.text}' if self.text else ''})"


def example_inputs(example: Example) -> dict[str, Node]:
    """Placeholders for the parameters of an example."""
    found = {}
    for name, parameter in inspect.signature(example).parameters.items():
        spec = Spec((2, 3), float64) if parameter.default is parameter.empty else parameter.default
        found[name] = placeholder(name, spec.shape, spec.dtype)
    return found


def _is_a(head: Head, kind: Head) -> bool:
    return head is kind or (isinstance(head, type) and isinstance(kind, type) and issubclass(head, kind))


def _fits(part: Part, head: Head) -> bool:
    if part.is_number:
        return head is Constant
    return part.name is not None or head is part.head


def rule(
    name: str,
    before: Node,
    after: Node | Callable[..., Node],
    *,
    where: Callable[..., bool] | None = None,
    free: tuple[str, ...] = (),
    exact: bool = True,
    example: Example | None = None,
) -> Rule:
    """A rule as data: what matches the pattern `before` is replaced by `after`.

    Parameters
    ----------
    name : how logs, errors and `without` call it
    before : a node, built from variables (see `var`), numbers and operations
    after : a node built from the same variables; or a function that builds it, whose parameters are names of variables, of
        free fields, and ``out`` for the node that is replaced
    where : a condition on the match: a function with such parameters; everywhere where it is None
    free : fields of ops, such as ``"axis"``, that match any value, the same in all places; `after` takes it over
    exact : whether the result has the same bits for every input; else its rounding may differ
    example : ``lambda x: (before, after)``, which the tests of the rule run

    Raises
    ------
    GraphError
        If `before` is not a pattern, or a parameter or a variable of `after` does not appear in it.

    >>> from graphnn.rewrite import Pass, optimize, rule, var
    >>> x = var("x")
    >>> twice = rule("twice", x + x, 2 * x)
    >>> y = gn.sin(gn.placeholder("y", (3,)))
    >>> optimize([y + y], passes=[Pass("mine", [twice])])
    [multiply(2.0, sin(…)): float32[3]]
    """
    pattern = compiled(before, free)
    if pattern.head is None:
        raise GraphError(f"rule {name!r}: the pattern is no operation", "Its root must be one, such as gn.exp(x).")
    known = {*_names(pattern), "out"}
    if isinstance(after, Node):
        template = Template(after, free)
        _check(name, "after", template.names, known)
        build = template.build
    else:
        wanted = _parameters(after)
        _check(name, "after", wanted, known)

        def build(found: Found, out: Node) -> Node:
            given = {**found, "out": out}
            return after(**{key: given[key] for key in wanted})

    asked = () if where is None else _parameters(where)
    _check(name, "where", asked, known)

    twins = pattern.twins

    def run(node: Node) -> Node | None:
        if twins and node.inputs[0] is not node.inputs[1] and type(node.inputs[0].op) is not Constant:
            return None  # most products are no squares
        for found in matches(pattern, node, {}):
            given = {**found, "out": node}
            if where is None or where(**{key: given[key] for key in asked}):
                with on_behalf_of(node):
                    return build(found, node)
        return None

    return Rule(name, (pattern.head,), run, exact=exact, example=example, before=pattern)


def rewrites(
    *heads: type[Op] | Definition[Any],
    reading: type[Op] | tuple[type[Op], ...] = (),
    exact: bool = True,
    example: Example | None = None,
    gradients: bool = True,
) -> Callable[[Rewriter], Rule]:
    """A rule as a function of a node, for what no pattern can say; used as a decorator.

    The function gets a node whose op is of one of the classes `heads` (or of a subclass; or a call of that composite) and
    gives its replacement, or None where the rule does not apply. The new nodes take line, scope and origin from the node
    that they replace. Its docstring says what it does.

    Parameters
    ----------
    reading : only nodes that have an operand of one of these classes
    exact, example : as for `rule`
    gradients : False where derivatives of the result differ, for rules after the last derivative has been taken

    >>> from graphnn.rewrite import rewrites
    >>> @rewrites(gn.Elementwise)
    ... def nothing(node):
    ...     "x -> x"
    >>> nothing
    Rule('nothing', x -> x)
    """
    if not heads or not all(isinstance(head, (type, Definition)) for head in heads):
        raise GraphError("rewrites takes the classes of the ops", "Write @rewrites(Reshape) over def name(node).")
    kinds = reading if isinstance(reading, tuple) else (reading,)

    def made(function: Rewriter) -> Rule:
        def run(node: Node) -> Node | None:
            with on_behalf_of(node):
                return function(node)

        text = (function.__doc__ or "").strip().partition("\n")[0]
        name = getattr(function, "__name__", type(function).__name__)
        return Rule(name, heads, run, "", exact, example, kinds, None, gradients, text)

    return made


def group(name: str, *rules: Rule) -> tuple[Rule, ...]:
    """A list of rules under a name, by which `without` leaves all of them out."""
    return tuple(dataclasses.replace(rule, group=name) for rule in rules)


def _names(part: Part) -> Iterator[str]:
    if part.name is not None:
        yield part.name
    yield from part.free
    for operand in part.operands:
        yield from _names(operand)


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)  # inspect would take a good part of the time of importing graphnn
    if code is not None and not hasattr(function, "__self__"):
        return tuple(code.co_varnames[: code.co_argcount])
    return tuple(inspect.signature(function).parameters)


def _check(name: str, side: str, wanted: Any, known: set[str]) -> None:
    for key in wanted:
        if key not in known:
            there = ", ".join(sorted(known - {"out"}))
            raise GraphError(
                f"rule {name!r}: {side} uses {key!r}, which the pattern does not have",
                nearest(key, known) or f"It has {there}.",
            )
