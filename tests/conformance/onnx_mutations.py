"""Structured mutations of ONNX models and of what they are fed with: what a hostile or broken file may hold."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import onnx
from google.protobuf.message import DecodeError

HUGE = (0, 1, -1, 2, 3, 7, -7, 64, 255, 4097, 10**6, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
ODD_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e30, -1e30, float("inf"), float("-inf"), float("nan"))
ODD_TEXTS = (b"", b"NOTSET", b"SAME_UPPER", b"nearest", b"ij,jk->ik", b"a" * 300, b"\xff\xfe", b"->", b"linear", b"..,")
OPERATORS = (
    "Add", "MatMul", "Reshape", "Conv", "Gather", "Slice", "Pad", "Tile", "Expand", "Resize", "TopK", "Concat", "Split",
    "Range", "ConstantOfShape", "OneHot", "Einsum", "LSTM", "Attention", "Softmax", "Cast", "If", "Loop", "Scan",
    "NoSuchOperator", "", "SequenceConstruct", "SequenceAt", "SplitToSequence", "ConcatFromSequence",
)  # fmt: skip


def mutate(model: onnx.ModelProto, seed: int) -> tuple[bytes, list[str]]:
    """The bytes of a model after one to three mutations, and what they were."""
    chance = random.Random(seed)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        mutation = chance.choice(MUTATIONS)
        with contextlib.suppress(DecodeError):  # protobuf refuses to copy what is nested too deeply
            mutation(changed, chance)
        done.append(mutation.__name__)
    data = changed.SerializeToString()
    if chance.random() < 0.15:
        data = bytearray(data)
        for _ in range(chance.choice((1, 2, 8))):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        done.append("flip_bytes")
    if chance.random() < 0.03:
        data = data[: chance.randrange(len(data) + 1)]
        done.append("truncate")
    return bytes(data), done


def mutate_feeds(inputs: list[np.ndarray], seed: int) -> list:
    """Some of the values of a call changed: huge or negative sizes, other data types, other shapes."""
    chance = random.Random(seed)
    if chance.random() < 0.5 or not inputs:
        return inputs
    out = list(inputs)
    place = chance.randrange(len(out))
    value = np.array(out[place])
    kind = chance.randrange(5)
    if kind == 0 and value.size and value.dtype.kind in "iu":
        limits = np.iinfo(value.dtype)
        value.reshape(-1)[chance.randrange(value.size)] = min(max(chance.choice(HUGE), limits.min), limits.max)
    elif kind == 1 and value.size and value.dtype.kind == "f":
        with np.errstate(all="ignore"):
            value.reshape(-1)[chance.randrange(value.size)] = chance.choice(ODD_FLOATS)
    elif kind == 2:
        value = value.astype(chance.choice(("int64", "float32", "uint8", "bool")))
    elif kind == 3:
        value = value.reshape(-1)[: chance.randrange(value.size + 1)]
    else:
        value = value[None]
    out[place] = value
    return out


# --- single mutations: (model, chance) -> changed in place ---


def _node(model, chance):
    return chance.choice(model.graph.node) if model.graph.node else None


def _names(model):
    graph = model.graph
    names = [value.name for value in (*graph.input, *graph.output)] + [tensor.name for tensor in graph.initializer]
    return [*names, *(name for node in graph.node for name in (*node.input, *node.output))] or ["x"]


def swap_inputs(model, chance):
    node = _node(model, chance)
    if node is not None and len(node.input) > 1:
        i, j = chance.sample(range(len(node.input)), 2)
        node.input[i], node.input[j] = node.input[j], node.input[i]


def replace_input(model, chance):
    node = _node(model, chance)
    if node is not None and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice([*_names(model), "", "nowhere"])


def drop_input(model, chance):
    node = _node(model, chance)
    if node is not None and node.input:
        del node.input[chance.randrange(len(node.input))]


def add_input(model, chance):
    node = _node(model, chance)
    if node is not None:
        node.input.append(chance.choice(_names(model)))


def rename_output(model, chance):
    node = _node(model, chance)
    if node is not None and node.output:
        node.output[chance.randrange(len(node.output))] = chance.choice([*_names(model), "", "elsewhere"])


def more_outputs(model, chance):
    node = _node(model, chance)
    if node is not None:
        node.output.extend(f"extra_{i}" for i in range(chance.choice((1, 2, 50))))


def make_cycle(model, chance):
    node = _node(model, chance)
    if node is not None and node.input and model.graph.node[-1].output:
        node.input[0] = model.graph.node[-1].output[0]


def shuffle_nodes(model, chance):
    nodes = list(model.graph.node)
    chance.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def drop_node(model, chance):
    if model.graph.node:
        del model.graph.node[chance.randrange(len(model.graph.node))]


def repeat_node(model, chance):
    node = _node(model, chance)
    if node is not None:
        model.graph.node.add().CopyFrom(node)


def change_operator(model, chance):
    node = _node(model, chance)
    if node is not None:
        node.op_type = chance.choice(OPERATORS)


def change_domain(model, chance):
    node = _node(model, chance)
    if node is not None:
        node.domain = chance.choice(("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "nobody"))


def _attribute(model, chance):
    node = _node(model, chance)
    return chance.choice(node.attribute) if node is not None and node.attribute else None


def change_attribute(model, chance):
    attribute = _attribute(model, chance)
    if attribute is None:
        return
    kind = attribute.type
    if kind == onnx.AttributeProto.INT:
        attribute.i = chance.choice(HUGE)
    elif kind == onnx.AttributeProto.INTS:
        if attribute.ints and chance.random() < 0.7:
            attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(HUGE)
        else:
            attribute.ints.append(chance.choice(HUGE))
    elif kind == onnx.AttributeProto.FLOAT:
        attribute.f = chance.choice(ODD_FLOATS)
    elif kind == onnx.AttributeProto.FLOATS:
        attribute.floats.append(chance.choice(ODD_FLOATS))
    elif kind == onnx.AttributeProto.STRING:
        attribute.s = chance.choice(ODD_TEXTS)
    elif kind == onnx.AttributeProto.TENSOR:
        _damage(attribute.t, chance)
    elif kind == onnx.AttributeProto.GRAPH and attribute.g.node:
        node = chance.choice(attribute.g.node)
        if node.input:
            node.input[0] = chance.choice([*_names(model), "nowhere"])


def change_attribute_kind(model, chance):
    attribute = _attribute(model, chance)
    if attribute is not None:
        attribute.type = chance.randrange(0, 15)


def refer_attribute(model, chance):
    attribute = _attribute(model, chance)
    if attribute is not None:
        attribute.ref_attr_name = "outside"


def drop_attribute(model, chance):
    node = _node(model, chance)
    if node is not None and node.attribute:
        del node.attribute[chance.randrange(len(node.attribute))]


def add_attribute(model, chance):
    node = _node(model, chance)
    if node is not None:
        names = (
            "axis",
            "axes",
            "pads",
            "strides",
            "dilations",
            "kernel_shape",
            "group",
            "keepdims",
            "to",
            "mode",
            "whatever",
        )
        value = chance.choice((chance.choice(HUGE), [chance.choice(HUGE)] * 2, 0.5, "text"))
        node.attribute.append(onnx.helper.make_attribute(chance.choice(names), value))


def repeat_attribute(model, chance):
    node = _node(model, chance)
    if node is not None and node.attribute:
        node.attribute.add().CopyFrom(node.attribute[0])


def _value(model, chance):
    values = [*model.graph.input, *model.graph.output]
    return chance.choice(values) if values else None


def change_size(model, chance):
    value = _value(model, chance)
    if value is not None and value.type.tensor_type.shape.dim:
        dim = chance.choice(value.type.tensor_type.shape.dim)
        if chance.random() < 0.3:
            dim.dim_param = chance.choice(("n", "batch size", "1x", "a+b", "", "é"))
        else:
            dim.dim_value = chance.choice(HUGE)


def change_rank(model, chance):
    value = _value(model, chance)
    if value is None:
        return
    shape = value.type.tensor_type.shape
    if shape.dim and chance.random() < 0.5:
        del shape.dim[0]
    else:
        for _ in range(chance.choice((1, 2, 70))):
            shape.dim.add().dim_value = 1


def drop_shape(model, chance):
    value = _value(model, chance)
    if value is not None:
        value.type.tensor_type.ClearField("shape")


def change_element_type(model, chance):
    value = _value(model, chance)
    if value is not None:
        value.type.tensor_type.elem_type = chance.randrange(0, 30)


def change_kind(model, chance):
    value = _value(model, chance)
    if value is not None:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1


def repeat_name(model, chance):
    value = _value(model, chance)
    if value is not None:
        value.name = chance.choice([*_names(model), ""])


def input_as_initializer(model, chance):
    """An input becomes an initialiser of a shape that may be right, with data that may be missing."""
    if not model.graph.input:
        return
    value = chance.choice(model.graph.input)
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type = value.name, value.type.tensor_type.elem_type
    tensor.dims.extend(sizes)
    if all(0 <= size < 1000 for size in sizes):
        tensor.raw_data = bytes(int(np.prod(sizes)) * chance.choice((1, 2, 4, 8)))
    if chance.random() < 0.5:
        _damage(tensor, chance)


def _damage(tensor, chance):
    kind = chance.randrange(7)
    if kind == 0:
        tensor.raw_data = tensor.raw_data[: max(len(tensor.raw_data) - 1, 0)]
    elif kind == 1:
        tensor.raw_data = tensor.raw_data + b"\0" * chance.choice((1, 3, 8))
    elif kind == 2:
        tensor.dims.append(chance.choice(HUGE))
    elif kind == 3 and tensor.dims:
        tensor.dims[0] = chance.choice(HUGE)
    elif kind == 4:
        tensor.data_type = chance.randrange(0, 30)
    elif kind == 5:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = (
            "location",
            chance.choice(("../x", "/etc/hostname", "weights.bin", "", "a\0b", "c:\\x")),
        )
    else:
        tensor.int64_data.append(chance.choice(HUGE))


def damage_tensor(model, chance):
    if model.graph.initializer:
        _damage(chance.choice(model.graph.initializer), chance)


def change_opset(model, chance):
    if model.opset_import:
        model.opset_import[0].version = chance.choice((-1, 0, 1, 5, 6, 7, 9, 10, 11, 13, 18, 21, 24, 999, 2**40))


def drop_opset(model, chance):
    del model.opset_import[:]


def change_ir_version(model, chance):
    model.ir_version = chance.choice((0, 1, 2, 3, 11, 99, -1, 2**40))


def drop_graph(model, chance):
    if chance.random() < 0.1:
        model.ClearField("graph")


def wrap_in_function(model, chance):
    """A node becomes a call of a function of the model, which may call itself."""
    node = _node(model, chance)
    if node is None:
        return
    function = model.functions.add()
    function.name, function.domain = "wrapped", "own"
    function.input.extend(f"i{k}" for k in range(len(node.input)))
    function.output.extend(f"o{k}" for k in range(len(node.output)))
    function.opset_import.extend(model.opset_import)
    inner = function.node.add()
    inner.CopyFrom(node)
    inner.input[:], inner.output[:] = function.input, function.output
    del node.attribute[:]
    node.op_type, node.domain = "wrapped", "own"
    if chance.random() < 0.3:
        inner.op_type, inner.domain = "wrapped", "own"
    model.opset_import.add().CopyFrom(onnx.helper.make_opsetid("own", 1))


def nest_graphs(model, chance):
    """A branch in a branch in a branch."""
    depth = chance.choice((2, 5, 40))
    inner = onnx.GraphProto()
    inner.CopyFrom(model.graph)
    for _ in range(depth):
        outer = onnx.GraphProto()
        outer.name = "outer"
        outer.output.extend(inner.output)
        node = outer.node.add()
        node.op_type = "If"
        node.input.append(chance.choice(_names(model)))
        node.output.extend(value.name for value in inner.output)
        for name in ("then_branch", "else_branch")[: chance.choice((1, 1, 2)) if depth < 10 else 1]:
            attribute = node.attribute.add()
            attribute.name, attribute.type = name, onnx.AttributeProto.GRAPH
            attribute.g.CopyFrom(inner)
        inner = outer
    inputs = list(model.graph.input)
    model.graph.CopyFrom(inner)
    del model.graph.input[:]
    model.graph.input.extend(inputs)


MUTATIONS = (
    swap_inputs, replace_input, drop_input, add_input, rename_output, more_outputs, make_cycle, shuffle_nodes, drop_node,
    repeat_node, change_operator, change_domain, change_attribute, change_attribute, change_attribute, change_attribute_kind,
    refer_attribute, drop_attribute, add_attribute, repeat_attribute, change_size, change_size, change_rank, drop_shape,
    change_element_type, change_kind, repeat_name, input_as_initializer, input_as_initializer, damage_tensor, change_opset,
    drop_opset, change_ir_version, drop_graph, wrap_in_function, nest_graphs,
)  # fmt: skip
