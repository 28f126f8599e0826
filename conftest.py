"""What every doctest may use without importing it; and one thread for each test process."""

import os

# The processes of a parallel run would fight for the cores with threads of BLAS that only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy
import pytest

import graphnn


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace["gn"] = graphnn
    doctest_namespace["np"] = numpy
