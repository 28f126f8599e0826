"""Leaves: the nodes without inputs. What the user gives, what is kept between calls, and what is fixed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

from graphnn.errors import DTypeError, ExecutionError, GraphError, ShapeError
from graphnn.ir.arrays import Array, as_numpy, native, own_array
from graphnn.ir.dims import AS_NUMBER, Dim, Size
from graphnn.ir.dtype import BY_NAME, DEFAULT_FLOAT, DEFAULT_INT, DType, as_dtype
from graphnn.ir.node import Node, build, check_name, setter
from graphnn.ir.op import Leaf
from graphnn.ir.spec import Spec, as_shape, shape_text

_T = TypeVar("_T")
_GLANCE = 0.1  # seconds

# In quotes: to name np.random is to import it, which takes a tenth of the time of importing NumPy.
Initializer: TypeAlias = "Callable[[tuple[int, ...], np.random.Generator], Array]"
"""Makes the first value of a parameter from its shape and a generator of random numbers."""


class Placeholder(Leaf):
    """An input that is given at every call."""


class Parameter(Leaf):
    """A value that is kept between calls and trained."""


class State(Leaf):
    """A value that is kept between calls, is not trained, and may advance whenever a compiled function uses it."""


class Payload:
    """The array of a constant; equal and hashed by its contents."""

    __slots__ = ("_digest", "array")

    def __init__(self, array: Array) -> None:
        self.array = native(array, copy=True)
        self.array.flags.writeable = False
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """A hash of data type, shape and bytes, computed once."""
        if self._digest is None:
            header = f"{self.array.dtype.name}{self.array.shape}".encode()
            self._digest = hashlib.sha256(header + self.array.tobytes()).digest()
        return self._digest

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Payload) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return str(self.array) if self.array.ndim == 0 else f"{self.array.dtype.name}{list(self.array.shape)}"


class Constant(Leaf):
    """A fixed array. A `weak` one was made of Python numbers and takes the data type of what it meets."""

    payload: Payload
    weak: bool = False

    @property
    def label(self) -> str:
        return repr(self.payload)

    def infer(self, *specs: Spec) -> Spec:
        return Spec(self.payload.array.shape, as_dtype(self.payload.array.dtype))


class DimSize(Leaf):
    """The number behind a named size, as a scalar; bound when the function is called."""

    size: Size
    dtype: DType

    def infer(self, *specs: Spec) -> Spec:
        return Spec((), self.dtype)


class Iota(Leaf):
    """The numbers 0, 1, ... size - 1."""

    size: Size
    dtype: DType

    def infer(self, *specs: Spec) -> Spec:
        return Spec((self.size,), self.dtype)


class Taken:
    """Stands in the place of the value of variables while a call writes over their arrays without Python's lock.

    Who wants to read one waits for the end of the call, which reads it on behalf of those who wait: if they had to come
    for it by themselves, the next call might always be faster. Who sets one need not wait: it is as if set after the
    call, which then leaves it as it finds it.
    """

    __slots__ = ("owner", "process", "waiting")

    def __init__(self) -> None:
        self.owner = self.process = 0  # the thread that is in the call
        self.waiting: deque[tuple[list[Cell], list[Any], threading.Lock]] = deque()

    def run(self, call: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        """Make the call, and let in who waits for it."""
        self.owner, self.process = threading.get_ident(), os.getpid()
        try:
            return call(*args)
        finally:
            self.owner = 0
            while self.waiting:
                cells, values, ready = self.waiting.popleft()
                values.extend(map(_held, cells))
                ready.release()

    def wait(self, cells: list[Cell]) -> list[Any]:
        """What cells hold at the end of the call.

        Raises
        ------
        ExecutionError
            In the thread that is in the call: in the handler of a signal that came meanwhile. And in a forked child, where
            the call will never end.
        """
        if self.process != os.getpid():
            raise ExecutionError(
                "the process was forked while a call wrote over the value, which is lost in this child",
                "Set it, or fork when no other thread is in a call.",
            )
        if self.owner == threading.get_ident():
            raise ExecutionError(
                "the value is about to be written over by the call that is interrupted here",
                "Read it after the call: a signal handler may set a flag for that.",
            )
        values: list[Any] = []
        ready = threading.Lock()
        ready.acquire()
        self.waiting.append((cells, values, ready))
        # The call may have come to its end just now, or a signal has ended it where it would have let in who waits.
        while any(value is self for value in map(_held, cells)):
            if ready.acquire(timeout=_GLANCE):
                return values
        return list(map(_held, cells))


class Cell:
    """Where a variable keeps its value: the one mutable thing, beside an immutable node."""

    __slots__ = ("held", "trainable")

    def __init__(self, array: Array, trainable: bool) -> None:
        self.held: Any = array
        self.trainable = trainable

    @property
    def array(self) -> Array:
        """The value; while a call writes over it, that at the end of the call."""
        return values_of([self])[0]

    @array.setter
    def array(self, array: Array) -> None:
        self.held = array


_SLOT: Any = vars(Cell)["held"]
_held: Callable[[Cell], Any] = _SLOT.__get__
_hold: Callable[[Cell, Any], None] = _SLOT.__set__


def values_of(cells: list[Cell]) -> list[Array]:
    """The values of variables at one moment: no update of another thread is seen by halves."""
    # Nothing in the map is Python code, so no other thread comes in between.
    values = list(map(_held, cells))
    while Taken in map(type, values):
        taken: Taken = next(value for value in values if type(value) is Taken)
        values = taken.wait(cells)
    return values


def set_values(cells: list[Cell], arrays: Sequence[Array]) -> None:
    """Set variables together: no other thread sees some of them set and others not."""
    _old = list(map(_held, cells))  # let go of after all are set, for that may run Python code
    deque(map(_hold, cells, arrays), 0)


class Variable(Node):
    """A parameter or a state: a leaf with a value of its own."""

    __slots__ = ("cell",)
    cell: Cell

    def __init__(self, *values: object, **options: object) -> None:
        # The library builds nodes without it; who calls the class is used to another library.
        raise GraphError(
            "a Variable is not made by calling the class",
            "Write gn.parameter(name, value) for what is trained, gn.state(name, value) for what is only kept.",
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("value", "trainable"):
            object.__setattr__(self, name, value)  # these two have setters
        else:
            super().__setattr__(name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        # The copy of a model has variables of its own, with the same values.
        twin: Variable = build(self.op, (), self.spec, like=self, kind=Variable)
        set_cell(twin, Cell(native(self.cell.array, copy=True), self.cell.trainable))
        return twin

    @property
    def value(self) -> Array:
        """A copy of the present value; assign to change it."""
        return self.cell.array.copy()

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(value, Node):
            raise GraphError(
                f"the value of {self.label!r} is an array, not the node {value.label}",
                "Compute it, gn.evaluate(node), or let a function do it: gn.function(..., updates={w: node}).",
            )
        self.cell.array = own_array(value, self.spec, f"the value of {self.label!r}")

    @property
    def trainable(self) -> bool:
        """Whether optimisers change it; assign False to freeze it."""
        return self.cell.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise DTypeError(f"trainable is True or False, not {value!r}")
        self.cell.trainable = value

    def named(self, name: str) -> Node:
        raise GraphError(f"the variable {self.label!r} cannot be renamed", "Give its name when you make it.")


set_cell = setter(Variable, "cell")


def variable_like(op: Leaf, name: str, array: Array, *, trainable: bool) -> Variable:
    """A leaf that keeps `array` as its value."""
    made: Variable = build(op, (), Spec(array.shape, as_dtype(array.dtype)), name=check_name(name), kind=Variable)
    set_cell(made, Cell(native(array, copy=True), trainable))
    return made


def placeholder(name: str, shape: Any = (), dtype: Any = DEFAULT_FLOAT) -> Node:
    """An input of the graph: it has a name, a shape and a data type, and gets its value at each call.

    Parameters
    ----------
    name : str
    shape : sizes, each an int, a name such as ``"batch"`` that is bound at the call, or a `Dim`
    dtype : a data type or its name; float32 unless told

    >>> placeholder("x", ("batch", 784))
    x = placeholder: float32[batch, 784]

    Raises
    ------
    ShapeError
        If a size is negative or not a size.
    DTypeError
        If there is no such data type.
    """
    if isinstance(shape, DType) or (isinstance(shape, str) and shape in BY_NAME):
        raise ShapeError(
            f"placeholder {name!r}: {shape} is a data type, not a shape", f"Write placeholder({name!r}, (), '{shape}')."
        )
    return build(Placeholder(), (), Spec(as_shape(shape), as_dtype(dtype)), name=check_name(name))  # type: ignore[no-any-return]


def parameter(
    name: str, value: Any, shape: Any = None, dtype: Any = None, *, seed: int | np.random.Generator = 0
) -> Variable:
    """A value that is kept between calls and trained, such as a weight matrix.

    Parameters
    ----------
    name : str
    value : an array, or an initializer such as ``nn.init.kaiming_normal()``, a function of shape and generator
    shape : the shape, for an initializer only
    dtype : the data type; that of the array unless told, float32 for Python numbers and initializers
    seed : seeds the generator that the initializer gets

    >>> w = parameter("w", [[1.0, 2.0]])
    >>> w, w.value
    (w = parameter: float32[1, 2], array([[1., 2.]], dtype=float32))
    """
    if callable(value) and not isinstance(value, Node):
        if shape is None:
            raise GraphError(
                f"parameter {name!r}: an initializer needs the shape", "Write parameter(name, init, shape)."
            )
        sizes = as_shape(shape)
        if not all(isinstance(size, int) for size in sizes):
            raise ShapeError(
                f"parameter {name!r}: the shape of a parameter is fixed, it cannot hold named sizes: {shape_text(sizes)}",
                "Give numbers; named sizes are for inputs.",
            )
        array = np.asarray(value(sizes, np.random.default_rng(seed)))
        array = array.astype(as_dtype(dtype or DEFAULT_FLOAT).numpy, copy=False)
    else:
        if shape is not None:
            raise GraphError(
                f"parameter {name!r}: the array has its own shape, do not give another",
                "Write parameter(name, array), or parameter(name, initializer, shape).",
            )
        array = _first_value(f"parameter {name!r}", value, dtype)
    return variable_like(Parameter(), name, array, trainable=True)


def state(name: str, value: Any, dtype: Any = None) -> Variable:
    """A value that is kept between calls but not trained, such as a random stream or a running mean.

    A compiled function that uses it moves it on to its next value; see `advance`.

    >>> state("steps", 0)
    steps = state: int64[]
    """
    return variable_like(State(), name, _first_value(f"state {name!r}", value, dtype), trainable=False)


def constant(value: Any, dtype: Any = None) -> Node:
    """A fixed array as a node. Python numbers become weak constants: they take the data type of what they meet.

    >>> constant(3.0) * placeholder("x", (), "float64")
    multiply(3.0, x): float64[]
    """
    if isinstance(value, Node):
        raise GraphError("constant: this is a node already", "Use it as it is.")
    weak = dtype is None and type(value) in (int, float)
    return Constant(Payload(_first_value("constant", value, dtype)), weak)()


def _first_value(what: str, value: Any, dtype: Any) -> Array:
    if isinstance(value, Node):
        raise GraphError(
            f"a value is an array or a number, not the node {value.label}", "Compute it: gn.evaluate(node)."
        )
    array = as_numpy(value)
    if array.dtype.kind in "USO":
        _check_numbers(what, array, dtype)
    if dtype is None and not isinstance(value, (np.ndarray, np.generic)):
        dtype = {"f": DEFAULT_FLOAT, "i": DEFAULT_INT}.get(array.dtype.kind)
    wanted = as_dtype(array.dtype if dtype is None else dtype)
    if (
        not isinstance(value, (np.ndarray, np.generic))
        and array.dtype.kind in "iu"
        and wanted.is_integer
        and array.size
    ):
        limits = np.iinfo(wanted.numpy)
        if array.min() < limits.min or array.max() > limits.max:
            raise DTypeError(
                f"{what}: its numbers from {array.min()} to {array.max()} do not fit {wanted}",
                f"It holds {limits.min} to {limits.max}.",
            )
    return array.astype(wanted.numpy, copy=False)  # whoever keeps it copies it


def _check_numbers(what: str, array: Array, dtype: Any) -> None:
    # NumPy makes text and Python objects of what it cannot read as numbers; its names for them help nobody.
    items = array.ravel().tolist()
    size = next((item for item in items if isinstance(item, Dim)), None)
    if size is not None:
        raise DTypeError(f"{what}: the size {size} is not a number yet: it is bound at the call", AS_NUMBER)
    if array.dtype.kind != "O" or any(isinstance(item, (str, bytes)) for item in items):
        advice = "A parameter has a value, or an initializer and a shape: gn.parameter(name, init, (3, 4))."
        raise DTypeError(
            f"{what}: text is no array of numbers", advice if what.startswith("parameter") else "Give numbers."
        )
    if not all(isinstance(item, (bool, int, float)) for item in items):
        kind = next(type(item).__name__ for item in items if not isinstance(item, (bool, int, float)))
        raise DTypeError(f"{what}: an array of numbers cannot hold {kind}", "Give numbers only.")
    if dtype is None or as_dtype(dtype).is_integer:
        number = next((n for n in items if isinstance(n, int) and not -(2**63) <= n < 2**63), None)
        if number is not None:
            raise DTypeError(f"{what}: {number} is too large for int64", "Give it as a float, or dtype='float64'.")
