"""What every doctest may use without importing it."""

import numpy
import pytest

import graphnn


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace["gn"] = graphnn
    doctest_namespace["np"] = numpy
