"""The layers of a model, or the parameters of a graph, as a table with totals."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from graphnn.errors import GraphError
from graphnn.ir import tree
from graphnn.ir.leaves import Variable
from graphnn.ir.node import Node, printable
from graphnn.ir.spec import Spec, shape_text
from graphnn.view.subject import Subject, as_graph

_WIDEST = 44


class Summary(str):
    """A table as text; shells and notebooks show it as such.

    Attributes
    ----------
    total, trainable, non_trainable : numbers of parameters, each parameter counted once
    bytes : the memory of their values
    """

    total: int
    trainable: int
    non_trainable: int
    bytes: int

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class _Row(NamedTuple):
    """One layer: what it is called, what it gives, and its variables; None where they do not exist yet."""

    name: str
    kind: str
    output: str
    parameters: list[Variable] | None


def summary(model: Subject, input_shape: Any = None) -> Summary:
    """The layers of a model with output shapes and numbers of parameters, and the totals.

    A layer is a module that holds parameters or no further module. A parameter that several layers share is counted
    where it is met first. Of nodes and graphs, which have no layers, each parameter is a row.

    Parameters
    ----------
    model : a module; or a node, a list of nodes, a `Graph` or a compiled function
    input_shape : the shape of one input without the batch; for modules that were not called yet and whose first layer
        does not know it

    Returns
    -------
    A `str` with the attributes ``total``, ``trainable``, ``non_trainable`` and ``bytes``.

    >>> from graphnn import nn
    >>> print(gn.summary(nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))))
    Sequential
    ───────────────────────────────────────────
     Layer   Kind     Output        Parameters
    ───────────────────────────────────────────
     0       Linear   [batch, 32]          672
     1       ReLU     [batch, 32]            0
     2       Linear   [batch, 1]            33
    ───────────────────────────────────────────
     Total                                 705   2.8 kB
     Trainable                             705
     Non-trainable                           0

    Raises
    ------
    GraphError
        If it is nothing that has parameters, or the model does not take inputs of this shape.
    """
    if hasattr(model, "named_modules"):
        return _model(model, input_shape)
    if input_shape is not None:
        raise GraphError("summary: input_shape is for modules; a graph knows its shapes")
    graph = as_graph(model)
    rows = [_Row(_path(variable), "parameter", str(variable.spec), [variable]) for variable in graph.parameters]
    return _table("Graph", ("Name", "Kind", "Spec"), rows, graph.states)


def _path(variable: Variable) -> str:
    name = variable.name or ""
    return name if "." in name or not variable.scope else ".".join([*variable.scope, name])


def _model(model: Any, input_shape: Any) -> Summary:
    if input_shape is not None:
        model.to_graph(input_shape)  # building the graph tells every layer its shapes
    elif model.output_spec is None:
        with contextlib.suppress(GraphError):  # if its inputs are not known, the table does without shapes
            model.to_graph()
    modules: Mapping[str, Any] = dict(model.named_modules(remove_duplicate=False))
    held = {path: _existing(module.named_parameters) for path, module in modules.items()}
    rows = []
    for path, module in modules.items():
        inside = [other for other in modules if other != path and other.startswith(f"{path}." if path else "")]
        variables = held[path]
        if variables is not None and inside:
            deeper = {v for other in inside for v in held[other] or ()}
            variables = [v for v in variables if v not in deeper]
        if not inside or variables:
            rows.append(_Row(path or type(module).__name__, type(module).__name__, _output(module), variables))
    return _table(type(model).__name__, ("Layer", "Kind", "Output"), rows, _existing(model.named_states) or ())


def _existing(named: Callable[[], Mapping[str, Variable]]) -> list[Variable] | None:
    try:
        return list(named().values())
    except GraphError:
        return None  # a layer that takes its sizes from its first call has no parameters before


def _output(module: Any) -> str:
    specs = [spec for _, spec in tree.leaves(module.output_spec) if isinstance(spec, Spec)]
    return ", ".join(shape_text(spec.shape) for spec in specs) or "-"


def _table(title: str, head: tuple[str, str, str], rows: list[_Row], states: Iterable[Node]) -> Summary:
    seen: dict[Variable, None] = {}
    lines: list[tuple[str, str, str, str, str]] = []
    missing = False
    for row in rows:
        cells = (_cut(row.name), _cut(row.kind), _cut(row.output))
        if row.parameters is None:
            missing = True
            lines.append((*cells, "?", ""))
            continue
        new = [variable for variable in dict.fromkeys(row.parameters) if variable not in seen]
        shared = len(set(row.parameters)) - len(new)
        frozen = sum(not variable.trainable for variable in new)
        notes = [
            f"{shared} shared, counted above" if shared else "",
            "frozen" if new and frozen == len(new) else f"{frozen} of {len(new)} frozen" if frozen else "",
        ]
        seen.update(dict.fromkeys(new))
        lines.append((*cells, f"{_count(new):,}", "; ".join(filter(None, notes))))
    total, trainable = _count(seen), _count(v for v in seen if v.trainable)
    size = sum(_count([v]) * v.dtype.bits // 8 for v in seen)
    ends = [
        ("Total", "", "", f"{total:,}", _bytes(size)),
        ("Trainable", "", "", f"{trainable:,}", ""),
        ("Non-trainable", "", "", f"{total - trainable:,}", ""),
    ]
    state_values = _count(states)
    if state_values:
        ends.append(("States", "", "", f"{state_values:,}", "no parameters: random streams, statistics"))
    made = Summary("\n".join(_boxed(title, (*head, "Parameters", ""), lines, ends, missing)))
    made.total, made.trainable, made.non_trainable, made.bytes = total, trainable, total - trainable, size
    return made


def _boxed(
    title: str,
    head: tuple[str, ...],
    lines: list[tuple[str, str, str, str, str]],
    ends: list[tuple[str, str, str, str, str]],
    missing: bool,
) -> list[str]:
    widths = [max(len(row[i]) for row in (head, *lines)) for i in range(3)]
    widths.append(max(len(row[3]) for row in (head, *lines, *ends)))
    widths[2] += max(0, max(len(row[0]) for row in ends) - sum(widths[:3]) - 6)
    rule = "─" * (sum(widths) + 11)

    def line(row: tuple[str, ...], joined: bool = False) -> str:
        if joined:  # the label of a total may reach over the first three columns
            left = row[0].ljust(sum(widths[:3]) + 6)
        else:
            left = "   ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=False))
        return f" {left}   {row[3].rjust(widths[3])}   {row[4]}".rstrip()

    out = [title, rule, line(head), rule, *map(line, lines), rule, *(line(row, joined=True) for row in ends)]
    if missing:
        out.append(" ? : no parameters yet; give the shape of one input: gn.summary(model, input_shape=(784,))")
    return out


def _count(variables: Iterable[Node]) -> int:
    return sum(int(variable.spec.size) for variable in variables)


def _bytes(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _cut(cell: str) -> str:
    return printable(cell, _WIDEST)
