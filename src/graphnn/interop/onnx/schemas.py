"""What the standard says of an operator: its inputs, outputs, attributes and data types, from the tables of the package onnx.

Only the tables are asked, with names and numbers of our own: no model ever reaches C++.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from graphnn.errors import ModelError, UnsupportedError, listing, nearest
from graphnn.interop.onnx.reading import import_onnx
from graphnn.interop.onnx.records import GraphRecord, NodeRecord, Reference
from graphnn.ir.dtype import DType

_ELEMENTS = {"float32": "float", "float64": "double"}


class Formal(NamedTuple):
    """An input or output as the standard declares it."""

    name: str
    types: frozenset[str]
    letter: str  # inputs of one letter have one type
    optional: bool
    many: bool
    alike: bool  # all of many have one type


class Schema(NamedTuple):
    """One version of an operator."""

    since: int
    deprecated: bool
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    fewest_inputs: int
    most_inputs: int
    fewest_outputs: int
    most_outputs: int
    attributes: dict[str, tuple[str, bool]]  # kind, required


@functools.lru_cache(maxsize=4096)
def schema_of(domain: str, op: str, opset: int) -> Schema | None:
    """The schema of an operator at a version of its domain; None where the installed onnx has none."""
    defs = import_onnx().defs
    try:
        found = defs.get_schema(op, opset, domain)
    except defs.SchemaError:
        return None
    return Schema(
        found.since_version,
        found.deprecated,
        tuple(_formal(item, defs) for item in found.inputs),
        tuple(_formal(item, defs) for item in found.outputs),
        found.min_input,
        found.max_input,
        found.min_output,
        found.max_output,
        {name: (item.type.name, item.required) for name, item in found.attributes.items()},
    )


def newest_opset() -> int:
    """The newest version of the operator set of ONNX that the installed package knows."""
    return int(import_onnx().defs.onnx_opset_version())


def _formal(item: Any, defs: Any) -> Formal:
    option = item.option
    kinds = defs.OpSchema.FormalParameterOption
    return Formal(
        item.name,
        frozenset(item.types),
        item.type_str,
        option == kinds.Optional,
        option == kinds.Variadic,
        item.is_homogeneous,
    )


def check_node(node: NodeRecord, schema: Schema, opset: int) -> None:
    """Check the number of inputs and outputs and the attributes of a node against the standard."""
    place = f"{node.op} ({node.domain or 'ai.onnx'}, opset {opset}), node {node.name!r}"
    if schema.deprecated:
        raise UnsupportedError(f"{place}: the operator is not part of this version of the standard any more")
    given = len(node.inputs)
    while given and not node.inputs[given - 1]:
        given -= 1
    if not schema.fewest_inputs <= len(node.inputs) or given > schema.most_inputs:
        raise ModelError(f"{place} has {given} inputs, not {_range(schema.fewest_inputs, schema.most_inputs)}")
    for i, name in enumerate(node.inputs):
        formal = schema.inputs[min(i, len(schema.inputs) - 1)] if schema.inputs else None
        if not name and formal is not None and not formal.optional and not formal.many and i < schema.fewest_inputs:
            raise ModelError(f"{place}: its input {formal.name!r} is missing")
    if not schema.fewest_outputs <= len(node.outputs) <= schema.most_outputs:
        raise ModelError(
            f"{place} has {len(node.outputs)} outputs, not {_range(schema.fewest_outputs, schema.most_outputs)}"
        )
    for name, value in node.attributes.items():
        known = schema.attributes.get(name)
        if known is None:
            raise ModelError(f"{place} has no attribute {name!r} in the standard", nearest(name, schema.attributes))
        if kind_of(value) != known[0] and value != ():
            raise ModelError(f"{place}: the attribute {name!r} is of the kind {kind_of(value)}, not {known[0]}")
    missing = [name for name, (_, required) in schema.attributes.items() if required and name not in node.attributes]
    if missing:
        raise ModelError(f"{place}: the attribute {missing[0]!r} is missing")


def check_types(place: str, schema: Schema, dtypes: Sequence[DType | str | None]) -> None:
    """Check the data types of the inputs of a node against the standard.

    None stands for an omitted input, ``"seq(float32)"`` for a sequence, ``"seq()"`` for one without elements.
    """
    letters: dict[str, tuple[str, DType | str]] = {}
    for i, dtype in enumerate(dtypes):
        if dtype is None or not schema.inputs:
            continue
        formal = schema.inputs[min(i, len(schema.inputs) - 1)]
        if not _allowed(dtype, formal):
            known = sorted(name.removeprefix("tensor(").removesuffix(")") for name in formal.types)
            raise ModelError(
                f"{place}: its input {formal.name!r} is {dtype}", f"The standard allows {listing(known, 20)}."
            )
        if (formal.many and not formal.alike) or dtype == "seq()":
            continue
        first = letters.setdefault(formal.letter, (formal.name, dtype))
        if first[1] is not dtype and first[1] != dtype:
            raise ModelError(
                f"{place}: its inputs {first[0]!r} and {formal.name!r} are {first[1]} and {dtype}, not alike"
            )


def _allowed(dtype: DType | str, formal: Formal) -> bool:
    if dtype == "seq()":
        return any(name.startswith("seq(") for name in formal.types)
    name = dtype[4:-1] if isinstance(dtype, str) else dtype.name
    tensor = f"tensor({_ELEMENTS.get(name, name)})"
    return (f"seq({tensor})" if isinstance(dtype, str) else tensor) in formal.types


def kind_of(value: Any) -> str:
    """The kind of the value of an attribute, by its name in the standard."""
    if isinstance(value, Reference):
        return value.kind
    if isinstance(value, GraphRecord):
        return "GRAPH"
    if isinstance(value, np.ndarray):
        return "TENSOR"
    if isinstance(value, tuple):
        kinds: dict[type, str] = {int: "INTS", float: "FLOATS", str: "STRINGS"}
        return kinds[type(value[0])] if value else "an empty list"
    simple: dict[type, str] = {int: "INT", float: "FLOAT", str: "STRING"}
    return simple[type(value)]


def _range(low: int, high: int) -> str:
    if low == high:
        return str(low)
    return f"{low} to {high}" if high < 2**31 - 1 else f"{low} or more"
