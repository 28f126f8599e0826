"""`save`: a graph as an ONNX model."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphnn.compile.function import Function
from graphnn.errors import GraphError, ModelError, UnsupportedError, listing
from graphnn.interop.onnx import exports
from graphnn.interop.onnx.loaded import OnnxFunction
from graphnn.interop.onnx.reading import LARGEST_FILE, import_onnx
from graphnn.interop.onnx.registry import onnx_number
from graphnn.interop.onnx.writer import IR_VERSION, OPSET, Writer
from graphnn.ir import tree
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Placeholder, placeholder
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.nn.module import Module
from graphnn.ops.random import Advance

assert exports  # importing it fills the tables


def save(target: Any, path: Any = None, *, inputs: Any = None) -> Any:
    """Write a graph as an ONNX model, of operator set 20.

    Parameters become initialisers. Operations and composites that ONNX has are written under its names, all others as
    the operations that they are made of. Named sizes become names of sizes (``dim_param``).

    Parameters
    ----------
    target : a compiled `Function`, a loaded `OnnxFunction`, a module, a node, or a list of nodes
    path : the file; None for the model as an ``onnx.ModelProto``
    inputs : for a module what it is called on: placeholders, or specs; for nodes the placeholders in their order

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    UnsupportedError
        If ONNX cannot express an operation: random numbers, most of linear algebra, functions of the host; or if the
        function has updates, which would be lost.

    >>> x = gn.placeholder("x", ("batch", 3))
    >>> model = save(gn.function([x], gn.softmax(2 * x)))
    >>> [node.op_type for node in model.graph.node]
    ['Mul', 'Softmax']
    """
    placeholders, input_names, outputs, output_names = _parts(target, inputs)
    onnx = import_onnx()
    finals: list[str] = []
    for wish in output_names:
        taken = {*input_names, *finals}
        finals.append(next(name for name in _numbered(wish) if name not in taken))
    out = Writer(placeholders, input_names, finals)
    current: dict[str, str] = {}  # the name that a value goes by, once it is an output
    for final, name in zip(finals, out.run(outputs), strict=True):
        if name in current or not out.rename(name, final):  # an output already, an input, or an initialiser
            out.copy(current.get(name, name), final)
        else:
            current[name] = final
    out.finish(finals)
    graph = onnx.helper.make_graph(
        out.nodes,
        "graph",
        [_info(onnx, name, node) for name, node in zip(input_names, placeholders, strict=True)],
        [_info(onnx, name, node) for name, node in zip(finals, outputs, strict=True)],
        out.initializers,
    )
    model = onnx.helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        producer_name="graphnn",
    )
    if path is not None:
        _write(model, Path(os.fspath(path)))
    return model


def _write(model: Any, path: Path) -> None:
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if size >= LARGEST_FILE:
        raise UnsupportedError(f"the parameters have {size} bytes, but an ONNX file holds less than {LARGEST_FILE}")
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:
        raise ModelError(f"the model cannot be written to {str(path)!r}: {error.strerror or error}") from None


def _numbered(wish: str) -> Iterator[str]:
    yield wish
    yield from (f"{wish}_{i}" for i in itertools.count(1))


def _info(onnx: Any, name: str, node: Node) -> Any:
    shape = [size if isinstance(size, int) else str(size) for size in node.shape]
    return onnx.helper.make_tensor_value_info(name, onnx_number(node.dtype), shape)


def _parts(target: Any, inputs: Any) -> tuple[list[Node], list[str], list[Node], list[str]]:
    """The placeholders and outputs, and their names."""
    if isinstance(target, OnnxFunction):
        known = {str(node.name): node for node in target.inputs}
        names = [name for name in target.input_names if name in known]
        if not all(isinstance(node, Node) for node in target.outputs):
            raise UnsupportedError("an output of the model is a sequence, which is not written as ONNX")
        return [known[name] for name in names], names, list(target.outputs), list(target.output_names)
    if isinstance(target, Function):
        advanced = {node.inputs[1] for node in target.graph.of_kind(Advance)}
        kept = [variable.label for variable in target.updates if variable not in advanced]
        if kept:
            raise UnsupportedError(
                f"the function updates {listing(kept)}, which ONNX cannot express",
                "Write the function that is used, without updates: gn.function(inputs, outputs).",
            )
        placeholders = [argument.node for argument in target._signature.arguments]
        ends = list(target.graph.outputs)
    elif isinstance(target, Module):
        placeholders = _module_inputs(target, inputs)
        ends = [leaf for _, leaf in tree.leaves(target(*placeholders))]
    else:
        ends = [target] if isinstance(target, Node) else list(target) if isinstance(target, (list, tuple)) else []
        if not ends or not all(isinstance(node, Node) for node in ends):
            raise GraphError(
                f"save takes a function, a module or nodes, not {type(target).__name__}",
                "Write save(gn.function([x], y), 'model.onnx').",
            )
        placeholders = list(Graph(ends).inputs) if inputs is None else _placeholders(inputs)
    return placeholders, [str(node.name) for node in placeholders], ends, _output_names(ends)


def _module_inputs(module: Module, inputs: Any) -> list[Node]:
    if inputs is None:
        inputs = module.input_spec
        if inputs is None:
            raise GraphError(
                "the module was not called yet: nothing is known of its inputs",
                "Write save(module, path, inputs=gn.placeholder('x', ('batch', 3))).",
            )
    return _placeholders(inputs)


def _placeholders(inputs: Any) -> list[Node]:
    given: Sequence[Any] = (
        list(inputs.values())
        if isinstance(inputs, Mapping)
        else [inputs]
        if isinstance(inputs, (Node, Spec))
        else list(inputs)
    )
    made = []
    for i, item in enumerate(given):
        if isinstance(item, Spec):
            made.append(placeholder("x" if len(given) == 1 else f"x{i}", item.shape, item.dtype))
        elif isinstance(item, Node) and isinstance(item.op, Placeholder):
            made.append(item)
        else:
            raise GraphError(f"save: an input is a placeholder or a spec, not {item!r}")
    return made


def _output_names(outputs: Sequence[Node]) -> list[str]:
    names: list[str] = []
    for i, node in enumerate(outputs):
        wish = node.name or ("output" if len(outputs) == 1 else f"output_{i}")
        names.append(wish if wish not in names else f"{wish}_{i}")
    return names
