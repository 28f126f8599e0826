"""`scan`, `map` and `while_loop`: loops in a graph, whose step is given as a function of nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.ir import tree
from graphnn.ir.body import Body
from graphnn.ir.dims import Size, as_size
from graphnn.ir.dtype import bool_, result_dtype
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.source import user_source
from graphnn.ir.spec import shape_text
from graphnn.ops.operands import as_node
from graphnn.ops.results import results
from graphnn.transform.inner import Built, call, closed, leaves_as_nodes, same_structure, structure, symbols
from graphnn.transform.loops import Scan, While

_NO_STEPS = "For a number of steps write gn.scan(step, init, length=10). What is the same in every step is simply used."
_LISTED = "A list is a tree of arrays, each with its own steps: make one array of the numbers."


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: Any = None,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    r"""A loop along the first axis of arrays that carries values on: :math:`(c_{t+1}, y_t) = \text{step}(c_t, x_t)`.

    The loop stays a loop: the graph holds the step once, whatever the length, which may be a named size. Its derivatives,
    in both modes and of any order, are scans as well; what the reverse step reads of the forward steps is kept, unless the
    step is wrapped in `checkpoint`. What the step computes without the carried values and elements is computed once.

    Parameters
    ----------
    step : from the carried value and one element of `xs` to the next carried value and what is stacked; called once, with
        nodes. Parameters and other nodes that it uses are the same in every step
    init : the carried value to begin with: a node, an array or number, or a tree of them
    xs : the arrays to go along: a node or a tree of nodes, with equal first sizes; None for a loop without elements, whose
        step gets None
    length : the number of steps; that of `xs` unless told
    reverse : go from the last element to the first; the stacks keep the order of `xs`

    Returns
    -------
    The last carried value, in the structure of `init`, and the stacked second results, with the steps as first axis.

    Raises
    ------
    GraphError, ShapeError, DTypeError
        If the step does not give a pair, or the carried value changes its structure, shape or data type, which the message
        shows by its path; or if the sizes of `xs` differ.

    >>> x = gn.placeholder("x", ("n",))
    >>> total, sums = gn.scan(lambda c, x: (c + x, c + x), 0.0, x)
    >>> gn.evaluate([total, sums, gn.grad(gn.sum(sums), x)], {x: [1.0, 2.0, 3.0]})
    [array(6., dtype=float32), array([1., 3., 6.], dtype=float32), array([3., 2., 1.], dtype=float32)]
    """
    _check_function("scan", "step", step, "gn.scan(lambda carry, x: (carry + x, carry), 0.0, xs)")
    return _loop("scan", step, init, xs, length, reverse)


def map(function: Callable[[Any], Any], xs: Any) -> Any:
    """The results of a function for each element along the first axis, stacked: ``y[t] = function(x[t])``.

    The elements are taken one after the other, so it needs little memory; `vmap` takes all at once and is faster.

    Parameters
    ----------
    function : from one element of `xs` to a node or a tree of nodes; called once, with nodes
    xs : a node or a tree of nodes with equal first sizes

    >>> x = gn.placeholder("x", ("n", 2))
    >>> gn.evaluate(gn.map(lambda row: row[0] * row[1], x), {x: [[1.0, 2.0], [3.0, 4.0]]})
    array([ 2., 12.], dtype=float32)
    """
    _check_function("map", "function", function, "gn.map(lambda x: gn.sum(x), xs)")
    return _loop("map", lambda carry, x: (None, function(x)), None, xs, None, False)[1]


def while_loop(condition: Callable[[Any], Node], step: Callable[[Any], Any], init: Any) -> Any:
    """Apply a step as long as a condition holds: ``while condition(c): c = step(c)``.

    The number of steps depends on the values, so there is a derivative in forward mode only; for reverse mode use `scan`.

    Parameters
    ----------
    condition : from the carried value to a bool scalar
    step : from the carried value to the next one, of the same structure, shapes and data types
    init : the carried value to begin with: a node, an array or number, or a tree of them

    Returns
    -------
    The first carried value for which the condition does not hold.

    >>> x = gn.placeholder("x")
    >>> root = gn.while_loop(lambda r: gn.abs(r * r - x) > 1e-5 * x, lambda r: 0.5 * (r + x / r), x)
    >>> gn.evaluate(root, {x: 2.0}).round(4)
    np.float32(1.4142)
    """
    _check_function("while_loop", "condition", condition, "gn.while_loop(lambda c: c < 10, lambda c: c * 2, 1)")
    _check_function("while_loop", "step", step, "gn.while_loop(lambda c: c < 10, lambda c: c * 2, 1)")
    start, weak = _start("while_loop", init, [])
    while True:
        carried = symbols("carry", init, [node.spec for node in start])
        argument = tree.rebuild(init, iter(carried))
        with _whole_numbers(init):
            asked = call("while_loop", condition, (argument,), carried, lift=False)
            _check_condition(asked)
            built = call("while_loop", step, (argument,), carried, lift=False)
        widened = _carry("while_loop", init, start, built.result, weak)
        if widened is None:
            break
        start = widened
    taken = list(dict.fromkeys((*asked.taken, *built.taken)))
    inner, ends = closed(Built([asked.result, built.result], taken), taken)
    inputs = [*inner, *carried]
    op = While(Body(inputs, ends[:1]), Body(inputs, ends[1:]), len(inner))
    return tree.rebuild(built.result, iter(results(op, *taken, *start)))


def _loop(
    name: str, step: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, length: Any, reverse: bool
) -> tuple[Any, Any]:
    arrays = leaves_as_nodes(name, "xs", xs)
    size = _length(name, xs, arrays, length)
    elements = symbols("x", xs, [node.spec.with_shape(node.shape[1:]) for node in arrays])
    x = tree.rebuild(xs, iter(elements))
    start, weak = _start(name, init, arrays)
    while True:
        carried = symbols("carry", init, [node.spec for node in start])
        with _whole_numbers(init):
            built = call(name, step, (tree.rebuild(init, iter(carried)), x), [*carried, *elements], lift=True)
        if not isinstance(built.result, tuple) or len(built.result) != 2:
            raise GraphError(
                f"{name}: the step gives {structure(built.result)}, not a pair (carry, y)",
                "Return the next carried value and what is stacked, or None for nothing to stack: return carry, None.",
                at=str(user_source() or ""),
            )
        widened = _carry(name, init, start, built.result[0], weak)
        if widened is None:
            break
        start = widened
    inner, ends = closed(built, built.taken)
    op = Scan(Body([*inner, *carried, *elements], ends), len(inner), len(start), size, bool(reverse))
    made = iter(results(op, *built.taken, *start, *arrays))
    return tree.rebuild(built.result[0], made), tree.rebuild(built.result[1], made)


def _start(name: str, init: Any, arrays: list[Node]) -> tuple[list[Node], set[str]]:
    """The first carried values, and the paths of those that are Python numbers: they take the data type of the others."""
    start = leaves_as_nodes(name, "init", init)
    paths = {path: type(leaf) for path, leaf in tree.leaves(init) if type(leaf) in (int, float)}
    strong = [node.dtype for node, (path, _) in zip(start, tree.leaves(init), strict=True) if path not in paths]
    floats = [dtype for dtype in (*strong, *[node.dtype for node in arrays]) if dtype.is_floating]
    for i, (path, leaf) in enumerate(tree.leaves(init)):
        if paths.get(path) is float and floats:
            start[i] = as_node(leaf, result_dtype(name, *floats))
    return start, set(paths)


@contextlib.contextmanager
def _whole_numbers(init: Any) -> Iterator[None]:
    """A step that fails on a carried value because it begins with a whole number: the message tells to begin with a float."""
    try:
        yield
    except DTypeError as error:
        read = {row.name for row in error.operands}
        for path, leaf in tree.leaves(init):
            if type(leaf) is int and f"carry{path}" in read:
                hint = f"carry{path} begins with the whole number {leaf}: begin with {float(leaf)}, or cast it in the step."
                raise DTypeError(error.headline, hint, operands=error.operands, at=error.at) from None
        raise


def _check_function(name: str, what: str, function: object, example: str) -> None:
    if not callable(function) or isinstance(function, Node):
        raise GraphError(
            f"{name}: the {what} is a function of nodes, not {function!r}"[:200], f"For example {example}."
        )


def _check_condition(asked: Built) -> None:
    node = asked.result
    if not isinstance(node, Node) or node.dtype is not bool_ or node.ndim:
        got = str(node.spec) if isinstance(node, Node) else structure(node)
        raise DTypeError(
            f"while_loop: the condition gives {got}, not a bool scalar",
            "Compare: lambda c: c < 10. For several values use gn.all or gn.any.",
            operands=operand_rows((node,), ("condition",)) if isinstance(node, Node) else (),
            at=str(user_source() or ""),
        )


def _length(name: str, xs: Any, arrays: list[Node], length: Any) -> Size:
    paths = [path for path, _ in tree.leaves(xs)]
    for path, node in zip(paths, arrays, strict=True):
        if node.ndim == 0:
            raise ShapeError(
                f"{name}: xs{path} is a scalar: it has no axis to go along",
                _LISTED if "[" in path else _NO_STEPS,
                operands=operand_rows((node,), ("xs",)),
                at=str(user_source() or ""),
            )
        if node.shape[0] != arrays[0].shape[0]:
            raise ShapeError(
                f"{name}: xs{paths[0]} has {arrays[0].shape[0]} elements, but xs{path} has {node.shape[0]}",
                "All arrays to go along have the same first size.",
                operands=operand_rows((arrays[0], node), ("first", "other")),
                at=str(user_source() or ""),
            )
    if length is None:
        if not arrays:
            raise GraphError(
                f"{name}: there is neither xs nor a length", "Give the number of steps: gn.scan(step, init, length=10)."
            )
        return arrays[0].shape[0]
    size = as_size(length)
    if arrays and size != arrays[0].shape[0]:
        raise ShapeError(
            f"{name}: the length is {size}, but xs{paths[0]} has {arrays[0].shape[0]} elements",
            "Leave the length out: that of xs is taken.",
            operands=operand_rows((arrays[0],), ("xs",)),
            at=str(user_source() or ""),
        )
    return size


def _carry(name: str, init: Any, start: list[Node], after: Any, weak: set[str]) -> list[Node] | None:
    """Check that the carried value keeps its form. Python numbers take the data type they have after the step, once."""
    if not same_structure(init, after):
        raise GraphError(
            f"{name}: the carried value is {structure(init)} before the step, but {structure(after)} after it",
            "The step gives the carried value back in the same structure.",
            at=str(user_source() or ""),
        )
    ends = [leaf for _, leaf in tree.leaves(after)]
    paths = [path for path, _ in tree.leaves(init)]
    widened = list(start)
    for i, (path, first, last) in enumerate(zip(paths, start, ends, strict=True)):
        if path in weak and first.dtype is not last.dtype and first.shape == last.shape and last.dtype.is_floating:
            widened[i] = as_node(first.op.payload.array.item(), last.dtype)  # type: ignore[attr-defined]
            weak.discard(path)
        elif first.spec != last.spec:
            _changed(name, path, first, last)
    return widened if any(a is not b for a, b in zip(widened, start, strict=True)) else None


def _changed(name: str, path: str, first: Node, last: Node) -> None:
    kind = DTypeError if first.shape == last.shape else ShapeError
    raise kind(
        f"{name}: the carried value{f' {path}' if path else ''} is {first.spec} before the step, but {last.spec} after it",
        f"Cast one of them: .astype('{first.dtype}')."
        if kind is DTypeError
        else f"Start with the shape it has after the step, {shape_text(last.shape)}, or reduce it in the step.",
        operands=operand_rows((first, last), ("before", "after")),
        at=str(last.source or user_source() or ""),
    )
