"""What every doctest may use without importing it; one thread for each test process; a cache of machine code for a run."""

import os
import shutil
import tempfile

# The processes of a parallel run would fight for the cores with threads of BLAS that only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy
import pytest

import graphnn


def pytest_configure(config):
    """Keep out of the cache of the user. All processes of the run share one: they compile much that is the same."""
    if not hasattr(config, "workerinput"):
        os.environ["GRAPHNN_CACHE"] = config.stash[_CACHE] = tempfile.mkdtemp(prefix="graphnn-tests-")


def pytest_unconfigure(config):
    """Remove it."""
    if _CACHE in config.stash:
        shutil.rmtree(config.stash[_CACHE], ignore_errors=True)


_CACHE = pytest.StashKey[str]()


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace["gn"] = graphnn
    doctest_namespace["np"] = numpy
