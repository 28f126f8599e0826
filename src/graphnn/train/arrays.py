"""The arrays that a trainer is given: checked, and cast to what the model computes with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphnn.errors import DataError, DTypeError
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node


def inputs_array(value: Any, float_dtype: DType) -> Array:
    """Inputs: floating-point numbers in the type of the model, all else as it is."""
    array = _array("x, the inputs,", value)
    return array.astype(float_dtype.numpy, copy=False) if array.dtype.kind not in "biu" else array


def targets_array(value: Any, float_dtype: DType) -> Array:
    """Targets: whole numbers and bools as int64, floating-point numbers in the type of the model."""
    array = _array("y, the targets,", value)
    return array.astype(np.int64 if array.dtype.kind in "biu" else float_dtype.numpy, copy=False)


def check_one_input(x: Any, y: Any) -> None:
    """Check that the inputs are one array, or the examples in a list, and not one array for each of several inputs.

    Raises
    ------
    DataError
        If they are a dict, or a list or tuple of arrays which each are as long as the targets.
    """
    several = isinstance(x, Mapping)
    if isinstance(x, (list, tuple)) and all(isinstance(part, np.ndarray) and part.ndim for part in x):
        count = len(y) if hasattr(y, "__len__") else 0
        several = len(x) not in (0, count) and all(len(part) == count for part in x)
    if several:
        raise DataError(
            f"x, the inputs, is a {type(x).__name__} of {len(x)} arrays, but a trainer takes models with one input",
            "Put the inputs into one array and take them apart in forward, or write the step yourself:",
            "gn.function([a, b, t], loss, updates=optimizer.updates(loss)).",
        )


def check_in_step(x: Array, y: Array) -> None:
    """Check that inputs and targets are of one number.

    Raises
    ------
    DataError
        If not.
    """
    if len(x) != len(y):
        raise DataError(
            f"{len(x)} inputs but {len(y)} targets", "Row i of x and row i of y must belong to the same example."
        )


def _array(what: str, value: Any) -> Array:
    if isinstance(value, Node):
        raise DTypeError(f"{what} must be an array, not the node {value.label}", "The trainer makes the placeholders.")
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(f"{what} is made of rows of different lengths", "Pad them to one length.") from None
    if array.dtype.kind not in "biuf" and not _is_float(array):
        kind = array.dtype.name if array.dtype.kind != "O" else type(value).__name__
        raise DTypeError(
            f"{what} must be an array of numbers, not {kind}", "Such as a NumPy array [examples, features]."
        )
    if array.ndim == 0:
        raise DataError(f"{what} is a single number, it has no axis of examples", "For one example write x[None].")
    if not len(array):
        raise DataError(f"{what} is empty", "At least one example is needed.")
    return array


def _is_float(array: Array) -> bool:
    return str(array.dtype) == "bfloat16"  # NumPy does not know the kind of this one
