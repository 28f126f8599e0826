"""The arguments of a compiled function: how calls are matched with inputs, checked, and named sizes bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphnn.errors import DTypeError, GraphError, ShapeError, listing, nearest
from graphnn.ir import dims, tree
from graphnn.ir.arrays import Array, is_plain, native, to_array
from graphnn.ir.dims import Dim
from graphnn.ir.dtype import as_dtype
from graphnn.ir.leaves import Placeholder
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec, shape_text


class Argument:
    """One input of a function: its node, how messages call it, and its check."""

    def __init__(self, node: Node, path: str) -> None:
        self.node, self.path = node, path
        self.spec: Spec = node.spec
        self.dtype = node.dtype.numpy
        self.named = bool(node.spec.names)

    def check(self, value: Any) -> Array:
        """The array of a call: of the right data type and shape, contiguous, in native byte order."""
        if type(value) is np.ndarray and value.dtype is self.dtype:
            array = value
        else:
            array = self._convert(value)
        if len(array.shape) != len(self.spec.shape) or (not self.named and array.shape != self.spec.shape):
            raise self._wrong_shape(array)
        return array if is_plain(array) else native(array, copy=True)

    def _convert(self, value: Any) -> Array:
        if isinstance(value, Node):
            raise GraphError(
                f"argument {self.path}: a node was given, an array is wanted",
                "Compiled functions take values. To join graphs, call the model on nodes before compiling.",
            )
        try:
            array = to_array(value, self.spec.dtype)
            dtype = as_dtype(array.dtype)
        except (DTypeError, ValueError) as error:
            hint = "Give an array, a number or lists of numbers."
            if isinstance(error, ValueError):
                hint = "Its lists have different lengths."
            elif hasattr(value, "filled"):
                hint = "Its mask would be lost. Decide what stands in its place: array.filled(0)."
            given = type(value).__name__
            if type(value) is np.ndarray and isinstance(error, DTypeError):
                given, hint = f"an array of {value.dtype}", " ".join(error.hints).strip()
            raise DTypeError(f"argument {self.path}: expected {self.spec}, got {given}", hint) from None
        if dtype is not self.spec.dtype:
            raise DTypeError(
                f"argument {self.path}: expected {self.spec}, got {dtype}{shape_text(array.shape)}",
                f"Cast it: array.astype('{self.spec.dtype}'), or declare the input with dtype='{dtype}'.",
            )
        return array

    def _wrong_shape(self, array: Array) -> ShapeError:
        hint = f"The number of its axes is {array.ndim}, wanted is {len(self.spec.shape)}."
        if array.ndim == len(self.spec.shape) - 1:
            hint = "An axis is missing; for a batch of one write array[None]."
        elif array.ndim == len(self.spec.shape):
            wrong = [i for i, size in enumerate(self.spec.shape) if isinstance(size, int) and size != array.shape[i]]
            hint = f"Axis {wrong[0]} has the size {array.shape[wrong[0]]}, wanted is {self.spec.shape[wrong[0]]}."
        return ShapeError(
            f"argument {self.path}: expected {self.spec}, got {self.spec.dtype}{shape_text(array.shape)}", hint
        )


def bind_sizes(arguments: Sequence[Argument], arrays: Sequence[Array]) -> dict[str, int]:
    """The numbers behind the named sizes, from the shapes of the arrays.

    Raises
    ------
    ShapeError
        If two inputs contradict each other; the message names both.
    """
    sizes: dict[str, int] = {}
    found: dict[str, tuple[Argument, int]] = {}
    later = []
    for argument, array in zip(arguments, arrays, strict=True):
        for axis, (wanted, size) in enumerate(zip(argument.spec.shape, array.shape, strict=True)):
            name = str(wanted)
            if isinstance(wanted, int):
                if wanted != size:
                    raise argument._wrong_shape(array)
            elif wanted.names != {name}:
                later.append((argument, axis, wanted, size))
            elif sizes.setdefault(name, size) != size:
                first, place = found[name]
                raise ShapeError(
                    f"the size {name!r} is {sizes[name]} in argument {first.path} (axis {place}) "
                    f"but {size} in argument {argument.path} (axis {axis})",
                    f"Inputs that share a size name must agree: {first.spec} and {argument.spec}.",
                )
            else:
                found.setdefault(name, (argument, axis))
    for argument, axis, wanted, size in later:
        expected = dims.substitute(wanted, sizes)
        if expected != size:
            raise ShapeError(
                f"argument {argument.path}: axis {axis} is {size}, but {wanted} is {expected} "
                f"for {', '.join(f'{n} = {sizes[n]}' for n in sorted(wanted.names) if n in sizes)}"
            )
    return sizes


def check_bound(arguments: Sequence[Argument], nodes: Sequence[Node]) -> None:
    """Check that every size name of the graph is bound by an input on its own."""
    bound = {str(s) for a in arguments for s in a.spec.shape if isinstance(s, Dim) and s.names == {str(s)}}
    for node in nodes:
        for name in (node.spec.names | node.op.size_names()) - bound:
            raise GraphError(
                f"the size {name!r} of {node.label} is not determined by any input",
                f"Some input must have an axis of the size {name!r} alone.",
            )


class Signature:
    """The tree of inputs of a function, and how a call fills it."""

    def __init__(self, inputs: Any) -> None:
        self.tree = [inputs] if isinstance(inputs, Node) else inputs
        if not isinstance(self.tree, (list, tuple, Mapping)):
            raise GraphError(f"the inputs of a function are a node, a list or a dict of nodes, not {inputs!r}")
        self.arguments: list[Argument] = []
        seen: dict[Node, str] = {}
        for path, node in tree.leaves(self.tree):
            if not isinstance(node, Node) or not isinstance(node.op, Placeholder):
                what = f"{node.label} ({node.op.name})" if isinstance(node, Node) else repr(node)
                raise GraphError(
                    f"input {path} of the function is not a placeholder: {what}",
                    "Inputs are made with gn.placeholder(name, shape); parameters need not be listed.",
                )
            if node in seen:
                raise GraphError(
                    f"the placeholder {node.name!r} is listed twice: at {seen[node]} and at {path}", "List it once."
                )
            seen[node] = path
            self.arguments.append(Argument(node, repr(node.name)))
        # The top level of the tree gives the parameters of the call: a dict by its keys, a list by position or by name.
        if isinstance(self.tree, Mapping):
            self.names: list[str | None] = [str(key) for key in self.tree]
            self.parts = list(self.tree.values())
        else:
            self.names = [part.name if isinstance(part, Node) else None for part in self.tree]
            self.parts = list(self.tree)
        self.flat = all(isinstance(part, Node) for part in self.parts)

    def arrays(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Array]:
        """The checked arrays of a call, one for each input."""
        # A dict of one input is given as a dict, too; where that input is a dict itself, the keys tell which one is meant.
        whole = len(args) == 1 and isinstance(self.tree, Mapping) and isinstance(args[0], Mapping)
        if kwargs or len(args) != len(self.parts) or (whole and set(args[0]) == set(self.tree)):
            args = self._match(args, kwargs)
        if self.flat:
            return [argument.check(value) for argument, value in zip(self.arguments, args, strict=True)]
        values: list[Any] = []
        for part, value, name in zip(self.parts, args, self.names, strict=True):
            _collect(part, value, name or "input", values)
        return [argument.check(value) for argument, value in zip(self.arguments, values, strict=True)]

    def _match(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if isinstance(self.tree, Mapping) and len(args) == 1 and not kwargs and isinstance(args[0], Mapping):
            kwargs, args = dict(args[0]), ()
        if len(args) > len(self.parts):
            raise GraphError(f"{len(args)} arguments are given, the function takes {len(self.parts)}: {self.text()}")
        filled: list[Any] = [_MISSING] * len(self.parts)
        filled[: len(args)] = args
        for key, value in kwargs.items():
            places = [i for i, name in enumerate(self.names) if name == key]
            if not places:
                hint = nearest(key, [name for name in self.names if name])
                raise GraphError(f"unknown argument {key!r}; the function takes {self.text()}", hint)
            if filled[places[0]] is not _MISSING:
                raise GraphError(f"argument {key!r} is given twice, by position and by name")
            filled[places[0]] = value
        missing = [name or f"number {i}" for i, name in enumerate(self.names) if filled[i] is _MISSING]
        if missing:
            raise GraphError(
                f"missing argument {listing(missing)}; the function takes {self.text()}",
                f"Give it by position or by name: f(..., {missing[0]}=array)." if missing[0].isidentifier() else "",
            )
        return tuple(filled)

    def text(self) -> str:
        """The parameters with their specs, for messages."""
        return ", ".join(
            f"{name or 'input'}: {part.spec}" if isinstance(part, Node) else f"{name or 'input'}: {type(part).__name__}"
            for name, part in zip(self.names, self.parts, strict=True)
        )


_MISSING: Any = object()


def _collect(part: Any, value: Any, path: str, out: list[Any]) -> None:
    if part is None:
        return
    if isinstance(part, Node):
        out.append(value)
    elif isinstance(part, Mapping):
        if not isinstance(value, Mapping) or set(value) != set(part):
            got = listing(value) if isinstance(value, Mapping) else type(value).__name__
            raise GraphError(f"argument {path}: expected a dict with the keys {listing(part)}, got {got}")
        for key, inner in part.items():
            _collect(inner, value[key], f"{path}[{key!r}]", out)
    else:
        if not isinstance(value, (list, tuple)) or len(value) != len(part):
            got = f"{len(value)} items" if isinstance(value, (list, tuple)) else type(value).__name__
            raise GraphError(f"argument {path}: expected {len(part)} items, got {got}")
        for i, inner in enumerate(part):
            _collect(inner, value[i], f"{path}[{i}]", out)
