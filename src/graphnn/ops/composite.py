"""Composites: named operations whose meaning is a graph of other operations.

``@composite`` turns a function of nodes into one. Calling it makes a single node with that name; its body is built
when it is needed, to infer the spec, to differentiate and to run it, and views open it on demand.
"""

from __future__ import annotations

import functools
import inspect
import string
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeAlias, overload

from graphnn.errors import DTypeError, GraphError, GraphnnError
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Parameter, Placeholder, State
from graphnn.ir.node import Node, build, explain
from graphnn.ir.op import Cotangent, Op
from graphnn.ir.rebuild import inline
from graphnn.ir.source import apart
from graphnn.ir.spec import Spec
from graphnn.ops.operands import as_nodes, holds_node

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
    optional : those of them that may be left out; the function then gets None
    """

    def __init__(self, function: Callable[P, Node], latex: str, python: str, elementwise: bool) -> None:
        functools.update_wrapper(self, function)
        self.function, self.name = function, function.__name__
        self.latex, self.python, self.elementwise = latex, python, elementwise
        self.derivative: Rule | None = None
        self._signature = _plain(inspect.signature(function))
        parameters = self._signature.parameters.values()
        self.operands = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        self.optional = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is None}

    def __call__(self, *operands: P.args, **options: P.kwargs) -> Node:
        try:
            bound = self._signature.bind(*operands, **options)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}; it is called as {self.name}{self._signature}") from None
        bound.apply_defaults()
        values = dict(bound.arguments)
        arrays = {name: values.pop(name) for name in self.operands}
        left_out = tuple(name for name in self.operands if arrays[name] is None and name in self.optional)
        nodes = as_nodes(self.name, *(arrays[name] for name in self.operands if name not in left_out))
        chosen = []
        for key, value in values.items():
            value = tuple(value) if isinstance(value, list) else value
            if holds_node((value,)):
                raise GraphError(
                    f"{self.name}: the option {key} is a node, but options are fixed values",
                    f"Operands stand before a slash: def {self.name}({', '.join([*self.operands, key])}, /).",
                )
            try:
                hash(value)
            except TypeError:
                raise DTypeError(f"{self.name}: the option {key} must be a fixed value, not {value!r}") from None
            chosen.append((key, value))
        return Composite(self, tuple(chosen), left_out)(*nodes)

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
    """A call of a composite with its static options, and without some of its optional operands"""

    definition: Definition[Any]
    options: tuple[tuple[str, Any], ...]
    left_out: tuple[str, ...] = ()

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

    @property
    def names(self) -> list[str]:
        """The names of the operands that it has."""
        return [name for name in self.definition.operands if name not in self.left_out]

    def infer(self, *specs: Spec) -> Spec:
        return body(self, specs).outputs[0].spec

    def expand(self, *operands: Node) -> Node:
        """The body with these operands, as nodes of the graph around it."""
        try:
            inner = body(self, tuple(node.spec for node in operands))
        except GraphnnError as error:  # sizes that are known by now do not fit
            raise explain(error, operands) from None
        arguments = {f"{self.name}.{name}": node for name, node in zip(self.names, operands, strict=True)}
        return inline(inner.outputs, inner.inputs, [arguments[str(node.name)] for node in inner.inputs])[0]

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...] | None:
        """Its own derivative rule; None where the body is differentiated instead."""
        rule = self.definition.derivative
        if rule is None:
            return None
        if not self.left_out:
            return rule(g, *operands, out=out, **dict(self.options))
        given = dict(zip(self.names, operands, strict=True))
        cotangents = rule(g, *(given.get(name) for name in self.definition.operands), out=out, **dict(self.options))
        return tuple(c for c, name in zip(cotangents, self.definition.operands, strict=True) if name in given)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.options)})"


@functools.lru_cache(maxsize=1024)
def body(op: Composite, specs: tuple[Spec, ...]) -> Graph:
    """The graph of a composite for operands of these specs; its inputs are named ``name.operand``."""
    with apart():
        given = {
            name: build(Placeholder(), (), spec, name=f"{op.name}.{name}")
            for name, spec in zip(op.names, specs, strict=True)
        }
        try:
            result = op.definition.function(*(given.get(name) for name in op.definition.operands), **dict(op.options))
        except GraphnnError as error:
            # The operands inside the body mean nothing to the user: the message gets those of the call.
            raise type(error)(error.headline, *error.hints) from None
    if not isinstance(result, Node):
        raise GraphError(
            f"the body of {op.name} returns {type(result).__name__}, not a node",
            "A composite has one result. A function with several results needs no decorator.",
        )
    graph, own = Graph(result), set(given.values())
    for node in graph:
        if isinstance(node.op, (Parameter, Placeholder, State)) and node not in own:
            other = node.name if node.name is not None and node.name.isidentifier() else "other"
            raise GraphError(
                f"the body of {op.name} uses {node.label}, which is not one of its operands",
                f"Make it an operand: def {op.name}({', '.join([*op.definition.operands, other])}, /).",
            )
    return graph


@overload
def composite(function: Callable[P, Node], /) -> Definition[P]: ...


@overload
def composite(
    *, latex: str = "", python: str = "", elementwise: bool = False
) -> Callable[[Callable[P, Node]], Definition[P]]: ...


def composite(
    function: Callable[..., Node] | None = None, /, *, latex: str = "", python: str = "", elementwise: bool = False
) -> Any:
    r"""Make a composite of a function of nodes; used as a decorator, with or without parentheses.

    Its positional-only parameters are operands, all others static options, which must be hashable. An operand with the
    default None may be left out; the function then gets None. The body uses no parameters, states and inputs but its
    operands, and returns one node.
    ``@name.rule`` under it gives it a derivative of its own: ``rule(g, *operands, out, **options)`` returns the
    cotangents of the operands.

    Parameters
    ----------
    latex : template of the printed form, with ``{0}`` for the first operand, ``{axis}`` for the option axis, ``{args}`` for
        all operands that are not placed, and ``{{`` for a brace; the name and the operands where empty
    python : template of the text form; ``name(...)`` where empty
    elementwise : each element of the result depends on the elements at the same place only

    Raises
    ------
    GraphError
        If the function has no operands, a template places what is neither operand nor option, or, at a call, the body
        returns no node or uses an input, parameter or state that is not an operand.

    >>> @gn.composite(latex=r"2 \, {0:20}")
    ... def twice(x, /):
    ...     return x + x
    >>> gn.evaluate(twice(gn.constant([1.0, 2.0])))
    array([2., 4.], dtype=float32)
    """
    if function is not None:
        return _define(function, latex, python, elementwise)
    return lambda function: _define(function, latex, python, elementwise)


def _define(function: Callable[P, Node], latex: str, python: str, elementwise: bool) -> Definition[P]:
    if not callable(function) or not hasattr(function, "__name__"):
        raise GraphError(
            f"composite makes an operation of a function with a name, not of {type(function).__name__}",
            "Write @gn.composite, or @gn.composite(latex=...), over def name(x, /).",
        )
    name = function.__name__
    printed = name.replace("_", r"\_")
    made = Definition(function, latex or rf"\operatorname{{{{{printed}}}}}\left({{args}}\right)", python, elementwise)
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise GraphError(
            f"composite: {name} takes any number of arguments", f"Name them: def {name}(x, y, /, *, option=1)."
        )
    if not made.operands:
        names = ", ".join(p.name for p in parameters if p.default is p.empty) or "x"
        raise GraphError(
            f"composite: {name} has no operands", f"Operands stand before a slash: def {name}({names}, /)."
        )
    options = {p.name for p in parameters if p.name not in made.operands}
    for key, template in (("latex", made.latex), ("python", python)):
        _check_template(f"composite: the {key} template of {name}", template, len(made.operands), options)
    return made


def _check_template(what: str, template: str, operands: int, options: set[str]) -> None:
    numbers = {str(i) for i in range(operands)}
    hints = (
        "A brace that is printed is written twice: {{ and }}.",
        f"Operands are {', '.join(f'{{{i}}}' for i in range(operands))} or {{args}}"
        + "".join(f", {{{key}}} is the option {key}" for key in sorted(options))
        + ".",
    )
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        raise GraphError(f"{what} has a brace without its partner: {template!r}", *hints) from None
    for _, field, binding, conversion in fields:
        if field is None:
            continue
        if conversion or field not in numbers | options | {"args"}:
            raise GraphError(f"{what} places {{{field}}}, which is neither operand nor option: {template!r}", *hints)
        if binding and not (field in numbers and binding.isdecimal()):
            raise GraphError(
                f"{what}: {{{field}:{binding}}} is no operand with the strength of its binding, as in {{0:20}}", *hints
            )
