"""What ``import graphnn`` brings: quickly, nothing slow; all public names, each of them documented with an example."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import textwrap

import pytest

import graphnn as gn
from graphnn.errors import UnknownNameError

SLOW = "scipy networkx graphviz pygraphviz rich matplotlib llvmlite jax onnx hypothesis pytest sklearn ml_dtypes"
SLOW += " safetensors platformdirs pooch asyncio unittest multiprocessing"
LAYERS = "nn losses metrics optim data train view testing cli"


def fresh(program):
    """What a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_nothing_slow():
    loaded = fresh("""
        import sys
        before = set(sys.modules)
        import graphnn
        print(*sorted(set(sys.modules) - before))
    """).split()
    assert "numpy" in loaded
    numpy_alone = set(fresh("import sys, numpy; print(*sys.modules)").split())
    roots, numpy_roots = ({name.partition(".")[0] for name in names} for names in (loaded, numpy_alone))
    assert (roots - numpy_roots) & set(SLOW.split()) == set()
    assert {name.split(".")[1] for name in loaded if name.startswith("graphnn.")} & set(LAYERS.split()) == set()
    # Beside NumPy there is graphnn and the standard library; and of NumPy only what it imports by itself.
    assert roots - numpy_roots - set(sys.stdlib_module_names) == {"graphnn"}
    assert {name for name in loaded if name.startswith("numpy")} <= numpy_alone


def test_working_loads_nothing_slow_either():
    loaded = fresh("""
        import sys
        import numpy as np
        import graphnn as gn
        from graphnn import losses, nn, optim
        x, t = gn.placeholder("x", ("n", 3)), gn.placeholder("t", ("n",), "int64")
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        loss = losses.cross_entropy(model(x), t)
        step = gn.function([x, t], loss, updates=optim.SGD(0.1).updates(loss, model.parameters()))
        step(np.zeros((2, 3), "float32"), np.array([0, 1]))
        print(repr(loss), gn.text(loss)[:0])
        print(*sorted({m.partition(".")[0] for m in sys.modules}))
    """).splitlines()[-1]
    assert (
        set(loaded.split()) & {"scipy", "networkx", "graphviz", "rich", "matplotlib", "hypothesis", "pytest"} == set()
    )


def test_losses_and_optimisers_load_no_layers():
    loaded = fresh("""
        import sys
        import graphnn as gn
        w = gn.parameter("w", [1.0, 2.0])
        gn.optim.SGD(0.1).updates(gn.losses.mse(w, [0.0, 0.0]))
        print(*[name for name in sys.modules if name.startswith("graphnn.nn.")])
        print(all(hasattr(gn.nn, name) for name in dir(gn.nn)), set(gn.nn.__all__) <= set(dir(gn.nn)))
    """).splitlines()
    files = {name.removeprefix("graphnn.nn.") for name in loaded[0].split()}
    assert files <= {"module", "calls", "declared", "elsewhere"}
    assert loaded[1] == "True True"


def test_all_names_resolve():
    names = dir(gn)
    assert len(names) == len(set(names)) > 120
    for name in names:
        assert getattr(gn, name) is not None, name


STAYING = """
    Node Graph Spec Dim DType Op Elementwise Linear General Masked Variable
    placeholder parameter state constant scope composite function Function evaluate trace Trace
    grad vjp jvp jacobian hessian hvp stop_gradient value_and_grad linearize jacfwd jacrev
    custom_gradient host_op checkpoint vmap
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor ceil clip copysign cos cosh divide equal exp expm1 floor floor_divide greater
    greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and logical_not
    logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow reciprocal remainder round
    sign signbit sin sinh sqrt square subtract tan tanh trunc where astype exp2 erf
    sum prod max min any all argmax argmin mean var std logsumexp vector_norm
    matmul tensordot vecdot einsum matrix_transpose
    reshape permute_dims broadcast_to expand_dims squeeze concat stack pad flip tile repeat moveaxis flatten
    take take_along_axis one_hot
    arange eye full full_like linspace ones ones_like zeros zeros_like dim_size
    relu leaky_relu elu selu gelu silu softplus sigmoid softmax log_softmax
    stream uniform bernoulli dropout advance random_bits normal truncated_normal exponential gumbel gamma categorical
    randint rademacher permutation choice
    render summary text latex Trainer nn optim losses metrics data testing
    transpose concatenate absolute power arcsin arccos arctan arctan2
    ShapeError DTypeError GraphError DifferentiationError LoweringError ExecutionError RewriteError
"""


@pytest.mark.parametrize("name", STAYING.split())
def test_names_that_stay(name):
    assert hasattr(gn, name)
    assert name in dir(gn)


def test_names_that_are_not_there():
    with pytest.raises(UnknownNameError, match="graphnn has no 'Dense'"):
        gn.Dense
    with pytest.raises(ImportError):
        from graphnn import Dense  # noqa: F401
    assert not hasattr(gn, "__wrapped__")
    assert not hasattr(gn, "torch")


def public_functions():
    """The functions, composites and classes of the public names, and those of the public modules."""
    found = {}
    for name in dir(gn):
        value = getattr(gn, name)
        if callable(value) and not isinstance(value, gn.DType):
            found[f"gn.{name}"] = value
    for module in ("nn", "losses", "optim", "metrics", "data", "testing"):
        for name, value in vars(getattr(gn, module)).items():
            if not name.startswith("_") and callable(value) and "graphnn" in str(getattr(value, "__module__", "")):
                found[f"gn.{module}.{name}"] = value
    return found


FUNCTIONS = public_functions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_name_is_documented(name):
    text = inspect.getdoc(FUNCTIONS[name])
    assert text, "it has no docstring"
    assert len(text.splitlines()[0]) <= 120


# What is a type of result, an error, or the base class of others, is explained by what makes or uses it.
WITHOUT_EXAMPLE = {
    "gn.Function", "gn.Trace", "gn.Node", "gn.Variable", "gn.Op", "gn.Elementwise", "gn.Linear", "gn.General",
    "gn.Masked", "gn.History", "gn.DType",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n.count(".") == 1 and n not in WITHOUT_EXAMPLE])
def test_every_public_function_has_an_example(name):
    value = FUNCTIONS[name]
    if isinstance(value, type) and issubclass(value, Exception):
        return
    assert ">>>" in inspect.getdoc(value), "it has no example"


def test_every_module_can_be_imported_and_says_what_it_holds():
    for module in pkgutil.walk_packages(gn.__path__, "graphnn."):
        if module.name.endswith("__main__") or module.name == "graphnn.view._layout":
            continue  # programs
        assert importlib.import_module(module.name).__doc__, module.name


def test_version():
    assert gn.__version__.count(".") == 2
    assert "graphnn" in gn.__doc__
