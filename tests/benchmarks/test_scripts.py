"""Every benchmark runs, ends with a line of figures, and leaves them as JSON where it is told to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = sorted(BENCHMARKS.glob("[!_]*.py"))


def numbers(figures):
    if isinstance(figures, dict):
        figures = figures.values()
    if isinstance(figures, (int, float)):
        yield figures
    elif not isinstance(figures, str):
        for inner in figures:
            yield from numbers(inner)


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_runs_quickly(script, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, script, "--quick", "--out", tmp_path / "figures"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    last = done.stdout.splitlines()[-1]
    assert last.startswith(script.stem.replace("_", " ") + ": ")
    assert any(character.isdigit() for character in last)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{script.stem}.json"]
    kept = json.loads((tmp_path / "figures" / f"{script.stem}.json").read_text())
    assert kept["quick"] is True
    found = list(numbers(kept["figures"]))
    assert len(found) >= 2
    assert all(number > 0 for number in found)
