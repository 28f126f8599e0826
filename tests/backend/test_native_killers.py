"""Tables of inputs that would end a careless process: what the rows in `killers/` do is an error or a right result."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite.binding")

PROGRAMS = sorted((Path(__file__).parent / "killers").glob("of_*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_no_row_ends_the_process(program):
    if program.stem in ("of_processes", "of_caches") and not sys.platform.startswith("linux"):
        pytest.skip("it forks, and reads /proc")
    command = [sys.executable, str(program)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=environment)
    *lines, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0, f"it ended with {done.returncode} in the row {last!r}\n{done.stderr[-3000:]}"
    bad = [line for line in lines if not re.search(r": fine \(.*\)$", line)]
    assert not bad, f"{bad}\n{done.stderr[-6000:]}"
    assert last == f"{len(lines)} rows tried"
