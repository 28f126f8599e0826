"""Imported before NumPy: products run on one thread, so that they never wait for a thread that others hold up."""

import os

for name in (
    "GRAPHNN_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
):
    os.environ.setdefault(name, "1")
