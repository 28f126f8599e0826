"""Models that the tests of this folder make."""

import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper

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
