"""`load`: an ONNX model as something to call, to differentiate, to draw and to train."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphnn.compile.function import Function, function
from graphnn.compile.signature import Signature, bind_sizes
from graphnn.errors import GraphError, ModelError, ShapeError, UnsupportedError, listing, nearest
from graphnn.interop.onnx import handlers
from graphnn.interop.onnx.importer import Builder, SizeNames, check_operators, make_inputs, make_parameters
from graphnn.interop.onnx.reading import TensorReader, check_by_onnx, read_model
from graphnn.interop.onnx.records import ModelRecord, model_record
from graphnn.interop.onnx.registry import BUDGET, Array, Nodes
from graphnn.interop.onnx.statics import Needed, check_budget
from graphnn.ir import tree
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Variable
from graphnn.ir.node import Node
from graphnn.nn.module import Module

assert handlers  # importing it fills the table of operators

MOST_SPECIALISATIONS = 64
"""How many compiled graphs a loaded function keeps, for different values that are part of the graph."""

MOST_STATIC = 1 << 20
"""How many elements a value may have that is part of the graph."""


def load(
    source: Any,
    *,
    backend: str = "native",
    freeze: bool = False,
    external_data: bool = False,
    budget: int = BUDGET,
) -> OnnxFunction:
    """Load an ONNX model: a function of arrays, with the graph behind it.

    The model is checked before anything is built, and nothing is computed before it is built. Floating-point initialisers
    become parameters; names of sizes (``dim_param``) become named sizes. In ONNX even a shape may be an input; see
    `OnnxFunction` for what is done about it.

    Parameters
    ----------
    source : a path, the bytes of a file, or an ``onnx.ModelProto``
    backend : the backend that runs it, see `graphnn.function`
    freeze : initialisers become constants
    external_data : whether tensors may be read from other files; only from files below the folder of the model, never
        through links
    budget : the number of elements that no array of the graph may exceed; all together may have 64 times as many

    Raises
    ------
    ModelError
        If the model is damaged, contradicts the standard, or exceeds the budget.
    UnsupportedError
        If it uses an operator, a data type or a version that graphnn does not have; or if the package onnx is missing.

    >>> import onnx
    >>> x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in "xy")
    >>> w = onnx.numpy_helper.from_array(np.float32([10.0]), "w")
    >>> node = onnx.helper.make_node("Mul", ["x", "w"], ["y"])
    >>> f = load(onnx.helper.make_model(onnx.helper.make_graph([node], "scale", [x], [y], [w])))
    >>> f([1.0, 2.0])
    array([10., 20.], dtype=float32)
    >>> f.parameters["w"].value
    array([10.], dtype=float32)
    >>> gn.grad(gn.sum(f.outputs[0]), f.inputs[0]).shape
    (n,)
    """
    proto, folder = read_model(source)
    record = model_record(proto, TensorReader(budget, folder, external_data))
    check_operators(record)
    check_by_onnx(proto)
    return OnnxFunction(record, make_parameters(record, freeze), backend, budget, {}, {})


class OnnxFunction:
    """A loaded model. Call it with arrays, in the order of the model or by name; it gives an array, or a tuple of them.

    What a graph is built from, such as a shape, a number of parts, k, or the condition of a branch, may depend on inputs of an
    ONNX model. Such values are **static**: a call computes them first, and the graph is built and compiled anew for each of
    them, and kept. So are sizes that must be a number. Both are found out while building, so that `static_inputs` may
    grow until the function has been called once.

    Attributes
    ----------
    input_names, output_names : those of the model, in its order
    static_inputs : the names of the inputs that values depend on which are part of the graph
    static_sizes : the names of the sizes for each of whose numbers there is a graph of its own
    parameters : the initialisers that can be trained, by their names
    """

    def __init__(
        self,
        record: ModelRecord,
        nodes: Mapping[str, Node],
        backend: str,
        budget: int,
        fixed: Mapping[str, Array],
        numbers: Mapping[str, int],
    ) -> None:
        self._record, self._nodes, self._backend, self._budget = record, dict(nodes), backend, budget
        self._fixed, self._bound = dict(fixed), dict(numbers)
        self._names = SizeNames()
        self._static: dict[str, None] = {}
        self._sizes: dict[str, None] = {}
        self._compiled: dict[Any, _Built | _Step] = {}
        self._lock = threading.Lock()
        self.parameters: dict[str, Variable] = {k: v for k, v in nodes.items() if isinstance(v, Variable)}
        self.output_names = tuple(value.name for value in record.graph.outputs)
        inputs = make_inputs(record, self._names, self._fixed, self._bound)
        self.input_names = tuple(name for name in inputs if name not in self._fixed)
        self._signature = Signature([inputs[name] for name in self.input_names])
        self._plain: _Built | None = None
        try:
            built = self._build(self._bound, ())
        except ModelError as error:
            # What does not fit for names may fit for numbers: then there is a graph for each of them.
            if not self._ask_for_sizes(error) or not self._fits_somewhere():
                raise
        else:
            self._plain = built if isinstance(built, _Built) else None

    @property
    def static_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that static values depend on, as far as is known."""
        return tuple(self._static)

    @property
    def static_sizes(self) -> tuple[str, ...]:
        """The names of the sizes whose numbers are part of the graph, as far as is known."""
        return tuple(self._sizes)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arrays = self._signature.arrays(args, kwargs)
        built = self._plain or self._specialised(arrays)
        results = built.run(*arrays)
        return results[0] if len(results) == 1 else tuple(results)

    def specialise(self, **values: Any) -> OnnxFunction:
        """The function for fixed values of some inputs or sizes: without these inputs, and with a graph to look at.

        Parameters
        ----------
        **values : arrays by the names of inputs, whole numbers by the names of sizes
        """
        fixed, numbers = dict(self._fixed), dict(self._bound)
        arguments = dict(zip(self.input_names, self._signature.arguments, strict=True))
        given = [name for name in values if name in arguments]
        arrays = [arguments[name].check(values[name]) for name in given]
        numbers |= bind_sizes([arguments[name] for name in given], arrays)
        sizes = {name for argument in arguments.values() for name in argument.spec.names}
        for name, value in values.items():
            if name not in arguments:
                if name not in sizes:
                    raise GraphError(
                        f"the model has no input and no size {name!r}", nearest(name, [*self.input_names, *sizes])
                    )
                if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
                    raise GraphError(f"the size {name!r} is a whole number, not {value!r}")
                if numbers.setdefault(name, int(value)) != value:
                    raise GraphError(f"the size {name!r} is {numbers[name]} and {value}")
        fixed |= dict(zip(given, arrays, strict=True))
        return OnnxFunction(self._record, self._nodes, self._backend, self._budget, fixed, numbers)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The inputs as nodes, in the order of the model."""
        return self._known().inputs

    @property
    def outputs(self) -> tuple[Any, ...]:
        """The outputs as nodes, in the order of the model; a sequence is a list of nodes."""
        return self._known().outputs

    @property
    def graph(self) -> Graph:
        """The graph of the outputs."""
        return self._known().run.graph

    @property
    def function(self) -> Function:
        """The compiled function, which gives a list."""
        return self._known().run

    def module(self) -> OnnxModule:
        """The model as a layer: call it on nodes, put it into a network, train it. It shares the parameters."""
        return OnnxModule(self._record, self._nodes, self._budget, self._fixed)

    def __repr__(self) -> str:
        static = f"; static: {listing([*self._static, *self._sizes])}" if self._static or self._sizes else ""
        outputs = ", ".join(self.output_names)
        return f"OnnxFunction({self._signature.text()} -> {outputs}{static}; backend {self._backend!r})"

    def _known(self) -> _Built:
        if self._plain is None:
            names = [*self._static, *self._sizes]
            given = ", ".join(f"{name}=..." for name in (self._static or self._sizes))
            raise GraphError(f"the graph depends on the value of {listing(names)}", f"Give it: f.specialise({given}).")
        return self._plain

    def _build(self, sizes: Mapping[str, int], answers: Sequence[Array]) -> _Built | _Step | None:
        """The compiled graph; or what computes the next value that it takes; None if it takes more static sizes."""
        nodes = make_inputs(self._record, self._names, self._fixed, sizes)
        inputs = [nodes[name] for name in self.input_names]
        try:
            outputs = Builder(self._record, self._nodes, self._budget, answers).build(nodes)
        except Needed as needed:
            if needed.sizes:
                self._sizes |= dict.fromkeys(sorted(needed.sizes))
                return None
            names = {node: name for name, node in nodes.items()}
            self._static |= dict.fromkeys(names[node] for node in needed.inputs)
            # A shape, or little more: NumPy has it before machine code were made.
            return _Step(function(inputs, needed.node, backend="numpy", on_unused="ignore"))
        ends = [list(value.items) if isinstance(value, Nodes) else value for value in outputs]
        check_budget([node for _, node in tree.leaves(ends)], self._budget, "the model")
        try:
            run = function(inputs, ends, backend=self._backend, on_unused="ignore")
        except GraphError as error:  # two inputs whose names differ by the model's names of sizes only, and the like
            raise ModelError(f"the model makes no function: {error.headline}", *error.hints) from error
        return _Built(tuple(inputs), tuple(ends), run)

    def _specialised(self, arrays: list[Array]) -> _Built:
        """The graph for the static values and sizes of a call, which are computed one after the other."""
        with self._lock:
            sizes, answers, keys = self._numbers(arrays), list[Array](), list[Any]()
            while True:
                key = (tuple(sizes.items()), *keys)
                built = self._compiled.pop(key, None) or self._next(sizes, answers)
                if built is None:  # more sizes are static than was known
                    sizes, answers, keys = self._numbers(arrays), [], []
                    continue
                self._compiled[key] = built
                if len(self._compiled) > MOST_SPECIALISATIONS:
                    del self._compiled[next(iter(self._compiled))]
                if isinstance(built, _Built):
                    return built
                value = built.run(*arrays)
                if value.size > MOST_STATIC:
                    raise UnsupportedError(
                        f"a value that depends on {listing(self._static)} is part of the graph and has {value.size} elements",
                        f"At most {MOST_STATIC} elements may be part of the graph.",
                    )
                answers.append(value)
                keys.append((value.shape, value.tobytes()))

    def _next(self, sizes: Mapping[str, int], answers: Sequence[Array]) -> _Built | _Step | None:
        before = len(self._sizes)
        try:
            built = self._build(sizes, answers)
        except ModelError as error:
            if not self._ask_for_sizes(error):
                raise
            return None
        if built is None and len(self._sizes) == before:
            raise UnsupportedError("the graph depends on sizes that are not known before it runs")
        return built

    def _ask_for_sizes(self, error: ModelError) -> bool:
        """Make all named sizes static after an error about shapes; False where that would not help."""
        names = sorted({name for argument in self._signature.arguments for name in argument.spec.names})
        if not isinstance(error.__cause__, ShapeError) or all(name in self._sizes for name in names):
            return False
        self._sizes |= dict.fromkeys(names)
        return True

    def _fits_somewhere(self) -> bool:
        """Whether the graph can be built for any of a few numbers: if not, the model is wrong."""
        for number in (12, 1, 48, 7):
            try:
                self._build({**dict.fromkeys(self._sizes, number), **self._bound}, ())
            except ModelError:
                continue
            return True
        return False

    def _numbers(self, arrays: list[Array]) -> Mapping[str, int]:
        """The numbers of the sizes that must be one."""
        if not self._sizes:
            return self._bound
        bound = bind_sizes(self._signature.arguments, arrays)
        return self._bound | {name: bound[name] for name in sorted(self._sizes) if name in bound}


class _Built(NamedTuple):
    """A graph for certain static values."""

    inputs: tuple[Node, ...]
    outputs: tuple[Any, ...]  # nodes, or lists of nodes
    run: Function


class _Step(NamedTuple):
    """What computes the next static value."""

    run: Function


class OnnxModule(Module):
    """An imported network as a layer; made by `OnnxFunction.module`. Called on nodes, it adds its nodes to their graph.

    Attributes
    ----------
    weights : the parameters, by the names of the initialisers
    """

    def __init__(self, record: ModelRecord, nodes: Mapping[str, Node], budget: int, fixed: Mapping[str, Array]) -> None:
        self.weights = {name: node for name, node in nodes.items() if isinstance(node, Variable)}
        self._record, self._nodes, self._budget = record, dict(nodes), budget
        self._fixed = {name: np.array(value) for name, value in fixed.items()}

    def forward(self, *inputs: Node) -> Any:
        """The outputs for these nodes, in the order of the model; one node if there is one output."""
        made = make_inputs(self._record, SizeNames(), self._fixed, {})
        names = [name for name in made if name not in self._fixed]
        if len(inputs) != len(names):
            raise GraphError(f"the model takes {len(names)} inputs, {listing(names)}, and is given {len(inputs)}")
        for name, node in zip(names, inputs, strict=True):
            declared = made[name]
            if node.dtype is not declared.dtype or node.ndim != declared.ndim:
                raise GraphError(f"the input {name!r} of the model is {declared.spec}, and is given {node.spec}")
            made[name] = node
        try:
            values = Builder(self._record, self._nodes, self._budget).build(made)
        except Needed as needed:
            what = listing([*(node.label for node in needed.inputs), *sorted(needed.sizes)])
            raise ModelError(
                f"the model needs the value of {what} to be built", "See OnnxFunction.specialise."
            ) from None
        outputs = [list(value.items) if isinstance(value, Nodes) else value for value in values]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
