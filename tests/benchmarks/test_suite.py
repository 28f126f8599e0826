"""The benchmark suite at tiny sizes: graphnn and NumPy compute the same, and who does not is named."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def path():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


def suite(name):
    return importlib.import_module(f"suite.{name}")


@pytest.fixture
def contestants():
    found = {name: suite(f"contestants.{name}") for name in ("graphnn", "numpy")}
    for name, module in found.items():
        module.load("numpy" if name == "graphnn" else "")
    return found


def results(module, work, calls=4):
    run = module.prepare(work, suite("workloads").FAMILIES[work.workload].data(work))
    return [suite("worker").summary(module.fetch(run())) for _ in range(calls)]


def test_graphnn_and_numpy_compute_the_same_in_every_row(contestants):
    Unsupported = suite("work").Unsupported
    works = dict.fromkeys(row.work for row in suite("rows").rows(small=True))
    by_hand = 0
    for work in works:
        ours = results(contestants["graphnn"], work)
        assert all(x == x and abs(x) < 1e6 for step in ours for x in step), work
        if work.training:
            assert ours[-1][0] < ours[0][0], work  # it learns
        try:
            theirs = results(contestants["numpy"], work)
        except Unsupported:
            continue
        assert suite("compare").disagreement(work, ours, theirs) == "", work
        by_hand += 1
    assert by_hand >= 15


def test_all_rows_of_the_issue_are_there():
    names = [row.name for row in suite("rows").rows(small=False)]
    assert len(names) == len(set(names))
    six = ("tiny", "mlp", "wide", "cnn", "lstm", "transformer")
    kinds = ("/sgd", "/adam", "/infer-1", "/infer-64", "/busy", "/first", "/warm", "/memory")
    rest = "mlp/float64 mlp/hvp chain softmax scalar call layers-10/first layers-100/first layers-1000/first program"
    rest += " deep/sgd deep/checkpoint deep/memory deep/checkpoint-memory"
    assert set(names) == {name + kind for name in six for kind in kinds} | set(rest.split())
    chosen = suite("rows").chosen
    memory = [f"{name}/memory" for name in (*six, "deep")]
    assert [row.name for row in chosen(["mlp/hvp", "*/memory"])] == ["mlp/hvp", *memory]
    assert {row.work.workload for row in chosen(["lstm"])} == {"lstm"}
    with pytest.raises(ValueError, match="no row is called 'mpl'"):
        chosen(["mpl"])


@pytest.mark.parametrize(
    "name, gflop",
    [("tiny", 0.00006), ("mlp", 0.13), ("wide", 11.7), ("cnn", 1.6), ("lstm", 1.7), ("transformer", 2.7)],
)
def test_work_is_counted_as_the_products_of_a_step(name, gflop):
    row = suite("rows").chosen([name])[0]
    assert suite("runner").amounts(row)["flops"] / 1e9 == pytest.approx(gflop, rel=0.07)


def test_the_scalar_graph_has_ten_thousand_operations_that_all_count():
    scalar, work = suite("workloads.scalar"), suite("work").Work("scalar", "value")
    steps = scalar.program(work)
    assert len(steps) == 9999
    read = {operand for _, i, j in steps for operand in (i, j)}
    assert read == set(range(scalar.INPUTS + len(steps) - 1))


@pytest.mark.parametrize(
    "theirs, wrong",
    [
        ([[2.0], [1.9], [1.8]], ""),
        ([[2.0], [1.901], [1.801]], ""),
        ([[2.0], [1.95], [1.9]], "loss 1.95"),
        ([[2.01], [1.91], [1.81]], "loss 2.01"),
        ([[2.0], [1.9], [float("nan")]], "loss nan"),
        ([[2.0], [1.9]], "2 results for 3"),
        ([[2.0, 1.0], [1.9], [1.8]], "2 numbers for 1"),
    ],
)
def test_disagreement_of_training(theirs, wrong):
    work = suite("work").Work("mlp", "sgd")
    found = suite("compare").disagreement(work, [[2.0], [1.9], [1.8]], theirs)
    assert wrong in found
    assert bool(found) == bool(wrong)


def test_a_missing_gradient_is_noticed_though_the_losses_are_close():
    ours = [[2.0 - 0.0001 * i] for i in range(6)]
    theirs = [[2.0 - 0.00009 * i] for i in range(6)]
    found = suite("compare").disagreement(suite("work").Work("lstm", "sgd"), ours, theirs)
    assert "the loss fell by" in found
    assert suite("compare").disagreement(suite("work").Work("chain", "value"), ours, theirs) == ""


def test_digest_and_table():
    (row,) = suite("rows").chosen(["mlp/hvp"])
    found = {
        "rounds": {"graphnn-numpy": [50.0, 40.0, 60.0], "jax": [100.0, 90.0, 95.0], "numpy": [200.0, 190.0, 300.0]},
        "first": {"graphnn-numpy": {"first_s": 0.5}},
        "left_out": {"tinygrad": "ill"},
        "rates": {"sgemm": [100.0, 90.0], "own product": [200.0, 220.0]},
        "flops": 1e6,
        "bytes": 0.0,
    }
    report = suite("report")
    entry = report.digest(row, found)
    ours = entry["results"]["graphnn-numpy"]
    assert (ours["median"], ours["spread"], ours["first_s"]) == (50.0, 0.4, 0.5)
    assert ours["ahead"] == 95 / 50
    assert entry["results"]["numpy"]["ahead"] == 95 / 200
    assert ours["of_machine"] == pytest.approx(1e6 / 50e-6 / 210e9)
    (start,) = suite("rows").chosen(["mlp/first"])
    begun = report.digest(start, found | {"rounds": {"graphnn-numpy": [2.0], "numpy": [0.1], "jax": [3.0]}})
    assert begun["results"]["graphnn-numpy"]["ahead"] == 3.0 / 2.0  # NumPy has nothing to build
    text = report.table({"mlp/hvp": entry}, ["graphnn-numpy", "jax", "numpy", "tinygrad"])
    assert "1.90x" in text
    assert "50 ±20%" in text
    assert text.splitlines()[1].split()[-3] == "-"  # tinygrad has no figure
    assert report.notes({"mlp/hvp": entry}) == ["tinygrad: ill (mlp/hvp)"]


def test_busy_rows_stand_beside_the_quiet_ones():
    report = suite("report")
    rows = {
        name: {"kind": kind, "unit": "us", "results": {"jax": {"median": m, "spread": 0.0}}}
        for name, kind, m in [("mlp/sgd", "steady", 2.0), ("mlp/busy", "busy", 5.0), ("cnn/busy", "busy", 1.0)]
    }
    report.quiet_ratios(rows)
    assert rows["mlp/busy"]["results"]["jax"]["times_quiet"] == 2.5
    assert "times_quiet" not in rows["cnn/busy"]["results"]["jax"]
    assert "(2.5q)" in report.table(rows, ["jax"])


def run_suite(out, *arguments, **environment):
    paths = [str(ROOT / "benchmarks"), *(path for path in sys.path if path)]
    command = [sys.executable, "-m", "suite", "--small", "--quick", "--rounds", "1", "--out", str(out), *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_from_the_command_to_table_json_and_picture(tmp_path):
    names = "graphnn-numpy,numpy,graphnn-none"
    done = run_suite(tmp_path, "--contestants", names, "--only", "tiny/adam,tiny/busy,tiny/memory,lstm/infer-1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "graphnn-none is left out: " in done.stdout
    assert "left out - numpy: not written by hand (lstm/infer-1)" in done.stdout
    kept = json.loads((tmp_path / "suite.json").read_text())
    assert list(kept["rows"]) == ["tiny/adam", "lstm/infer-1", "tiny/busy", "tiny/memory"]
    for entry in kept["rows"].values():
        assert entry["results"]["graphnn-numpy"]["median"] > 0
    assert kept["contestants"]["graphnn-none"]["missing"]
    assert kept["rows"]["tiny/adam"]["machine"]["sgemm"] > 0
    picture = ElementTree.parse(tmp_path / "suite.svg").getroot()
    assert any("graphnn-numpy, tiny/adam" in (title.text or "") for title in picture.findall(".//{*}title"))


def test_wrong_arguments():
    rows, main = suite("rows"), suite("__main__")
    assert main.main(["--only", "nothing"]) == 2
    with pytest.raises(SystemExit):
        main.options(["--contestants", "someone"])
    assert main.options(["--contestants", "graphnn-native,jax"]).contestants == ["graphnn-native", "jax"]
    assert main.options([]).rounds == 5
    assert len(rows.chosen([])) > 50


# A contestant for these tests only: it computes something else, ends, or never answers.
ODD = """
import os, time
import numpy as np
def load(variant):
    global kind
    kind = variant
    return "1"
def prepare(work, data):
    if kind == "slow":
        time.sleep(60)
    if kind == "dead":
        os._exit(3)
    return lambda: np.float32(0.5)
def fetch(result):
    return [np.asarray(result)]
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A runner with one odd contestant of each kind, made a module of the suite by a path of its own."""
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "odd.py").write_text(ODD)
    (folder / "sitecustomize.py").write_text(
        f"import suite.contestants\nsuite.contestants.__path__.append({str(folder)!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *(p for p in sys.path if p)]))
    runner = suite("runner")
    place = runner.place
    monkeypatch.setattr(
        runner, "place", lambda name: ("odd", name[4:], True) if name.startswith("odd-") else place(name)
    )
    return runner


def test_contestants_that_fail_are_named_and_the_others_go_on(odd):
    names = ["numpy", "odd-wrong", "odd-dead"]
    (row,) = suite("rows").chosen(["tiny/adam"], small=True)
    with odd.Runner(names, odd.Settings(1, 0.01, 60.0, True), lambda text: None) as runner:
        found = runner.row(row)
        again = runner.row(row)  # new processes took the places of those that ended
        processes = [c.process for c in runner.contestants.values()]
        folder = runner.folder
    assert list(found["rounds"]) == ["numpy"]
    assert found["left_out"]["odd-wrong"].startswith("computes something else: loss 0.5 for ")
    assert found["left_out"]["odd-dead"] == "the process ended with status 3"
    assert again["left_out"] == found["left_out"]
    assert not any(process.alive for process in processes)
    assert not folder.exists()


def test_a_contestant_that_does_not_answer_is_ended(odd, tmp_path):
    process = suite("process")
    environment = process.environment(True, tmp_path, keep=False)
    worker = process.Process(sys.executable, "odd", "slow", environment, tmp_path / "log", 60)
    assert worker.about["version"] == "1"
    work = suite("work").Work("tiny", "sgd", small=True)
    with pytest.raises(process.Failed, match=r"no answer in 0\.2 s"):
        worker.ask("prepare", 0.2, work=work, steps=1)
    assert not worker.alive
    with pytest.raises(process.Failed, match="has ended"):
        worker.ask("release", 1)
