"""Parameters and streams to be: what a layer declares when it is made, before its name, size and seed are known."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from graphnn.errors import GraphError
from graphnn.functions.sampling import stream
from graphnn.ir.dtype import DEFAULT_FLOAT, DType, as_dtype
from graphnn.ir.leaves import Variable, parameter, state


class Declared:
    """A variable to be. A module makes it when it is first used or asked for; see `graphnn.nn.Module`."""

    __slots__ = ("made",)
    made: Variable | None

    def __init__(self) -> None:
        self.made = None

    def make(self, name: str, key: int) -> Variable:
        """The variable; `key` stands for seed and path, 128 bits."""
        raise NotImplementedError


class Parameter(Declared):
    """A parameter of a module, declared by assigning it to an attribute.

    It becomes a `graphnn.parameter` when it is first used or asked for, named by its path in the model, with a first value
    that follows from the model's seed and this path.

    Parameters
    ----------
    init : an initializer such as ``nn.init.kaiming_normal()``, or an array
    shape : its sizes, for an initializer
    dtype : float32 unless told; that of the array for an array
    trainable : whether optimisers change it

    Examples
    --------
    >>> from graphnn import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, size):
    ...         self.factor = nn.Parameter(nn.init.ones, (size,))
    ...
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale(3).factor
    factor = parameter: float32[3]
    """

    __slots__ = ("dtype", "init", "shape", "trainable")

    def __init__(self, init: Any, shape: Any = None, dtype: Any = None, *, trainable: bool = True) -> None:
        super().__init__()
        if callable(init) and shape is None:
            raise GraphError("nn.Parameter: an initializer needs the shape", "Write nn.Parameter(init, shape).")
        self.init, self.shape, self.trainable = init, shape, trainable
        self.dtype: DType = as_dtype(dtype or (DEFAULT_FLOAT if callable(init) else np.asarray(init).dtype))
        if dtype is None and not callable(init) and not isinstance(init, (np.ndarray, np.generic)):
            self.dtype = DEFAULT_FLOAT

    def make(self, name: str, key: int) -> Variable:
        if callable(self.init):
            made = parameter(name, self.init, self.shape, self.dtype, seed=np.random.default_rng(key))
        else:
            made = parameter(name, self.init, dtype=self.dtype)
        if not self.trainable:
            made.trainable = False
        return made


class Stream(Declared):
    """A stream of random numbers of a module, declared by assigning it to an attribute; see `graphnn.stream`."""

    __slots__ = ()

    def make(self, name: str, key: int) -> Variable:
        return stream(key % 2**64, name)


class State(Declared):
    """A state of a module, filled with one number at first, declared by assigning it to an attribute; see `graphnn.state`."""

    __slots__ = ("dtype", "fill", "shape")

    def __init__(self, fill: float, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__()
        self.fill, self.shape, self.dtype = fill, shape, as_dtype(dtype)

    def make(self, name: str, key: int) -> Variable:
        return state(name, np.full(self.shape, self.fill, self.dtype.numpy))


def key_of(seed: int | str, path: str) -> int:
    """128 bits that tell a seed and a path from all others; the same in every process."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{path}".encode()).digest()[:16], "little")
