"""The forward pass and the reverse pass, step by step: what every node computes, and what flows back to it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphnn.compile.function import evaluate
from graphnn.errors import DifferentiationError, GraphError
from graphnn.ir import tree
from graphnn.ir.algebra import Style, expression, name_of
from graphnn.ir.arrays import Array
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Constant, Parameter, Placeholder, constant
from graphnn.ir.node import Node, operand_rows, printable
from graphnn.ir.op import Leaf, Multi
from graphnn.ir.source import serving, user_source
from graphnn.ir.symbols import latex_name
from graphnn.rewrite.passes import expand_composites
from graphnn.transform.reverse import Contribution, Pull, Step, checked_targets, reverse_pass

_WIDEST = 60  # columns of a rule in the printed table


class ForwardStep(NamedTuple):
    """One node of the forward pass: its number, symbol, rule in algebra and value."""

    number: int
    node: Node
    symbol: str
    rule: str
    value: Array


class Term(NamedTuple):
    """One contribution to an adjoint: who gives it, its rule in algebra and its value."""

    number: int
    reader: Node
    symbol: str
    rule: str
    value: Array


class ReverseStep(NamedTuple):
    """One node of the reverse pass: the contributions to its adjoint, in the order they came, and their sum."""

    node: Node
    symbol: str
    terms: tuple[Term, ...]
    value: Array


class Trace:
    """Both passes of a scalar, as tables; print it, or read `forward` and `reverse`.

    Attributes
    ----------
    forward : the steps of the forward pass, in topological order
    reverse : the steps of the reverse pass, in the opposite order
    loss : the node that was traced
    """

    def __init__(
        self, loss: Node, forward: tuple[ForwardStep, ...], reverse: tuple[ReverseStep, ...], title: str
    ) -> None:
        self.loss, self.forward, self.reverse, self._title = loss, forward, reverse, title
        self._latex: list[str] = []
        self._shown: Mapping[Node, Node] = {}  # with expand=True: what stands for a node of the user's

    def gradient(self, node: Node) -> Array:
        """The adjoint of a node: the derivative of the loss by it."""
        for step in self.reverse:
            if step.node is self._shown.get(node, node):
                return step.value
        raise GraphError(f"trace: {node.label} has no adjoint in this trace")

    def value(self, node: Node) -> Array:
        """The value of a node in the forward pass."""
        for step in self.forward:
            if step.node is self._shown.get(node, node):
                return step.value
        raise GraphError(f"trace: {node.label} is not in this trace")

    def __str__(self) -> str:
        rows = [("forward pass", "", "", "")]
        rows += [(str(s.number), s.symbol, f"= {s.rule}", f"= {_show(s.value)}") for s in self.forward]
        rows += [("", "", "", ""), (f"reverse pass of {self._title}", "", "", "")]
        for step in self.reverse:
            seed = len(step.terms) == 1 and step.terms[0].reader is step.node
            if seed:
                rows.append((str(step.terms[0].number), step.symbol, "= 1", "(seed)"))
                continue
            rows += [(str(t.number), t.symbol, f"+= {t.rule}", f"= {_show(t.value)}") for t in step.terms]
            rows.append(("", step.symbol, "", f"= {_show(step.value)}"))
        body = [row for row in rows if row[1]]
        # A rule that is longer than most moves only its own value to the right.
        widths = [max(min(len(row[i]), _WIDEST) for row in body) for i in range(3)]
        lines = []
        for number, symbol, rule, value in rows:
            if not symbol:
                lines.append(number)
            else:
                line = f"  {number.rjust(widths[0])}  {symbol.ljust(widths[1])}  {rule.ljust(widths[2])}  {value}"
                lines.append(line.rstrip())
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def latex(self) -> str:
        """Both passes as aligned equations."""
        return "\\begin{aligned}\n" + " \\\\\n".join(self._latex) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def trace(
    loss: Node, feeds: Mapping[Node, Any] | None = None, *, wrt: Any = None, expand: bool = False, symbol: str = "γ"
) -> Trace:
    r"""Run the forward pass and the reverse pass of a scalar one step at a time, and keep every step.

    The graph is sorted topologically. The forward pass goes along that order and computes the value of each node. The
    reverse pass goes against it: the adjoint of a node z is the sum of what each of its readers contributes, and each
    contribution is the reader's adjoint times the reader's derivative.

    Parameters
    ----------
    loss : a floating-point scalar
    feeds : arrays for the placeholders
    wrt : the nodes at which the reverse pass ends; all floating-point inputs and parameters unless told
    expand : open composites such as softmax and show their parts
    symbol : the letter for the values

    Returns
    -------
    Trace
        ``print(trace)`` shows both passes; ``trace.latex()`` is the same in LaTeX.

    >>> x1, x2 = gn.placeholder("x1"), gn.placeholder("x2")
    >>> print(gn.trace(x1 * x2 + gn.sin(x1), {x1: 2.0, x2: 3.0}))
    forward pass
       1  γ1      = x1                 = 2
       2  γ2      = x2                 = 3
       3  γ3      = γ1 * γ2            = 6
       4  γ4      = sin(γ1)            = 0.909297
       5  γ5      = γ3 + γ4            = 6.9093
    <BLANKLINE>
    reverse pass of z = γ5
       6  ∂z/∂γ5  = 1                  (seed)
       7  ∂z/∂γ4  += ∂z/∂γ5 * 1        = 1
          ∂z/∂γ4                       = 1
       8  ∂z/∂γ3  += ∂z/∂γ5 * 1        = 1
          ∂z/∂γ3                       = 1
       9  ∂z/∂γ2  += ∂z/∂γ3 * γ1       = 2
          ∂z/∂γ2                       = 2
      10  ∂z/∂γ1  += ∂z/∂γ4 * cos(γ1)  = -0.416147
      11  ∂z/∂γ1  += ∂z/∂γ3 * γ2       = 3
          ∂z/∂γ1                       = 2.58385
    """
    if not isinstance(loss, Node):
        raise GraphError(f"trace: the loss is a node, not {loss!r}")
    if loss.ndim != 0 or not loss.dtype.is_floating:
        raise DifferentiationError(
            f"trace: the loss is not a floating-point scalar: {loss.label} is {loss.spec}",
            "Reduce it first, for example with gn.mean.",
            operands=operand_rows((loss,), ("loss",)),
            at=str(user_source() or ""),
        )
    title = printable(loss.name or "z", 40)
    nodes = Graph(loss).nodes
    stands_for = dict(zip(nodes, expand_composites(nodes, lambda op: False) if expand else nodes, strict=True))
    targets = [stands_for[node] for node in _targets(loss, nodes, wrt)]
    shown = stands_for[loss]
    with serving(shown, "reverse"):
        one = constant(1.0, shown.dtype)
    _, steps = reverse_pass([shown], [Pull(one)], targets, record=True)
    shown_nodes = [node for node in Graph(shown).nodes if not isinstance(node.op, (Constant, Multi))]
    reverse_nodes = {step.node: step.adjoint.materialized() for step in steps}
    terms = {step.node: [c.pull.materialized() for c in step.contributions] for step in steps}
    values = evaluate(
        {"forward": shown_nodes, "adjoints": list(reverse_nodes.values()), "terms": list(terms.values())}, feeds
    )

    texts = _Names(shown_nodes, reverse_nodes, symbol, title, "python")
    forward = tuple(
        ForwardStep(i, node, texts.symbol(node), texts.rule(node), value)
        for i, (node, value) in enumerate(zip(shown_nodes, values["forward"], strict=True), 1)
    )
    number = len(shown_nodes)
    reverse: list[ReverseStep] = []
    for step, adjoint, parts in zip(steps, values["adjoints"], values["terms"], strict=True):
        listed = []
        for contribution, made, part in zip(step.contributions, terms[step.node], parts, strict=True):
            number += 1
            rule = texts.term(contribution, made)
            listed.append(Term(number, contribution.reader, texts.adjoint(step.node), rule, part))
        reverse.append(ReverseStep(step.node, texts.adjoint(step.node), tuple(listed), adjoint))
    out = Trace(loss, forward, tuple(reverse), f"{title} = {texts.symbol(shown)}")
    out._shown = stands_for
    out._latex = _latex_lines(shown_nodes, steps, terms, _Names(shown_nodes, reverse_nodes, symbol, title, "latex"))
    return out


def _targets(loss: Node, nodes: Sequence[Node], wrt: Any) -> list[Node]:
    if wrt is not None:
        return checked_targets("trace", [loss], [leaf for _, leaf in tree.leaves(wrt)])
    targets = [n for n in nodes if isinstance(n.op, (Placeholder, Parameter)) and n.dtype.is_floating]
    if not targets:
        raise DifferentiationError(f"trace: {loss.label} depends on no floating-point input or parameter")
    return targets


class _Names:
    """What values and adjoints are called in one style."""

    def __init__(self, nodes: list[Node], adjoints: Mapping[Node, Node], symbol: str, title: str, style: Style) -> None:
        self.style = style
        if style == "latex":
            title, symbol = latex_name(title), latex_name(symbol)
        self.symbols = {
            node: f"{symbol}{i}" if style == "python" else f"{symbol}_{{{i}}}" for i, node in enumerate(nodes, 1)
        }
        self.adjoints = {
            node: f"∂{title}/∂{self.symbols[node]}"
            if style == "python"
            else rf"\frac{{\partial {title}}}{{\partial {self.symbols[node]}}}"
            for node in adjoints
        }
        self.made = dict(adjoints)
        self.names = {**{made: self.adjoints[node] for node, made in adjoints.items()}, **self.symbols}

    def symbol(self, node: Node) -> str:
        return self.symbols.get(node) or expression(node, self.names, self.style)

    def adjoint(self, node: Node) -> str:
        return self.adjoints[node]

    def rule(self, node: Node) -> str:
        if isinstance(node.op, Leaf):
            return name_of(node, self.style).text
        return expression(node, self.names, self.style, stop=lambda operand: False)

    def term(self, contribution: Contribution, made: Node) -> str:
        reader, position, _ = contribution
        if position < 0:
            return "1"
        # Several adjoints may be one and the same node; here it is that of the reader.
        own = self.made.get(reader)
        if own is None:  # an operation with several results: there are several adjoints behind it
            return expression(made, self.names, self.style, stop=lambda operand: False)
        if made is own:
            return self.adjoints[reader] + (" * 1" if self.style == "python" else r" \cdot 1")
        names = ChainMap({own: self.adjoints[reader]}, self.names)
        return expression(made, names, self.style, stop=lambda operand: False)


def _latex_lines(nodes: list[Node], steps: list[Step], terms: Mapping[Node, list[Node]], names: _Names) -> list[str]:
    lines = [f"{names.symbol(node)} &= {names.rule(node)}" for node in nodes]
    for step in steps:
        pieces = [names.term(c, made) for c, made in zip(step.contributions, terms[step.node], strict=True)]
        lines.append(f"{names.adjoint(step.node)} &= {' + '.join(pieces)}")
    return lines


def _show(value: Array) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array:.6g}" if array.dtype.kind == "f" else str(array)
    text = np.array2string(array, precision=4, threshold=8, edgeitems=2, separator=", ")
    return " ".join(text.split())
