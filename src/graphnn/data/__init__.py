"""Data sets, the reader for their files, and how to split and batch arrays.

Everything here takes and gives NumPy arrays; nothing knows graphs. The examples run along the first axis.
"""

from graphnn.data.batching import batches, train_test_split
from graphnn.data.datasets import digits, mnist
from graphnn.data.idx import read_idx

__all__ = ["digits", "mnist", "read_idx", "train_test_split", "batches"]
