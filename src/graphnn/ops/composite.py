"""Composites: named operations whose meaning is a graph of other operations.

``@composite`` turns a function of nodes into one. Calling it makes a single node with that name; its body is built
when it is needed, to infer the spec, to differentiate and to run it, and views open it on demand.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeAlias

from graphnn.errors import DTypeError, GraphnnError
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Placeholder
from graphnn.ir.node import Node, build, explain
from graphnn.ir.op import Cotangent, Op
from graphnn.ir.rebuild import inline
from graphnn.ir.source import apart
from graphnn.ir.spec import Spec
from graphnn.ops.operands import as_nodes

P = ParamSpec("P")
Rule: TypeAlias = Callable[..., tuple[Cotangent, ...]]
"""A derivative: from the cotangent of the result, the operands, ``out=`` and the options to those of the operands."""


class Definition(Generic[P]):
    """A composite: call it to make a node. It holds what all its calls have in common.

    Attributes
    ----------
    name : its name
    function : the function of nodes that builds its body
    derivative : its own derivative rule, or None where the body is differentiated
    elementwise : whether each element of the result depends on the elements at the same place only
    latex, python : its printed forms
    operands : the names of its operands
    """

    def __init__(self, function: Callable[P, Node], latex: str, python: str, elementwise: bool) -> None:
        functools.update_wrapper(self, function)
        self.function, self.name = function, function.__name__
        self.latex, self.python, self.elementwise = latex, python, elementwise
        self.derivative: Rule | None = None
        self._signature = _plain(inspect.signature(function))
        parameters = self._signature.parameters.values()
        self.operands = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)

    def __call__(self, *operands: P.args, **options: P.kwargs) -> Node:
        try:
            bound = self._signature.bind(*operands, **options)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}; it is called as {self.name}{self._signature}") from None
        bound.apply_defaults()
        values = dict(bound.arguments)
        nodes = as_nodes(self.name, *(values.pop(name) for name in self.operands))
        chosen = []
        for key, value in values.items():
            value = tuple(value) if isinstance(value, list) else value
            try:
                hash(value)
            except TypeError:
                raise DTypeError(f"{self.name}: the option {key} must be a fixed value, not {value!r}") from None
            chosen.append((key, value))
        return Composite(self, tuple(chosen))(*nodes)

    def rule(self, derivative: Rule) -> Rule:
        """Give it a derivative of its own; used as a decorator."""
        self.derivative = derivative
        return derivative

    def __repr__(self) -> str:
        return self.name


def _plain(signature: inspect.Signature) -> inspect.Signature:
    # Without annotations, it is what a message shows.
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return inspect.Signature(parameters)


class Composite(Op):
    """A call of a composite with its static options"""

    definition: Definition[Any]
    options: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def latex(self) -> str:  # type: ignore[override]
        return self.definition.latex

    @property
    def python(self) -> str:  # type: ignore[override]
        return self.definition.python

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return self.definition.elementwise

    def infer(self, *specs: Spec) -> Spec:
        return body(self, specs).outputs[0].spec

    def expand(self, *operands: Node) -> Node:
        """The body with these operands, as nodes of the graph around it."""
        try:
            inner = body(self, tuple(node.spec for node in operands))
        except GraphnnError as error:  # sizes that are known by now do not fit
            raise explain(error, operands) from None
        arguments = {f"{self.name}.{name}": node for name, node in zip(self.definition.operands, operands, strict=True)}
        return inline(inner.outputs, inner.inputs, [arguments[str(node.name)] for node in inner.inputs])[0]

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...] | None:
        """Its own derivative rule; None where the body is differentiated instead."""
        rule = self.definition.derivative
        return None if rule is None else rule(g, *operands, out=out, **dict(self.options))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.options)})"


@functools.lru_cache(maxsize=1024)
def body(op: Composite, specs: tuple[Spec, ...]) -> Graph:
    """The graph of a composite for operands of these specs; its inputs are named ``name.operand``."""
    with apart():
        inputs = [
            build(Placeholder(), (), spec, name=f"{op.name}.{name}")
            for name, spec in zip(op.definition.operands, specs, strict=True)
        ]
        try:
            return Graph(op.definition.function(*inputs, **dict(op.options)))
        except GraphnnError as error:
            # The operands inside the body mean nothing to the user: the message gets those of the call.
            raise type(error)(error.headline, *error.hints) from None


def composite(
    *, latex: str, python: str = "", elementwise: bool = False
) -> Callable[[Callable[P, Node]], Definition[P]]:
    r"""Make a composite of a function of nodes.

    Its positional-only parameters are operands, all others static options, which must be hashable.
    ``@name.rule`` under it gives it a derivative of its own: ``rule(g, *operands, out, **options)`` returns the
    cotangents of the operands.

    Parameters
    ----------
    latex : template of the printed form, with ``{0}`` for the first operand
    python : template of the text form; ``name(...)`` where empty
    elementwise : each element of the result depends on the elements at the same place only

    >>> @gn.composite(latex=r"\operatorname{{twice}}({0})")
    ... def twice(x, /):
    ...     return x + x
    >>> gn.evaluate(twice(gn.constant([1.0, 2.0])))
    array([2., 4.], dtype=float32)
    """
    return lambda function: Definition(function, latex, python, elementwise)
