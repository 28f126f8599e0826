"""Splitting and batching of arrays along their first axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.errors import DataError

Seed = int | Sequence[int]


def train_test_split(*arrays: ArrayLike, test: float = 0.2, seed: Seed = 0) -> list[NDArray[Any]]:
    """Shuffle arrays in step and split each into a part to train on and a part to test on.

    Parameters
    ----------
    *arrays
        Arrays of any shapes and data types with first axes of one length n.
    test
        How much to keep for the test: a fraction between 0 and 1, rounded up to whole examples, or a number of them.
    seed
        Fixes the order: the same seed and n, the same split.

    Returns
    -------
    list of ndarray
        Two new arrays for each given: ``[a_train, a_test, b_train, b_test, ...]``.

    Raises
    ------
    DataError
        No arrays, arrays of different lengths, or a part that would be empty.

    Examples
    --------
    >>> from graphnn import data
    >>> images, labels = data.digits()
    >>> x_train, x_test, y_train, y_test = data.train_test_split(images, labels, test=0.2, seed=0)
    >>> x_train.shape, x_test.shape, len(y_train), len(y_test)
    ((1437, 8, 8), (360, 8, 8), 1437, 360)
    """
    parts, n = _in_step("train_test_split", arrays)
    whole = isinstance(test, int | np.integer)
    count = int(test) if whole else math.ceil(round(test * n, 9)) if math.isfinite(test) else -1
    if isinstance(test, bool) or not 0 < count < n or not (whole or test < 1):
        raise DataError(
            f"train_test_split: cannot keep test={test!r} of {n} examples",
            "test is a fraction between 0 and 1 or a whole number of examples; both parts must get some.",
        )
    order = np.random.default_rng(seed).permutation(n)
    train_rows, test_rows = order[:-count], order[-count:]
    return [array[rows] for array in parts for rows in (train_rows, test_rows)]


def batches(
    *arrays: ArrayLike, batch_size: int, seed: Seed | None = None, drop_last: bool = False
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Go once through arrays in step, in batches.

    Parameters
    ----------
    *arrays
        Arrays of any shapes and data types with first axes of one length n.
    batch_size
        Examples in a batch, at least 1; the last batch holds what remains.
    seed
        None keeps the order. A seed shuffles: the same seed and n, the same order. For a new order in each epoch,
        that can be had again, give ``seed=(seed, epoch)``.
    drop_last
        Leave out a last batch that is not full.

    Returns
    -------
    iterator of tuple of ndarray
        One array for each given, ``[batch_size, ...]``: a view into it where the order is kept, else a copy.

    Raises
    ------
    DataError
        No arrays, arrays of different lengths, or a batch size that is not a whole number above 0; raised by the call,
        not by the first step.

    Examples
    --------
    >>> import numpy as np
    >>> from graphnn import data
    >>> for x, y in data.batches(np.arange(5), np.arange(5) ** 2, batch_size=2):
    ...     print(x, y)
    [0 1] [0 1]
    [2 3] [4 9]
    [4] [16]
    """
    parts, n = _in_step("batches", arrays)
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
        raise DataError(f"batches: batch_size must be a whole number above 0, not {batch_size!r}")
    order = None if seed is None else np.random.default_rng(seed).permutation(n)
    end = n - n % batch_size if drop_last else n
    rows = (slice(i, i + batch_size) for i in range(0, end, batch_size))
    return (tuple(array[s] if order is None else array[order[s]] for array in parts) for s in rows)


def _in_step(caller: str, arrays: tuple[ArrayLike, ...]) -> tuple[list[NDArray[Any]], int]:
    """Everything as an array, and the one length of all first axes."""
    parts = [np.asarray(array) for array in arrays]
    if not parts:
        raise DataError(f"{caller}: give at least one array")
    for i, array in enumerate(parts):
        if array.ndim == 0:
            raise DataError(f"{caller}: array {i} is a single number, it has no axis to go along")
    lengths = [len(array) for array in parts]
    if len(set(lengths)) > 1:
        raise DataError(
            f"{caller}: arrays of different lengths: {', '.join(map(str, lengths))}",
            "Row i of each array must belong to the same example.",
        )
    return parts, lengths[0]
