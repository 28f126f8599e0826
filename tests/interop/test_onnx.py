"""Loading and saving ONNX models: what the functions give, what they refuse, and how they say it."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import graphnn as gn
from graphnn.errors import GraphError, GraphnnError, ModelError, ShapeError, UnsupportedError
from graphnn.interop.onnx import load, save
from graphnn.interop.onnx.registry import Call, onnx_op

node = helper.make_node


def model(nodes, inputs, outputs, constants=None, opset=21, **more):
    """A model of nodes; inputs and outputs as name: (type, shape)."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()],
        [helper.make_tensor_value_info(name, *spec) for name, spec in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)


def network(shape=("batch", 3)):
    """relu(x w + b), where the names have slashes."""
    return model(
        [node("Gemm", ["x", "w", "b"], ["h"], name="/encoder/fc"), node("Relu", ["h"], ["y"], name="/encoder/act")],
        {"x": (T.FLOAT, shape)},
        {"y": (T.FLOAT, (shape[0], 2))},
        {"w": np.float32([[1, 2], [3, 4], [5, 6]]), "b": np.float32([-10, 10])},
    )


X = np.float32([[1, 0, 1], [0, 1, 0]])
Y = np.float32([[0, 18], [0, 14]])


# --- what is loaded ---


def test_call_by_position_and_by_name():
    f = load(network())
    np.testing.assert_array_equal(f(X), Y)
    np.testing.assert_array_equal(f(x=X), Y)
    np.testing.assert_array_equal(f(X[:1]), Y[:1])


def test_sources(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(network().SerializeToString())
    for source in (path, str(path), path.read_bytes(), network()):
        np.testing.assert_array_equal(load(source)(X), Y)


def test_initialisers_become_parameters_that_can_be_trained():
    f = load(network())
    assert list(f.parameters) == ["w", "b"]
    (x,), (y,) = f.inputs, f.outputs
    step = gn.function([x], y, updates={f.parameters["b"]: f.parameters["b"] - gn.grad(gn.sum(y), f.parameters["b"])})
    step(X)
    np.testing.assert_array_equal(f.parameters["b"].value, [-10, 8])
    np.testing.assert_array_equal(f(X), [[0, 16], [0, 12]])


def test_frozen_initialisers_are_constants():
    f = load(network(), freeze=True)
    assert f.parameters == {}
    assert len(f.graph.constants) == 2


def test_names_and_scopes():
    (y,) = load(network()).outputs
    assert (y.name, y.scope, y.shape[0]) == ("act", ("encoder",), gn.Dim("batch"))


def test_a_loaded_network_is_a_layer():
    module = load(network()).module()
    assert [parameter.name for parameter in module.named_parameters().values()] == ["w", "b"]
    model_ = gn.nn.Sequential(module, gn.nn.Linear(1))
    assert model_(gn.placeholder("q", ("n", 3))).shape == (gn.Dim("n"), 1)
    trainer = gn.Trainer(model_, loss=gn.losses.mse, optimizer=gn.optim.SGD(1e-4))
    history = trainer.fit(X, np.float32([[1], [2]]), epochs=3, verbose=False)
    assert history["loss"][-1] < history["loss"][0]


def test_shapes_that_are_computed_keep_their_names():
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "first"], ["b"]),
        node("Unsqueeze", ["b", "zero"], ["v"]),
        node("Concat", ["v", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
        node("ConstantOfShape", ["s"], ["zeros"]),
        node("Add", ["x", "zeros"], ["z"]),
    ]
    constants = {"first": np.int64(0), "zero": np.array([0]), "rest": np.array([-1])}
    f = load(model(nodes, {"x": (T.FLOAT, ("batch", 4, 2))}, {"y": (T.FLOAT, None), "z": (T.FLOAT, None)}, constants))
    assert [str(out.spec) for out in f.outputs] == ["float32[batch, 8]", "float32[batch, 4, 2]"]
    assert [out.shape for out in f(np.zeros((5, 4, 2), np.float32))] == [(5, 8), (5, 4, 2)]


def test_halves_of_a_named_size():
    nodes = [node("Size", ["x"], ["n"]), node("Div", ["n", "two"], ["h"]), node("Range", ["zero", "h", "one"], ["y"])]
    constants = {"two": np.int64(2), "zero": np.int64(0), "one": np.int64(1)}
    f = load(model(nodes, {"x": (T.FLOAT, ("n",))}, {"y": (T.INT64, None)}, constants))
    assert str(f.outputs[0].spec) == "int64[n//2]"
    assert f(np.zeros(7, np.float32)).tolist() == [0, 1, 2]


def test_odd_names_of_sizes_become_identifiers():
    f = load(network(("batch size", 3)))
    assert str(f.inputs[0].shape[0]) == "batch_size"
    g = load(network((None, 3)))
    assert str(g.inputs[0].shape[0]) == "x_0"


def test_functions_of_the_model_are_inlined():
    twice = helper.make_function(
        "own",
        "twice",
        ["a"],
        ["c"],
        [node("Constant", [], ["k"]), node("Mul", ["a", "k"], ["c"])],
        [helper.make_opsetid("", 21)],
        ["factor"],
    )
    reference = twice.node[0].attribute.add()
    reference.name, reference.type, reference.ref_attr_name = "value_float", onnx.AttributeProto.FLOAT, "factor"
    m = model(
        [node("twice", ["x"], ["y"], domain="own", factor=2.0)],
        {"x": (T.FLOAT, (2,))},
        {"y": (T.FLOAT, (2,))},
        functions=[twice],
    )
    m.opset_import.append(helper.make_opsetid("own", 1))
    np.testing.assert_array_equal(load(m)(np.float32([1, 2])), [2, 4])


# --- static inputs ---


def _reshape():
    return model(
        [node("Reshape", ["x", "shape"], ["y"])],
        {"x": (T.FLOAT, ("n",)), "shape": (T.INT64, (2,))},
        {"y": (T.FLOAT, None)},
    )


def test_inputs_that_the_graph_is_built_from():
    f = load(_reshape())
    assert f.static_inputs == ("shape",)
    x = np.arange(6, dtype=np.float32)
    assert f(x, np.array([2, 3])).shape == (2, 3)
    assert f(x, np.array([-1, 2])).shape == (3, 2)
    assert f(x[:4], np.array([-1, 2])).shape == (2, 2)
    assert "static: 'shape'" in repr(f)
    with pytest.raises(GraphError, match="depends on the value of 'shape'"):
        f.graph
    g = f.specialise(shape=np.array([3, -1]), n=6)
    assert (g.input_names, str(g.outputs[0].spec)) == (("x",), "float32[3, 2]")


def test_sizes_that_must_be_numbers():
    m = model(
        [node("Add", ["x", "z"], ["y"])], {"x": (T.FLOAT, ("n",)), "z": (T.FLOAT, ("m",))}, {"y": (T.FLOAT, None)}
    )
    f = load(m)
    assert f.static_sizes == ("m", "n")
    assert f(np.float32([1, 2]), np.float32([3, 4])).tolist() == [4, 6]
    assert f(np.float32([1, 2]), np.float32([3])).tolist() == [4, 5]
    with pytest.raises(ModelError, match="do not broadcast: 2 != 3"):
        f(np.float32([1, 2]), np.float32([3, 4, 5]))


def test_a_static_value_beside_its_size():
    m = model(
        [node("Compress", ["x", "keep"], ["y"], axis=0)],
        {"x": (T.FLOAT, ("n", 2)), "keep": (T.BOOL, ("n",))},
        {"y": (T.FLOAT, None)},
    )
    f, x = load(m), np.arange(6, dtype=np.float32).reshape(3, 2)
    assert f(x, np.array([True, False, True])).tolist() == [[0, 1], [4, 5]]
    assert f(x[:2], np.array([False, True])).tolist() == [[2, 3]]
    assert f.specialise(keep=np.array([True, False, False]))(x).tolist() == [[0, 1]]


def test_too_much_of_it():
    f = load(model([node("NonZero", ["x"], ["y"])], {"x": (T.FLOAT, ("n",))}, {"y": (T.INT64, None)}))
    assert f([1.0, 0.0, 2.0]).tolist() == [[0, 2]]
    with pytest.raises(UnsupportedError, match="depends on the values of 'x', which have 2000000 elements"):
        f(np.zeros(2_000_000, np.float32))


def test_unknown_names_of_values():
    with pytest.raises(GraphError, match="no input and no size 'shap'"):
        load(_reshape()).specialise(shap=1)


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


# --- the Gradient operator ---


def test_gradient_by_a_value_in_the_middle():
    nodes = [
        node("Mul", ["x", "x"], ["h"]),
        node("Mul", ["h", "x"], ["y"]),
        node("Gradient", ["h"], ["d"], domain="ai.onnx.preview.training", xs=["h"], y="y"),
        node("Gradient", ["three"], ["e"], domain="ai.onnx.preview.training", xs=["h"], y="y"),
    ]
    m = model(nodes, {"x": (T.FLOAT, ())}, {"d": (T.FLOAT, ()), "e": (T.FLOAT, ())}, {"three": np.float32(3)})
    m.opset_import.append(helper.make_opsetid("ai.onnx.preview.training", 1))
    assert [float(value) for value in load(m)(np.float32(2))] == [2, 2]


# --- what is saved ---


def test_a_function_with_named_sizes():
    x = gn.placeholder("x", ("batch", "time", 4))
    w = gn.parameter("w", np.arange(12, dtype=np.float32).reshape(4, 3))
    y = gn.reshape(x, (gn.Dim("batch") * gn.Dim("time"), 4)) @ w + gn.dim_size(x, 0, dtype="float32")
    f = gn.function([x], y)
    proto = save(f)
    onnx.checker.check_model(proto, full_check=True)
    assert [item.name for item in proto.graph.initializer][:1] == ["w"]
    assert [dim.dim_param for dim in proto.graph.input[0].type.tensor_type.shape.dim] == ["batch", "time", ""]
    value = np.random.default_rng(0).standard_normal((2, 5, 4), np.float32)
    np.testing.assert_allclose(load(proto)(value), f(value), rtol=1e-6)


def test_modules_are_saved_as_they_are_used(tmp_path):
    net = gn.nn.Sequential(
        gn.nn.Conv2d(1, 2, 3, padding="same"), gn.nn.ReLU(), gn.nn.MaxPool2d(2), gn.nn.Flatten(), gn.nn.Linear(3)
    )
    x = gn.placeholder("image", ("batch", 6, 6, 1))
    save(net, tmp_path / "net.onnx", inputs=x)
    again = load(tmp_path / "net.onnx")
    assert {"Conv", "Relu", "MaxPool"} <= {item.op_type for item in onnx.load(tmp_path / "net.onnx").graph.node}
    value = np.random.default_rng(0).standard_normal((2, 6, 6, 1), np.float32)
    np.testing.assert_allclose(again(value), gn.function([x], net(x))(value), rtol=1e-5, atol=1e-6)


def test_several_outputs_and_their_names():
    x = gn.placeholder("x", (3,))
    y = gn.exp(x).named("y")
    proto = save([y, x, y * 2, y])
    names = [item.name for item in proto.graph.output]
    assert (names[0], len(set(names))) == ("y", 4)
    results = load(proto)(np.float32([0, 1, 2]))
    np.testing.assert_allclose(results[2], 2 * results[0])
    np.testing.assert_allclose(results[3], results[0])


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_layouts(layout):
    shape = (1, 5, 5, 4) if layout == "channels_last" else (1, 4, 5, 5)
    x = gn.placeholder("x", shape)
    w = np.random.default_rng(1).standard_normal((3, 3, 2, 6), np.float32)
    v = np.random.default_rng(2).standard_normal((2, 2, 3, 6), np.float32)
    y = gn.conv2d(x, w, stride=2, padding=1, groups=2, layout=layout)
    z = gn.conv_transpose2d(y, v, stride=2, groups=2, layout=layout)
    pooled = gn.avg_pool(z, 2, stride=1, padding=1, count_include_pad=False, layout=layout)
    resized = gn.resize(pooled, size=(4, 9), layout=layout)
    f = gn.function([x], gn.max_pool(resized, (2, 3), layout=layout))
    proto = save(f)
    kinds = [item.op_type for item in proto.graph.node]
    assert [kinds.count(kind) for kind in ("Conv", "ConvTranspose", "AveragePool", "Resize", "MaxPool")] == [1] * 5
    value = np.random.default_rng(3).standard_normal(shape, np.float32)
    np.testing.assert_allclose(load(proto)(value), f(value), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_saved():
    x = gn.placeholder("x", (2, 2))
    with pytest.raises(UnsupportedError, match="ONNX has no operator for random_bits"):
        save(gn.function([x], x + gn.uniform(gn.stream(0), (2, 2))))
    with pytest.raises(UnsupportedError, match="ONNX has no operator for cholesky"):
        save(gn.cholesky(x))
    w = gn.parameter("w", 1.0)
    with pytest.raises(UnsupportedError, match="updates 'w', which ONNX cannot express"):
        save(gn.function([x], x * w, updates={w: w + 1}))
    with pytest.raises(GraphError, match="save takes a function, a module or nodes"):
        save(3)


def test_derivatives_are_saved_too():
    x = gn.placeholder("x", (3,))
    f = gn.function([x], gn.grad(gn.sum(gn.tanh(x) * gn.sigmoid(x)), x))
    value = np.float32([-1, 0.5, 2])
    np.testing.assert_allclose(load(save(f))(value), f(value), rtol=1e-6)


# --- handlers ---


def test_handlers_of_your_own():
    @onnx_op("Cube", domain="test.own")
    def cube(call: Call, x: gn.Node) -> gn.Node:
        return call.number("scale", 1.0) * x**3

    m = model(
        [node("Cube", ["x"], ["y"], domain="test.own", scale=2.0)], {"x": (T.FLOAT, (1,))}, {"y": (T.FLOAT, (1,))}
    )
    m.opset_import.append(helper.make_opsetid("test.own", 1))
    assert load(m)(np.float32([2])).tolist() == [16]
    with pytest.raises(ValueError, match="two handlers"):
        onnx_op("Cube", domain="test.own")(cube)


def test_a_call_is_checked_like_any_other():
    f = load(network())
    with pytest.raises(ShapeError):
        f(np.zeros((2, 4), np.float32))
    with pytest.raises(GraphError, match="unknown argument 'z'"):
        f(z=X)
