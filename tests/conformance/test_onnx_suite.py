"""A part of `make conformance` that fits into the ordinary tests."""

import warnings

import numpy as np
import onnx_fuzz
import onnx_suite
import pytest

import graphnn as gn
from graphnn.errors import UnsupportedError
from graphnn.interop.onnx import load, save
from graphnn.testing import all_cases


@pytest.fixture(scope="module")
def cases():
    return onnx_suite.cases()


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _wrong(outcomes):
    return {
        name: outcome for name, outcome in outcomes.items() if outcome.kind in ("mismatch", "error", "crash", "wrong")
    }


def test_values_of_all_core_cases(cases):
    outcomes = {case.name: onnx_suite.run(case) for case in cases if case.core}
    assert not _wrong(outcomes)
    assert sum(outcome.kind == "pass" for outcome in outcomes.values()) >= 1000


def test_values_beside_the_core(cases):
    others = [case for case in cases if not case.core]
    assert not _wrong({case.name: onnx_suite.run(case) for case in others[::6]})


def test_derivatives(cases):
    chosen = [case for case in cases if case.core][::14]
    outcomes = {case.name: onnx_suite.check_derivatives(case) for case in chosen if onnx_suite.run(case).kind == "pass"}
    assert not _wrong(outcomes)
    assert sum(outcome.kind == "pass" for outcome in outcomes.values()) >= 30


def test_what_is_saved_loads_again(cases):
    checked = 0
    for case in [case for case in cases if case.core][::5]:
        if onnx_suite.run(case).kind != "pass":
            continue
        function, named = onnx_suite.specialised(case)
        again = load(save(function), backend="numpy")
        expected = onnx_suite.results(function, named.values())
        found = onnx_suite.results(again, [named[name] for name in again.input_names])
        onnx_suite.Runner.assert_similar_outputs(expected, found, case.rtol, case.atol)
        checked += 1
    assert checked >= 150


def test_operations_are_saved_and_load_again():
    """All that ONNX can express, with named sizes where the case has them."""
    checked = []
    for case in all_cases():
        dtype = next((name for name in ("float32", "int64", "bool") if name in case.dtypes), case.dtypes[0])
        sample = case.samples[-1]
        shapes = sample if case.unnamed else case.named_sample(sample)[0]
        arrays = case.arrays(np.random.default_rng(0), sample, dtype)
        node, operands = case.node(shapes, dtype)
        function = gn.function(operands, node, backend="numpy", on_unused="ignore")
        try:
            again = load(save(function), backend="numpy")
        except UnsupportedError:  # here a kernel may have a named size, in ONNX not
            continue
        expected, found = function(*arrays), again(*arrays)
        assert found.dtype == expected.dtype, case
        np.testing.assert_allclose(
            found.astype(np.float64), expected.astype(np.float64), rtol=1e-4, atol=1e-5, err_msg=repr(case)
        )
        checked.append(case)
    assert len(checked) >= 350


def test_models_of_the_gradient_operator():
    chosen = [case for case in onnx_suite.cases("simple") if case.name.startswith("test_gradient_of_")]
    assert {case.name: onnx_suite.run(case).kind for case in chosen} == {
        "test_gradient_of_add": "pass",
        "test_gradient_of_add_and_mul": "pass",
    }


def test_models_of_a_real_exporter():
    outcomes = {case.name: onnx_suite.run(case) for case in onnx_suite.cases("pytorch-operator")}
    assert {name: outcome for name, outcome in outcomes.items() if outcome.kind != "pass"} == {}


def test_damaged_models(cases):
    plain = onnx_fuzz.plain_cases(cases)
    ended = [onnx_fuzz.attempt(plain, seed) for seed in range(10_000, 10_150)]  # raises what is no error of graphnn
    assert sum(end.startswith("runs") for end in ended) > 5
