"""Loading ONNX models: what is refused, and how it is said."""

import os

import numpy as np
import pytest
from onnx import TensorProto as T
from onnx import helper
from onnx_models import X, Y, model, network, node

from graphnn.errors import GraphnnError, ModelError, UnsupportedError
from graphnn.interop.onnx import load

# --- what is refused ---


def _error(proto, **options):
    with pytest.raises(GraphnnError) as caught:
        load(proto, **options)
    return caught.value


def test_unknown_operators():
    error = _error(model([node("NoSuch", ["x"], ["y"])], {"x": (T.FLOAT, (1,))}, {"y": (T.FLOAT, (1,))}))
    assert isinstance(error, UnsupportedError)
    assert error.headline == "graphnn has no NoSuch (ai.onnx, opset 21)"


def test_errors_name_the_node():
    error = _error(network(("n", 4)))
    assert isinstance(error, ModelError)
    assert error.headline == "Gemm (ai.onnx, opset 21), node '/encoder/fc': matmul: inner sizes differ: 4 != 3"


def _changed(change, make=network):
    proto = make()
    change(proto)
    return proto


def _cycle(m):
    m.graph.node[0].input[0] = "y"


def _unknown(m):
    m.graph.node[0].input[0] = "nowhere"


def _twice(m):
    m.graph.node[1].output[0] = "h"


def _short(m):
    m.graph.initializer[0].raw_data = m.graph.initializer[0].raw_data[:-1]


def _negative(m):
    m.graph.initializer[0].dims[0] = -3


def _huge(m):
    m.graph.initializer[0].dims[0] = 2**40


def _hidden_huge(m):
    m.graph.initializer[0].dims[:] = [0, 2**40]


def _kind(m):
    m.graph.initializer[0].data_type = T.INT64


def _attribute(m):
    m.graph.node[0].attribute.append(helper.make_attribute("transC", 1))


def _attribute_kind(m):
    m.graph.node[0].attribute.append(helper.make_attribute("transA", 1.0))


def _inputs(m):
    m.graph.node[1].input.append("x")


def _mixed(m):
    m.graph.input[0].type.tensor_type.elem_type = T.DOUBLE


def _no_output(m):
    m.graph.output[0].name = "z"


def _no_opset(m):
    del m.opset_import[:]


def _no_graph(m):
    m.ClearField("graph")


def _same_initialiser(m):
    m.graph.initializer[1].name = "w"


def _declared(m):
    m.graph.output[0].type.tensor_type.elem_type = T.DOUBLE


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_cycle, "the graph 'g': node '/encoder/fc' (Gemm) uses 'y', which comes later"),
        (_unknown, "the graph 'g': node '/encoder/fc' (Gemm) uses 'nowhere', which nothing computes"),
        (_twice, "the graph 'g' computes 'h' twice, or it is an input too"),
        (_short, "the initialiser 'w' has 23 bytes, but float32[3, 2] has 24"),
        (_negative, "the initialiser 'w' has a negative size: [-3, 2]"),
        (_huge, f"the initialiser 'w' of shape [{2**40}, 2] is over the budget of {2**27} elements"),
        (_hidden_huge, f"the initialiser 'w' of shape [0, {2**40}] is over the budget of {2**27} elements"),
        (_kind, "the initialiser 'w' has 24 bytes, but int64[3, 2] has 48"),
        (_attribute, "Gemm (ai.onnx, opset 21), node '/encoder/fc' has no attribute 'transC' in the standard"),
        (_attribute_kind, "the attribute 'transA' is of the kind FLOAT, not INT"),
        (_inputs, "Relu (ai.onnx, opset 21), node '/encoder/act' has 2 inputs, not 1"),
        (_mixed, "its inputs 'A' and 'B' are float64 and float32, not alike"),
        (_no_output, "the graph 'g' does not compute its output 'z'"),
        (_no_opset, "the model does not say which operator sets it uses"),
        (_no_graph, "the model has no graph"),
        (_same_initialiser, "the graph 'g' has two initialisers with the name 'w'"),
        (_declared, "the output 'y' is declared as float64, but is float32"),
    ],
)
def test_damaged_models(change, text):
    error = _error(_changed(change))
    assert isinstance(error, ModelError)
    assert text in error.headline


def test_bytes_that_are_no_model():
    assert isinstance(_error(b"\x08no model"), ModelError)
    assert isinstance(_error(b""), ModelError)
    assert "cannot be read" in _error("/nowhere/m.onnx").headline
    assert "not int" in _error(3).headline


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Expand", ["x", "s"], ["y"])], {"s": np.array([2**20, 2**20])}),
        ([node("Tile", ["x", "s"], ["y"])], {"s": np.array([2**40])}),
        ([node("ConstantOfShape", ["s"], ["y"])], {"s": np.array([2**62])}),
        ([node("Pad", ["x", "s"], ["y"])], {"s": np.array([0, 2**62])}),
        ([node("Range", ["a", "s", "b"], ["y"])], {"a": np.int64(0), "s": np.int64(2**62), "b": np.int64(1)}),
        ([node("OneHot", ["x", "s", "v"], ["y"])], {"s": np.int64(2**50), "v": np.float32([0, 1])}),
    ],
)
def test_sizes_of_a_hostile_file_are_not_believed(nodes, constants):
    proto = model(
        nodes, {"x": (T.FLOAT, (1,))}, {"y": (T.INT64 if nodes[0].op_type == "Range" else T.FLOAT, None)}, constants
    )
    error = _error(proto)
    assert isinstance(error, ModelError)
    assert "budget" in str(error)


def test_many_arrays_within_the_budget_of_one():
    nodes = [node("Exp", [f"x{i}"], [f"x{i + 1}"]) for i in range(100)]
    proto = model(nodes, {"x0": (T.FLOAT, (1000,))}, {"x100": (T.FLOAT, (1000,))})
    load(proto, budget=2000)
    assert (
        "computes 101000 elements in all, more than 64 times the budget of 1000" in _error(proto, budget=1000).headline
    )


def test_functions_that_call_themselves():
    own = helper.make_function(
        "own", "f", ["a"], ["c"], [node("f", ["a"], ["c"], domain="own")], [helper.make_opsetid("own", 1)]
    )
    m = model([node("f", ["x"], ["y"], domain="own")], {"x": (T.FLOAT, (2,))}, {"y": (T.FLOAT, (2,))}, functions=[own])
    m.opset_import.append(helper.make_opsetid("own", 1))
    assert _error(m).headline == "the function 'f' calls itself"


def test_functions_that_multiply():
    functions = []
    for i in range(40):
        calls = [node(f"f{i + 1}", ["a"], [f"c{k}"], domain="own") for k in range(2)]
        functions.append(helper.make_function("own", f"f{i}", ["a"], ["c0"], calls, [helper.make_opsetid("own", 1)]))
    functions.append(
        helper.make_function("own", "f40", ["a"], ["c"], [node("Neg", ["a"], ["c"])], [helper.make_opsetid("", 21)])
    )
    m = model(
        [node("f0", ["x"], ["y"], domain="own")], {"x": (T.FLOAT, (2,))}, {"y": (T.FLOAT, (2,))}, functions=functions
    )
    m.opset_import.append(helper.make_opsetid("own", 1))
    assert "grows to more than" in _error(m).headline


# --- external data ---


def _external(tmp_path, location, data=None):
    proto = network()
    tensor = proto.graph.initializer[0]
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = T.EXTERNAL
    for key, value in {"location": location, "offset": "4", "length": "24"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    (folder / "w.bin").write_bytes(b"\0\0\0\0" + raw if data is None else data)
    return folder / "m.onnx"


def test_external_data_only_where_allowed(tmp_path):
    path = _external(tmp_path, "w.bin")
    with pytest.raises(ModelError, match="lies in another file, which is not read unless you allow it"):
        load(path)
    np.testing.assert_array_equal(load(path, external_data=True)(X), Y)
    with pytest.raises(ModelError, match="was not given by a path"):
        load(path.read_bytes(), external_data=True)


def test_external_data_that_is_too_short(tmp_path):
    with pytest.raises(ModelError, match="ends before its data"):
        load(_external(tmp_path, "w.bin", b"123"), external_data=True)


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/hostname", "", "a/../../w.bin", "c:\\w.bin", "\\\\host\\w", "w\0", "."]
)
def test_external_data_elsewhere(tmp_path, location):
    with pytest.raises(ModelError, match="is no place for external data"):
        load(_external(tmp_path, location), external_data=True)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_external_data_behind_links(tmp_path):
    path = _external(tmp_path, "link.bin")
    (path.parent / "link.bin").symlink_to(path.parent / "w.bin")
    with pytest.raises(ModelError, match="leads through a link"):
        load(path, external_data=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_external_data_in_a_pipe(tmp_path):
    path = _external(tmp_path, "pipe")
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(ModelError, match="no ordinary file"):
        load(path, external_data=True)


def test_functions_in_functions_in_functions():
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 21)]
    functions = [
        helper.make_function("own", f"f{i}", ["a"], ["c"], [node(f"f{i + 1}", ["a"], ["c"], domain="own")], opsets)
        for i in range(80)
    ]
    functions.append(helper.make_function("own", "f80", ["a"], ["c"], [node("Neg", ["a"], ["c"])], opsets))
    first = node("f0", ["x"], ["y"], domain="own")
    m = model([first], {"x": (T.FLOAT, (2,))}, {"y": (T.FLOAT, (2,))}, functions=functions)
    m.opset_import.append(helper.make_opsetid("own", 1))
    assert _error(m).headline == "the function 'f64' lies in 64 others"
