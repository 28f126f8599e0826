"""Loading ONNX models: what the functions give."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper
from onnx_models import X, Y, model, network, node

import graphnn as gn
from graphnn.errors import GraphError, ModelError, ShapeError, UnsupportedError
from graphnn.interop.onnx import load
from graphnn.interop.onnx.registry import Call, onnx_op

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


def test_sequences_inside_of_a_model():
    nodes = [
        node("SplitToSequence", ["x", "two"], ["parts"], axis=0),
        node("SequenceInsert", ["parts", "x", "first"], ["more"]),
        node("SequenceErase", ["more"], ["fewer"]),
        node("ConcatFromSequence", ["fewer"], ["y"], axis=0),
        node("SequenceLength", ["fewer"], ["n"]),
        node("SequenceAt", ["parts", "first"], ["z"]),
    ]
    outputs = {"y": (T.FLOAT, None), "n": (T.INT64, None), "z": (T.FLOAT, None)}
    m = model(nodes, {"x": (T.FLOAT, ("k",))}, outputs, {"two": np.int64(2), "first": np.int64(0)})
    m.graph.output.append(helper.make_tensor_sequence_value_info("parts", T.FLOAT, None))
    f = load(m)
    for k in (5, 4):
        y, n, z, parts = f(np.arange(k, dtype=np.float32))
        assert y.tolist() == [*range(k), *range(4 if k == 5 else 2)]
        assert n == len(parts) == (3 if k == 5 else 2)
        assert z.tolist() == parts[0].tolist() == [0, 1]
    assert f.static_sizes == ("k",)


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
    with pytest.raises(UnsupportedError, match="depends on 'x' is part of the graph and has 2000000 elements"):
        f(np.zeros(2_000_000, np.float32))


def test_branches_by_computed_conditions():
    """There is a graph for each truth value, not for each input; and it has derivatives."""
    then, other = (
        helper.make_graph(
            [node(op, ["x"], [f"{op}_out"])], op, [], [helper.make_tensor_value_info(f"{op}_out", T.FLOAT, None)]
        )
        for op in ("Neg", "Identity")
    )
    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Less", ["s", "zero"], ["negative"]),
        node("If", ["negative"], ["y"], then_branch=then, else_branch=other),
    ]
    f = load(model(nodes, {"x": (T.FLOAT, ("n",))}, {"y": (T.FLOAT, None)}, {"zero": np.float32(0)}))
    assert f.static_inputs == ("x",)
    for value in ([1, -3], [1, 3], [-5, 1], [2, 2], [-1, -1, -1]):
        assert f(np.float32(value)).tolist() == (np.float32(value) * np.sign(np.sum(value))).tolist()
    assert len(f._compiled) == 3  # two graphs, and what computes the condition


def test_unknown_names_of_values():
    with pytest.raises(GraphError, match="no input and no size 'shap'"):
        load(_reshape()).specialise(shap=1)


# --- random numbers ---


def test_random_numbers_come_from_streams():
    nodes = [
        node("RandomNormal", [], ["a"], shape=[2000], mean=3.0, scale=0.5, seed=1.5),
        node("RandomUniformLike", ["x"], ["b"], low=-1.0, high=1.0, name="first"),
        node("RandomUniformLike", ["x"], ["c"], low=-1.0, high=1.0, name="second"),
        node("Bernoulli", ["p"], ["d"], dtype=T.INT64),
        node("Multinomial", ["logits"], ["e"], sample_size=2000),
    ]
    outputs = dict.fromkeys("abc", (T.FLOAT, None)) | {"d": (T.INT64, None), "e": (T.INT32, None)}
    constants = {"p": np.full(2000, 0.25, np.float32), "logits": np.log(np.float32([[0.5, 0.2, 0.3]]))}
    m = model(nodes, {"x": (T.FLOAT, ("n", 20))}, outputs, constants)
    f, x = load(m), np.zeros((100, 20), np.float32)
    a, b, c, d, e = f(x)
    assert abs(a.mean() - 3) < 0.05
    assert abs(a.std() - 0.5) < 0.05
    assert abs(b.mean()) < 0.05
    assert b.min() < -0.9
    assert b.max() > 0.9
    assert abs(np.corrcoef(b.ravel(), c.ravel())[0, 1]) < 0.1
    assert abs(d.mean() - 0.25) < 0.05
    np.testing.assert_allclose(np.bincount(e.ravel()) / 2000, [0.5, 0.2, 0.3], atol=0.05)
    assert not np.array_equal(f(x)[0], a)  # the next call draws anew
    np.testing.assert_array_equal(load(m)(x)[0], a)  # and a new function begins anew


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
