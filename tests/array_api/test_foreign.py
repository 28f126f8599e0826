"""SciPy and scikit-learn compute with graphnn's arrays: the table of foreign.py, in a process that has it switched on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import scipy

SCRIPT = Path(__file__).with_name("foreign.py")


@pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17), reason="older SciPy takes other arrays in few places"
)
def test_functions_of_others():
    done = subprocess.run(
        [sys.executable, SCRIPT], env=os.environ | {"SCIPY_ARRAY_API": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" right") >= 35
