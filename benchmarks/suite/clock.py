"""Imported first by a worker: the time when it began to import anything, NumPy included."""

import time

START = time.perf_counter()
