"""Floor 3: everything else, by its Array API or textbook name, built from the primitives."""

from graphnn.functions import statistics
from graphnn.ir.node import OPERATORS

OPERATORS["mean"] = statistics.mean
