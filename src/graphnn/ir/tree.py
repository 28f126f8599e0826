"""Trees: dicts, lists and tuples, nested, with leaves. Functions take and give them; messages name a leaf by its path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves with their paths, in the order of the tree; None has no leaves.

    >>> list(leaves({"a": [1, 2], "b": (3,)}))
    [("['a'][0]", 1), ("['a'][1]", 2), ("['b'][0]", 3)]
    """
    if tree is None:
        return
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{path}[{key!r}]")
    elif isinstance(tree, (list, tuple)):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{path}[{i}]")
    else:
        yield path, tree


def rebuild(tree: Any, values: Iterator[Any]) -> Any:
    """The same tree with other leaves, taken in order.

    >>> rebuild({"a": [1, 2]}, iter("xy"))
    {'a': ['x', 'y']}
    """
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        return {key: rebuild(value, values) for key, value in tree.items()}
    if isinstance(tree, tuple):
        items = [rebuild(value, values) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [rebuild(value, values) for value in tree]
    return next(values)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with a function applied to each leaf."""
    return rebuild(tree, iter([function(leaf) for _, leaf in leaves(tree)]))
