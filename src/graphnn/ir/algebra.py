"""Algebra: the printed form of nodes, from the templates of their ops, as Python text or as LaTeX.

A template is a format string: ``{0}`` is operand 0, ``{0:20}`` operand 0 in parentheses unless it binds at least as
strongly as 20, ``{args}`` all operands that the template does not place by number, ``{axis}`` and the like the static
fields of the op. Every view and the trace print nodes through `expression`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from graphnn.ir.arrays import Array
from graphnn.ir.dims import Dim
from graphnn.ir.dtype import DType, int64
from graphnn.ir.leaves import Constant, DimSize, Iota, Payload
from graphnn.ir.node import Node, printable
from graphnn.ir.op import Op
from graphnn.ir.symbols import latex_name, latex_number, latex_size

Style: TypeAlias = Literal["python", "latex"]
"""How expressions are printed."""

_ADD, _MULTIPLY, _UNARY, _POWER, _ATOM = 10, 20, 30, 40, 100
_SCRIPT = re.compile(r"\w\^")  # a template such as e^{...}
_PLACE = re.compile(r"(?<!\{)(?:\{\{)*\{(\d+)")  # the operands that a template places by number


class Fragment(NamedTuple):
    """A piece of printed algebra and how strongly it binds; its format puts it in parentheses where it must be.

    >>> f"{Fragment('x + 1', 10, 'python'):20} * y"
    '(x + 1) * y'
    """

    text: str
    precedence: int
    style: Style

    def __format__(self, wanted: str) -> str:
        return self.wrapped(int(wanted)) if wanted else self.text

    def wrapped(self, least: int) -> str:
        """The text, in parentheses if it binds less than `least`."""
        if self.precedence >= least:
            return self.text
        return rf"\left({self.text}\right)" if self.style == "latex" else f"({self.text})"


class _Inner(Fragment):
    """An operand that is not the first of its template: in LaTeX a minus in front of it needs parentheses."""

    __slots__ = ()

    def __format__(self, wanted: str) -> str:
        if wanted and int(wanted) >= _ADD and self.style == "latex" and self.text.startswith("-"):
            return rf"\left({self.text}\right)"
        return super().__format__(wanted)


def expression(
    node: Node,
    names: Mapping[Node, str] | None = None,
    style: Style = "python",
    *,
    stop: Callable[[Node], bool] | None = None,
    limit: int | None = 40,
) -> str:
    r"""The algebra of a node in terms of others.

    Parameters
    ----------
    node : it is always written out, even if it has a name
    names : nodes that are printed by these texts, which must be of the same style
    style : ``"python"`` or ``"latex"``
    stop : whether an operand is printed by its own name rather than written out; by default where the user named it
    limit : how many operations are written out, the outermost first; deeper ones are cut to ``sin(…)``. None for all:
        for small expressions only, as the text grows exponentially where unnamed nodes are shared

    >>> import graphnn as gn
    >>> x, y = gn.placeholder("x"), gn.placeholder("y_1")
    >>> expression((x + 1.0) * gn.sin(y))
    '(x + 1.0) * sin(y_1)'
    >>> print(expression((x + 1.0) * gn.sin(y), style="latex"))
    \left(x + 1\right)\, \sin\left(y_{1}\right)
    """
    known: Mapping[Node, str] = {} if names is None else names
    stop = _has_name if stop is None else stop
    # Outermost first, so that the limit cuts what is deepest; each place in the tree is a row of its own.
    places: list[tuple[Node, int, bool]] = [(node, 0, True)]  # the node, where its operands begin, is it written out?
    left = limit
    row = 0
    while row < len(places):
        here, _, opened = places[row]
        if opened and here.inputs and (limit is None or row == 0 or (left or 0) > 0):
            left = None if left is None else left - 1
            places[row] = (here, len(places), True)
            places.extend((n, 0, n not in known and not stop(n)) for n in here.inputs)
        else:
            places[row] = (here, 0, False)
        row += 1
    made: list[Fragment] = [_EMPTY] * len(places)
    for row in range(len(places) - 1, -1, -1):
        here, first, opened = places[row]
        if opened:
            made[row] = write(here, made[first : first + len(here.inputs)], style)
        elif row > 0 and here in known:
            made[row] = Fragment(known[here], _ATOM, style)
        else:
            made[row] = name_of(here, style)
    return made[0].text


def _has_name(node: Node) -> bool:
    return node.name is not None


_EMPTY = Fragment("", _ATOM, "python")


def write(node: Node, operands: Iterable[Fragment], style: Style) -> Fragment:
    """The printed form of one operation, its operands being printed already."""
    operands = list(operands)
    template, precedence = _template(node, operands, style)
    if not template:
        return Fragment(_call(node, operands), _ATOM, style)
    placed = {int(place) for place in _PLACE.findall(template)}
    rest = ", ".join(operand.text for i, operand in enumerate(operands) if i not in placed)
    inner = operands[:1] + [_Inner(*operand) for operand in operands[1:]]
    text = template.format(*inner, args=rest, **_fields(node, style))
    return Fragment(text.replace("_{}", ""), precedence, style)


def name_of(node: Node, style: Style) -> Fragment:
    """How a node is called where it is not written out: its name, its number, or its op with its operands left out."""
    op, latex = node.op, style == "latex"
    if node.name is not None:
        return Fragment(latex_name(node.name) if latex else printable(node.name, 40), _ATOM, style)
    if isinstance(op, Constant):
        return _constant(op.payload, style)
    if isinstance(op, DimSize):
        size = str(op.size)
        simple = size.isidentifier() or size.isdigit()
        return Fragment(latex_size(op.size) if latex else size, _ATOM if simple else 0, style)
    if isinstance(op, Iota):
        last, kind = op.size - 1, "" if op.dtype is int64 else f", dtype={op.dtype}"
        text = rf"\left(0, \ldots, {latex_size(last)}\right)" if latex else f"arange({op.size}{kind})"
        return Fragment(text, _ATOM, style)
    inside = (r"\left(\ldots\right)" if latex else "(…)") if node.inputs else ""
    return Fragment((latex_name(op.name) if latex else printable(op.name)) + inside, _ATOM, style)


def number_of(node: Node) -> Any:
    """The number that a scalar constant stands for, as a NumPy scalar; None for every other node."""
    if isinstance(node.op, Constant) and node.op.payload.array.ndim == 0:
        return node.op.payload.array[()]
    return None


def is_short(array: Array) -> bool:
    """Whether an array is so small that expressions print its elements."""
    return array.ndim == 0 or (array.ndim == 1 and 0 < array.size <= 4)


def _constant(payload: Payload, style: Style) -> Fragment:
    array = payload.array
    if array.ndim == 0:
        text = latex_number(array[()]) if style == "latex" else str(array)
        negative = text.startswith("-")
        atom = style == "python" or r"\cdot" not in text
        return Fragment(text, _UNARY if negative else _ATOM if atom else _MULTIPLY, style)
    if is_short(array):
        items = ", ".join(latex_number(x) if style == "latex" else str(x) for x in array)
        return Fragment(rf"\left[{items}\right]" if style == "latex" else f"[{items}]", _ATOM, style)
    if style == "latex":
        shape = r" \times ".join(map(str, array.shape))
        return Fragment(rf"\mathrm{{constant}}_{{{shape}}}", _ATOM, style)
    return Fragment(f"constant{list(array.shape)}", _ATOM, style)


# --- templates ---


_PYTHON = {
    "slice": "{0:100}[{cuts}]",
    "astype": "{0:100}.astype({dtype})",
    "concat": "concat([{args}], axis={axis})",
    "pad": "pad({0}, {widths})",
}
"""Calls whose arguments are not the operands and then the fields by name."""


def _template(node: Node, operands: list[Fragment], style: Style) -> tuple[str, int]:
    """The template of a node: that of its op, or a shorter one where the operands allow a textbook form."""
    op, latex = node.op, style == "latex"
    if op.name == "advance":
        return "{0}", operands[0].precedence  # its value is that of the first operand
    if latex and op.name == "multiply":
        return _product(node, operands)
    if hasattr(op, "left") and hasattr(op, "right"):
        matrix = _matrix_product(op, latex)
        if matrix:
            return matrix, _MULTIPLY
    if op.name == "permute_dims" and getattr(op, "axes", None) == (1, 0):
        return (r"{0:50}^{{\top}}" if latex else "{0:100}.T"), (_POWER if latex else _ATOM)
    if latex:
        if op.name == "where":
            return op.latex, 0  # a brace has no end of its own
        if op.name == "floor_divide":
            return op.latex, _ATOM  # its brackets are its parentheses
        if op.name == "slice":
            return "{{{0:100}}}_{{{cuts}}}", _ATOM  # in braces: what is sliced may have a subscript already
        if op.latex:
            # Two exponents must not follow each other, so e^x binds like a power and not like a call.
            return op.latex, min(op.precedence, _POWER) if _SCRIPT.match(op.latex) else op.precedence
        name = latex_name(op.name).replace("{", "{{").replace("}", "}}")
        return rf"{name}\left({{args}}\right)", _ATOM
    if not op.python:
        if op.name in _PYTHON:
            return _PYTHON[op.name], _ATOM
        if op.name == "gather" and getattr(op, "axes", None) == tuple(range(len(node.inputs) - 1)):
            return "{0:100}[{args}]", _ATOM
    return op.python, op.precedence


def _product(node: Node, operands: list[Fragment]) -> tuple[str, int]:
    """A product: a scalar stands beside the other factor, numbers first; else the sign of the Hadamard product."""
    x, y = node.inputs
    if x.ndim and y.ndim:
        return node.op.latex, node.op.precedence
    first, second = (operands[1], operands[0]) if _is_number(operands[1]) and not _is_number(operands[0]) else operands
    template = "{1:20}%s{0:20}" if first is operands[1] and second is operands[0] else "{0:20}%s{1:20}"
    # Digits side by side would read as one number.
    return template % (r" \cdot " if second.text[:1].isdigit() else r"\, "), _MULTIPLY


def _is_number(fragment: Fragment) -> bool:
    return fragment.text.lstrip("-")[:1].isdigit() and fragment.precedence >= _UNARY


def _matrix_product(op: Any, latex: bool) -> str:
    """The template of a contraction of vectors and matrices as a product of matrices; empty for any other one."""
    a, b, out = op.left, op.right, op.result
    common = [letter for letter in a if letter in b]
    if len(a) > 2 or len(b) > 2 or not a or not b or len(common) > 1 or (common and common[0] in out):
        return "{0:20} @ {1:21}" if getattr(op, "is_matmul", False) and not latex else _batched(op, latex)
    free_a, free_b = (next((c for c in letters if c not in common), "") for letters in (a, b))
    if not common:  # an outer product
        return r"{0:20}\, {1:50}^{{\top}}" if latex and len(a) == len(b) == 1 and out == a + b else ""
    orders = []
    for left, right, ends in ((0, 1, free_a + free_b), (1, 0, free_b + free_a)):
        if out == ends:
            # The common letter must be the last one of the left factor and the first one of the right factor.
            turned = [len(s) == 2 and s[at] != common[0] for s, at in (((a, b)[left], -1), ((a, b)[right], 0))]
            if latex and len(a) == len(b) == 1:
                turned[0] = True  # the inner product of two vectors
            orders.append((sum(turned), _factor(left, turned[0], 20, latex), _factor(right, turned[1], 21, latex)))
    if not orders:
        return ""
    _, first, second = min(orders)
    return first + (r"\, " if latex else " @ ") + second


def _factor(place: int, turned: bool, least: int, latex: bool) -> str:
    if turned:
        return rf"{{{place}:50}}^{{{{\top}}}}" if latex else f"{{{place}:100}}.T"
    return f"{{{place}:{least}}}"


def _batched(op: Op, latex: bool) -> str:
    return r"{0:20}\, {1:21}" if latex and getattr(op, "is_matmul", False) else ""


# --- fields ---


def _call(node: Node, operands: list[Fragment]) -> str:
    """``name(operands, field=value)``, with the fields that are not at their defaults."""
    shown = [operand.text for operand in operands]
    left_out = getattr(node.op, "left_out", ())  # a composite: None where an operand before the last one is missing
    for i, name in enumerate(getattr(node.op, "definition").operands if left_out else ()):  # noqa: B009
        if name in left_out and i < len(shown):
            shown.insert(i, "None")
    shown += [f"{key}={value}" for key, value in _keywords(node).items()]
    return f"{printable(node.op.name)}({', '.join(shown)})"


def _keywords(node: Node) -> dict[str, str]:
    op = node.op
    options = getattr(op, "options", None)  # a composite: what its caller chose
    if options is not None:
        usual = _usual_options(op.definition)  # type: ignore[attr-defined]
        return {key: _python(value) for key, value in options if key not in usual or usual[key] != value}
    out = {}
    for field in dataclasses.fields(op):
        value = getattr(op, field.name)
        if field.name == "axes" and hasattr(op, "keepdims"):  # a reduction; its function takes axis=
            if not _all_axes(node):
                out["axis"] = _python(value[0] if len(value) == 1 else value)
        elif value != field.default and str(value) != op.name:  # what gave the op its name is told by it
            out[field.name] = _python(value)
    return out


def static_fields(node: Node) -> str:
    """The static fields of a node's op as text, such as ``axis=1``; empty where all are at their defaults."""
    op: Any = node.op
    if hasattr(op, "is_matmul"):
        return "" if op.is_matmul else f"'{op.left},{op.right}->{op.result}'"
    return ", ".join(f"{key}={value}" for key, value in _keywords(node).items())


@functools.lru_cache(maxsize=512)
def _usual_options(definition: Any) -> dict[str, Any]:
    parameters = inspect.signature(definition.function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is not p.POSITIONAL_ONLY}


def _all_axes(node: Node) -> bool:
    return bool(node.inputs) and node.op.axes == tuple(range(node.inputs[0].ndim))  # type: ignore[attr-defined]


def _fields(node: Node, style: Style) -> dict[str, str]:
    """The fields of an op, or the options of a composite, as a template prints them."""
    op = node.op
    show = _latex_field if style == "latex" else _python
    options = getattr(op, "options", None)
    values = dict(options) if options is not None else op.fields()
    out = {key: show(value) for key, value in values.items()}
    if "axes" in values and hasattr(op, "keepdims") and _all_axes(node):
        out["axes"] = ""
    if "cuts" in values:
        out["cuts"] = ", ".join(_cut(cut) for cut in values["cuts"])
    return out


def _cut(cut: tuple[int | None, int | None, int]) -> str:
    start, stop, step = ("" if part is None else str(part) for part in cut)
    return f"{start}:{stop}" + (f":{step}" if step not in ("", "1") else "")


def _python(value: Any) -> str:
    if isinstance(value, tuple):
        inside = ", ".join(map(_python, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, (Dim, DType)):
        return str(value)
    return printable(repr(value))


def _latex_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(map(_latex_field, value))
    if isinstance(value, (bool, str)):
        return latex_name(str(value)) if value != "" else ""
    if isinstance(value, DType):
        return str(value)
    if isinstance(value, Dim):
        return latex_size(value)
    return latex_number(value) if isinstance(value, (int, float)) else latex_name(str(value))


# --- names ---


def unique_names(nodes: Iterable[Node], style: Style, stem: str = "v") -> dict[Node, str]:
    """A printed name for each node, no two alike: the user's name, or ``v1``, ``v2`` ... in the order given.

    Of several nodes with one name the later ones are told apart by a number: ``w``, ``{w^{(2)}}`` (in Python ``w_2``).
    """
    nodes = list(nodes)
    latex = style == "latex"
    taken = {latex_name(n.name) if latex else printable(n.name, 40) for n in nodes if n.name is not None}
    seen: dict[str, int] = {}
    out: dict[Node, str] = {}
    fresh = 0
    for node in nodes:
        if node.name is None:
            text = ""
            while not text or text in taken:
                fresh += 1
                text = f"{stem}_{{{fresh}}}" if latex else f"{stem}{fresh}"
            out[node] = text
            continue
        base = text = latex_name(node.name) if latex else printable(node.name, 40)
        count = seen.get(base, 0)
        while count and (text == base or text in taken):
            count += 1
            text = rf"{{{base}^{{({count})}}}}" if latex else f"{base}_{count}"
        seen[base] = max(count, 1)
        taken.add(text)
        out[node] = text
    return out


__all__ = [
    "Fragment",
    "Style",
    "expression",
    "is_short",
    "name_of",
    "number_of",
    "static_fields",
    "unique_names",
    "write",
]
