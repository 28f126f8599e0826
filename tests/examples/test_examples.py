"""Every example runs, and comes to the result that its text promises."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
TESTED = {"linear_regression", "logistic_regression", "two_layer_network", "xor", "mnist", "transformer"}


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mnist_folder():
    """Where MNIST lies on this machine: in GRAPHNN_DATA, or in shared/data beside the project; None if nowhere."""
    places = [os.environ.get("GRAPHNN_DATA"), ROOT.parent / "shared" / "data"]
    found = [Path(place) for place in places if place and any(Path(place).glob("t10k-images-idx3-ubyte*"))]
    return str(found[0].resolve()) if found else None


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def left_behind(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == TESTED


def test_linear_regression_is_least_squares(tmp_path):
    result = load("linear_regression").main()
    assert np.allclose(result["learned"], result["exact"], atol=1e-4)
    assert np.allclose(result["learned"], [3, 2], atol=0.05)
    assert left_behind(tmp_path) == []


def test_logistic_regression_reads_digits(tmp_path, capsys):
    result = load("logistic_regression").main()
    assert result["train"] > 0.97
    assert result["test"] > 0.95
    assert "267 digits to learn from, 90 to be tested on" in capsys.readouterr().out
    assert left_behind(tmp_path) == []


def test_two_layers_by_hand_are_two_layers_of_nn(tmp_path, capsys):
    result = load("two_layer_network").main()
    assert result["values"] < 1e-6
    assert result["gradients"] < 1e-6
    assert "67" in capsys.readouterr().out  # 4 * 8 + 8 + 8 * 3 + 3 parameters in the summary
    assert left_behind(tmp_path) == []


def test_xor_has_all_four_right(tmp_path, capsys):
    result = load("xor").main(out=tmp_path / "pictures")
    assert [bool(p > 0.5) for p in result["probabilities"]] == [False, True, True, False]
    assert result["loss"] < 0.05
    # The text says that the score is read twice, and so gets two contributions.
    assert [len(step.terms) for step in result["trace"].reverse if step.symbol.endswith("γ11")] == [2]
    assert "reverse pass" in capsys.readouterr().out
    assert left_behind(tmp_path) == ["pictures/xor.svg"]
    assert "<svg" in (tmp_path / "pictures" / "xor.svg").read_text(encoding="utf-8")


def test_the_transformer_looks_where_it_should(tmp_path, capsys):
    result = load("transformer").main()
    assert result["right"] > 0.98
    assert result["looks"] > 0.75
    assert "-> . . . # . . . ." in capsys.readouterr().out
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(mnist_folder() is None, reason="no MNIST files here; set GRAPHNN_DATA to a folder with t10k-...")
def test_mnist_reaches_94_percent(tmp_path):
    result = load("mnist").main(mnist_folder(), epochs=6)
    assert result["accuracy"] >= 0.94
    assert left_behind(tmp_path) == []


def test_mnist_takes_the_train_files_where_they_are(tmp_path, capsys):
    write_mnist(tmp_path, "t10k", 20)
    write_mnist(tmp_path, "train", 300)
    result = load("mnist").main(str(tmp_path), epochs=1)
    assert "300 images to learn from, 20 to be tested on" in capsys.readouterr().out
    assert 0 <= result["accuracy"] <= 1


def test_mnist_without_files_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("GRAPHNN_DATA", raising=False)
    with pytest.raises(SystemExit, match="GRAPHNN_DATA"):
        load("mnist").main()


@pytest.mark.parametrize("name", sorted(TESTED - {"mnist", "transformer"}))
def test_runs_as_a_script(name, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) > 5
    assert left_behind(tmp_path) == (["out/xor.svg"] if name == "xor" else [])


def write_mnist(folder, prefix, count):
    rng = np.random.default_rng(count)
    for kind, shape in (("images-idx3-ubyte", (count, 28, 28)), ("labels-idx1-ubyte", (count,))):
        header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
        values = rng.integers(0, 256 if len(shape) == 3 else 10, shape, "uint8")
        (folder / f"{prefix}-{kind}").write_bytes(header + values.tobytes())
