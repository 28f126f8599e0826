"""The node cases of onnx.backend.test: running them, checking derivatives on them, and the way back to ONNX.

Expected values and tolerances are those of the suite; outputs are compared by its own function.
"""

from __future__ import annotations

import fnmatch
import json
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

import graphnn as gn
from graphnn.errors import GraphnnError, UnsupportedError
from graphnn.interop.onnx import load, save
from graphnn.testing.gradients import check_gradients
from graphnn.testing.report import GradientCheckError, InconclusiveCheckError

CORE = frozenset(json.loads(Path(__file__).with_name("core_cases.json").read_text())["names"])

# Cases whose expected result was drawn at random, by another generator: only shapes and data types are compared.
RANDOM = (
    "test_bernoulli",
    "test_bernoulli_double",
    "test_bernoulli_seed",
    "test_bernoulli_expanded",
    "test_bernoulli_double_expanded",
    "test_bernoulli_seed_expanded",
    "test_training_dropout",
    "test_training_dropout_default",
    "test_training_dropout_default_mask",
    "test_training_dropout_mask",
)


class Outcome(NamedTuple):
    """What came of a case: ``pass``, ``unsupported``, ``random``, ``mismatch``, ``error`` or ``crash``, and why."""

    kind: str
    reason: str = ""


class Case:
    """One case of the suite: its model lies in memory, or in a folder with its data."""

    def __init__(self, case) -> None:
        self.name, self.rtol, self.atol = case.name, case.rtol, case.atol
        self.folder = None if case.model_dir is None else Path(case.model_dir)
        self.model = case.model if case.model is not None else onnx.load(self.folder / "model.onnx")
        self.core = case.name in CORE
        self.random = any(fnmatch.fnmatchcase(case.name, pattern) for pattern in RANDOM)
        self._sets = case.data_sets

    @property
    def data_sets(self):
        if self._sets is None:
            self._sets = [
                [_files(folder, part) for part in ("input", "output")]
                for folder in sorted(self.folder.glob("test_data_set_*"))
            ]
        return [(list(map(_array, inputs)), list(map(_array, outputs))) for inputs, outputs in self._sets]


def _files(folder: Path, part: str):
    count = len(list(folder.glob(f"{part}_*.pb")))
    return [onnx.TensorProto.FromString((folder / f"{part}_{i}.pb").read_bytes()) for i in range(count)]


def _array(value):
    """What the suite gives: arrays, NumPy scalars, or protobufs."""
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, (np.generic, float, int)) else value


def cases(kind: str = "node") -> list[Case]:
    """All cases of a kind: ``node``, or ``simple``, ``pytorch-operator``, ``pytorch-converted``: whole models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite computes with infinities while it makes its cases
        return [Case(case) for case in load_model_tests(kind=kind)]


def run(case: Case, backend: str = "numpy") -> Outcome:
    """Load and run a case, and compare."""
    try:
        function = load(case.model, backend=backend)
        for inputs, expected in case.data_sets:
            found = results(function, inputs)
            if case.random:
                same = [(a.shape, a.dtype) for a in found] == [(a.shape, a.dtype) for a in expected]
                return Outcome("random" if same else "mismatch", "its result is random")
            Runner.assert_similar_outputs(expected, found, case.rtol, case.atol)
    except UnsupportedError as error:
        return Outcome("unsupported", error.headline)
    except GraphnnError as error:
        return Outcome("error", f"{type(error).__name__}: {error.headline}")
    except AssertionError as error:
        return Outcome("mismatch", " ".join(str(error).split())[:300])
    except Exception as error:  # whatever else it is, is an error of graphnn
        return Outcome("crash", repr(error)[:300])
    return Outcome("pass")


def results(function, inputs) -> list[np.ndarray]:
    """The results of a loaded model as a list."""
    found = function(*inputs)
    return list(found) if isinstance(found, tuple) else [found]


def specialised(case: Case, backend: str = "numpy"):
    """The loaded model with its static inputs fixed to those of the first data set, and the other inputs by name."""
    function = load(case.model, backend=backend)
    inputs, _ = case.data_sets[0]
    results(function, inputs)  # after a call the static inputs are known
    named = dict(zip(function.input_names, inputs, strict=True))
    if function.static_inputs:
        function = function.specialise(**{name: named[name] for name in function.static_inputs})
    return function, {name: named[name] for name in function.input_names}


def check_derivatives(case: Case, seed: int = 0) -> Outcome:
    """The vector-Jacobian product of a case against finite differences, in float64.

    The data of the suite may lie on kinks (ties of a maximum, whole numbers under floor), be infinite, or out of the domain
    in which a function is smooth (the logarithm in x**y); then the check is made once more next to them, and with positive
    numbers. What passes must depend on its inputs: a derivative that is zero everywhere is no check.
    """
    function, named = specialised(case)
    inputs = dict(zip(function.input_names, function.inputs, strict=True))
    outputs = [node for node in function.outputs if node.dtype.is_floating]
    floating = {name: node for name, node in inputs.items() if node.dtype.is_floating}
    if case.random:
        return Outcome("skipped", "its result is random")
    if not floating or not outputs:
        return Outcome("skipped", "no floating-point inputs that are not static, or no such outputs")
    if not _depends(floating, inputs, outputs, named, seed):
        return Outcome("skipped", "the derivative is zero: flat between jumps, or cut off at this point")
    generator = np.random.default_rng(seed)
    outcome = Outcome("pass")
    for moved in (
        lambda value: value,
        lambda value: _beside(value, generator),
        lambda value: abs(_beside(value, generator)) + 0.1,
    ):
        feeds = {
            node: moved(named[name].astype(np.float64)) if node.dtype.is_floating else named[name]
            for name, node in inputs.items()
        }
        try:
            check_gradients(outputs, feeds, modes=("reverse",), wrt=floating.values(), tolerance=1e-6, seed=seed)
        except (GradientCheckError, InconclusiveCheckError) as error:
            outcome = Outcome("wrong" if isinstance(error, GradientCheckError) else "inconclusive", error.headline)
        except GraphnnError as error:
            outcome = Outcome("skipped", f"{type(error).__name__}: {error.headline}")
        else:
            return Outcome("pass")
    return outcome


def _beside(value, generator):
    near = value + 1e-2 * generator.uniform(-1, 1, value.shape)
    return np.where(np.isfinite(value), near, generator.uniform(-1, 1, value.shape))


def _depends(floating, inputs, outputs, named, seed) -> bool:
    """Whether any derivative is other than zero at the point of the suite or next to it."""
    generator = np.random.default_rng(seed)
    cotangents = [gn.constant(generator.uniform(0.5, 1.5, node.shape).astype(node.dtype.numpy)) for node in outputs]
    try:
        pulled = gn.vjp(outputs, list(floating.values()), cotangents, allow_unused=True)
        feeds = {node: named[name] for name, node in inputs.items()}
        values = gn.evaluate(list(pulled), feeds)
    except GraphnnError:
        return True  # the check will tell
    return any(np.any(np.nan_to_num(value.astype(np.float64))) for value in values)


def operation(case, options=None) -> Outcome:
    """Save an operation of graphnn, by its OpCase, and compare the results of onnxruntime in float32, or what it has."""
    dtype = next((name for name in ("float32", "int64", "bool") if name in case.dtypes), case.dtypes[0])
    for number, sample in enumerate(case.samples):
        node, operands = case.node(sample, dtype)
        arrays = case.arrays(np.random.default_rng(number), sample, dtype)
        function = gn.function(operands, node, on_unused="ignore")
        try:
            model = save(function)
        except UnsupportedError as error:
            return Outcome("unsupported", error.headline)
        feeds = {f"x{i}": array for i, array in enumerate(arrays)}
        outcome = _compared(model, feeds, [function(*arrays)], 1e-4, 1e-5, options)
        if outcome.kind != "pass":
            return outcome
    return Outcome("pass")


def round_trip(case: Case, options=None) -> Outcome:
    """Load, save, and compare the result of onnxruntime with that of graphnn."""
    try:
        function, named = specialised(case)
        found = results(function, named.values())
        model = save(function)
    except UnsupportedError as error:
        return Outcome("unsupported", error.headline)
    return _compared(model, named, found, case.rtol, case.atol, options)


def _compared(model, feeds, expected, rtol, atol, options) -> Outcome:
    """What onnxruntime makes of a model, beside the expected results."""
    import onnxruntime

    onnx.checker.check_model(model)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        theirs = session.run(None, {item.name: np.asarray(feeds[item.name]) for item in session.get_inputs()})
    except Exception as error:  # onnxruntime has many kinds of its own
        return Outcome("onnxruntime", " ".join(str(error).split())[:300])
    try:
        Runner.assert_similar_outputs(expected, theirs, rtol, atol)
    except AssertionError as error:
        return Outcome("mismatch", " ".join(str(error).split())[:300])
    return Outcome("pass")
