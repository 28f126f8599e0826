"""Tools for testing operations and models: gradient checks, comparisons, memory layouts and the table of OpCases.

``graphnn.testing.strategies`` needs hypothesis and is imported on its own.
"""

from graphnn.testing.case import OpCase
from graphnn.testing.cases import all_cases
from graphnn.testing.compare import ComparisonError, assert_close, assert_same_bits, same_bits, ulp_distance
from graphnn.testing.domains import Domain
from graphnn.testing.gradients import GradientChecker, check_gradients
from graphnn.testing.layouts import LAYOUTS, in_layout
from graphnn.testing.oracle import numeric_jacobian
from graphnn.testing.report import GradientCheckError, GradientReport, InconclusiveCheckError

__all__ = [
    "LAYOUTS",
    "ComparisonError",
    "Domain",
    "GradientCheckError",
    "GradientChecker",
    "GradientReport",
    "InconclusiveCheckError",
    "OpCase",
    "all_cases",
    "assert_close",
    "assert_same_bits",
    "check_gradients",
    "in_layout",
    "numeric_jacobian",
    "same_bits",
    "ulp_distance",
]
