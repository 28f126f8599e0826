"""The array object: a NumPy array inside, graphnn's operations outside."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from graphnn.array_api import _keys
from graphnn.array_api._run import reworded, run, scalar_array
from graphnn.errors import DeviceError, DTypeError, GraphError, GraphnnError, NodeUseError, ShapeError
from graphnn.ir.arrays import Array as NumpyArray
from graphnn.ir.arrays import is_plain, native
from graphnn.ir.dtype import ALL, DType, as_dtype, bfloat16, check_scalar, promote, result_dtype
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.ops import arithmetic, bitwise, comparison, contraction, exponential
from graphnn.ops.movement import matrix_transpose, permute_dims

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""The editions of the standard that the namespace fulfils."""

DEVICE = "cpu"
"""The only device."""

NO_COMPLEX = "graphnn computes with real numbers. Keep the real and the imaginary part in two arrays."

NUMBERS: tuple[type, ...] = (bool, int, float, complex, np.number, np.bool_)
"""Python's numbers, and NumPy's scalars, which count as such."""

ArrayLike: TypeAlias = "Array | bool | int | float"
"""What may stand beside an array: another one, or a Python number, which takes its data type."""

_Operator: TypeAlias = Callable[["Array", Any], Any]
_DTYPES: dict[int, DType] = {dtype.numpy.num: dtype for dtype in ALL if dtype is not bfloat16}


def _operators(function: Callable[..., Node]) -> tuple[_Operator, _Operator, _Operator]:
    """The methods behind ``x + y``, behind ``y + x`` where only the right one is ours, and behind ``x += y``."""
    scalars: tuple[type, ...] = () if function is contraction.matmul else NUMBERS

    def forward(self: Array, other: Any, /) -> Any:
        return apply(function, self, other) if isinstance(other, (Array, *scalars)) else NotImplemented

    def reflected(self: Array, other: Any, /) -> Any:
        return apply(function, other, self) if isinstance(other, scalars) else NotImplemented

    def in_place(self: Array, other: Any, /) -> Any:
        if not isinstance(other, (Array, *scalars)):
            return NotImplemented
        made = apply(function, self, other)
        if made.dtype is not self.dtype or made.shape != self.shape:
            kind = ShapeError if made.dtype is self.dtype else DTypeError
            raise kind(
                f"{function.__name__} in place: the result is {made.dtype}{shape_text(made.shape)}, "
                f"but x is {self.dtype}{shape_text(self.shape)}",
                "What is changed in place keeps its shape and data type. Write x = x + y.",
            )
        self._write(made._array)
        return self

    return forward, reflected, in_place


class Array:
    """An array with a value, of the Python array API standard: made by `asarray` and the other functions.

    It has the attributes, operators and methods of the standard, and beside them only what Python and NumPy ask for:
    ``repr``, ``len``, iteration along the first axis, and ``numpy.asarray(x)``. Operators and functions give new arrays
    that share memory with nothing; ``x[key] = value`` and ``x += y`` change x itself.

    >>> x = gn.array_api.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> x @ x.mT + 1
    Array([[ 6., 12.],
           [12., 26.]], dtype=float32)
    """

    __slots__ = ("__weakref__", "_array")
    _array: NumpyArray
    __array_ufunc__ = None  # NumPy's operators leave arrays of ours alone; its functions take numpy.asarray(x)
    __hash__ = None  # type: ignore[assignment]  # what can change has no hash

    def __init__(self, *values: object, **options: object) -> None:
        raise GraphError("an Array is not made by calling the class", "Write gn.array_api.asarray(values).")

    # --- attributes ---

    @property
    def dtype(self) -> DType:
        """Its data type."""
        return dtype_of(self._array)

    @property
    def device(self) -> str:
        """Where it is: always ``"cpu"``."""
        return DEVICE

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        sizes: tuple[int, ...] = self._array.shape
        return sizes

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """The number of its elements."""
        return self._array.size

    @property
    def T(self) -> Array:
        """The transpose of a matrix."""
        if self._array.ndim != 2:
            raise ShapeError(f".T is for matrices, not for {shape_text(self.shape)}", "Use x.mT or permute_dims.")
        return apply(permute_dims, self, axes=(1, 0))

    @property
    def mT(self) -> Array:
        """The last two axes exchanged."""
        return apply(matrix_transpose, self)

    # --- what the standard calls array methods ---

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """The namespace of its functions: ``graphnn.array_api``."""
        if api_version is not None and api_version not in VERSIONS:
            raise GraphError(
                f"there is no edition {api_version!r} of the standard here", f"There is {', '.join(VERSIONS)}."
            )
        return sys.modules["graphnn.array_api"]

    def __dlpack__(
        self,
        /,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Its memory for another library, as DLPack."""
        asked = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        given: Any = self._array
        return given.__dlpack__(**{name: value for name, value in asked.items() if value is not None})

    def __dlpack_device__(self, /) -> tuple[Any, int]:
        """The kind and the number of its device."""
        return self._array.__dlpack_device__()

    def to_device(self, device: object, /, *, stream: Any = None) -> Array:
        """The array on another device, of which there is none: itself."""
        check_device(device)
        if stream is not None:
            raise DeviceError(f"the device {DEVICE!r} has no streams: {stream!r}", "Leave the stream out.")
        return self

    def __getitem__(self, key: Any, /) -> Array:
        array = numpy_of(key)
        if array is not None and array.ndim == 0 and array.dtype.kind == "b":
            return self[None][wrap(array.reshape(1))]
        form, indices = _keys.parse(self.shape, key, numpy_of)
        return wrap(run(_keys.picked, [self._array, *indices], form=form)[0])

    def __setitem__(self, key: Any, value: ArrayLike, /) -> None:
        given = self._fitting(value)
        mask = numpy_of(key)
        if mask is not None and mask.dtype.kind == "b" and mask.shape == self.shape and given.ndim == 0:
            self._write(run(_keys.masked, [self._array, mask, given])[0])
            return
        if mask is not None and mask.dtype.kind == "b" and mask.ndim == 0:
            if not mask:
                return
            key = Ellipsis
        form, indices = _keys.parse(self.shape, key, numpy_of)
        self._write(run(_keys.changed, [self._array, given, *indices], form=form)[0])

    def _fitting(self, value: Any) -> NumpyArray:
        """A value that x can hold without changing its own data type."""
        if not isinstance(value, Array):
            return arrays_of("x[key] = value", self, value)[1]
        if promote(self.dtype, value.dtype) is not self.dtype:
            hint = f"Cast it: xp.astype(value, xp.{self.dtype})."
            raise DTypeError(f"x[key] = value: {self.dtype} cannot hold all of {value.dtype}", hint)
        return value._array

    def _write(self, array: NumpyArray) -> None:
        # Into its own memory, for others may look at it; memory that is read-only is left as it is.
        if self._array.flags.writeable:
            self._array[...] = array
        else:
            self._array = array

    # --- Python numbers ---

    def _item(self, what: str) -> Any:
        if self._array.ndim:
            hint = "Reduce it, any(x == y) or all(x == y)." if what == "bool" else f"Pick one: {what}(x[0])."
            raise ShapeError(f"{what}() takes an array without axes, not {shape_text(self.shape)}", hint)
        return self._array.item()

    def __bool__(self, /) -> bool:
        return bool(self._item("bool"))

    def __int__(self, /) -> int:
        return int(self._item("int"))

    def __float__(self, /) -> float:
        return float(self._item("float"))

    def __complex__(self, /) -> complex:
        return complex(self._item("complex"))

    def __index__(self, /) -> int:
        if not self.dtype.is_integer:
            raise DTypeError(f"an index is an integer, not {self.dtype}", "Cast it: xp.astype(x, xp.int64).")
        return int(self._item("int"))

    def __iter__(self) -> Iterator[Array]:
        if not self._array.ndim:
            raise NodeUseError("an array without axes cannot be iterated over", "It is one number: float(x).")
        return (self[i] for i in range(self.shape[0]))

    def __len__(self) -> int:
        if not self._array.ndim:
            raise NodeUseError("an array without axes has no len()", "It is one number: float(x).")
        return self.shape[0]

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NumpyArray:
        return np.array(self._array, dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Array({np.array2string(self._array, separator=', ', prefix='Array(')}, dtype={self.dtype})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (wrap, (self._array,))

    def __copy__(self) -> Array:
        return wrap(self._array.copy())

    def __deepcopy__(self, memo: dict[int, Any]) -> Array:
        return wrap(self._array.copy())

    # --- operators: each with its reflected and its in-place form ---

    __add__, __radd__, __iadd__ = _operators(arithmetic.add)
    __sub__, __rsub__, __isub__ = _operators(arithmetic.subtract)
    __mul__, __rmul__, __imul__ = _operators(arithmetic.multiply)
    __truediv__, __rtruediv__, __itruediv__ = _operators(arithmetic.divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operators(arithmetic.floor_divide)
    __mod__, __rmod__, __imod__ = _operators(arithmetic.remainder)
    __pow__, __rpow__, __ipow__ = _operators(exponential.pow)
    __matmul__, __rmatmul__, __imatmul__ = _operators(contraction.matmul)
    __and__, __rand__, __iand__ = _operators(bitwise.bitwise_and)
    __or__, __ror__, __ior__ = _operators(bitwise.bitwise_or)
    __xor__, __rxor__, __ixor__ = _operators(bitwise.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _operators(bitwise.bitwise_left_shift)
    __rshift__, __rrshift__, __irshift__ = _operators(bitwise.bitwise_right_shift)
    __lt__ = _operators(comparison.less)[0]
    __le__ = _operators(comparison.less_equal)[0]
    __gt__ = _operators(comparison.greater)[0]
    __ge__ = _operators(comparison.greater_equal)[0]
    __eq__ = _operators(comparison.equal)[0]
    __ne__ = _operators(comparison.not_equal)[0]

    def __neg__(self, /) -> Array:
        return apply(arithmetic.negative, self)

    def __pos__(self, /) -> Array:
        return apply(arithmetic.positive, self)

    def __abs__(self, /) -> Array:
        return apply(arithmetic.abs, self)

    def __invert__(self, /) -> Array:
        return apply(bitwise.bitwise_invert, self)


def wrap(array: NumpyArray) -> Array:
    """An Array around memory that nobody else changes: contiguous, in native byte order."""
    made: Array = object.__new__(Array)
    made._array = array
    return made


def _is_array(value: object) -> bool:
    return type(value) is Array


def numpy_of(value: object) -> NumpyArray | None:
    """The NumPy array of an Array, None for anything else."""
    return value._array if isinstance(value, Array) else None


def from_numpy(array: NumpyArray, *, copy: bool | None = None) -> Array:
    """An Array around a NumPy array, or around a copy where its memory is not in order or a copy is asked for."""
    as_dtype(array.dtype)  # is it one of ours?
    in_order = array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative and type(array) is np.ndarray
    if in_order and not copy:
        # Of axes of size 1, and of arrays without elements, the strides may be anything; twice reshaped they are as usual.
        return wrap(array if is_plain(array) else array.reshape(-1).reshape(array.shape))
    if copy is False:
        raise NodeUseError("this memory cannot be shared: it is not contiguous", "Leave out copy=False.")
    return wrap(native(array, copy=True))


def dtype_of(array: NumpyArray) -> DType:
    """Its data type."""
    return _DTYPES.get(array.dtype.num) or as_dtype(array.dtype)


def check_device(device: object) -> None:
    """Check that a device is the one there is, or None."""
    if device is not None and device != DEVICE:
        raise DeviceError(f"there is no device {device!r}", f"There is {DEVICE!r} only.")


def arrays_of(name: str, *values: object) -> list[NumpyArray]:
    """The NumPy arrays of operands; Python numbers take the data type of the arrays beside them.

    Raises
    ------
    DTypeError
        If there is no array among them, or something that is neither an array nor a number; if a number does not fit.
    """
    if all(map(_is_array, values)):
        return [value._array for value in values]  # type: ignore[attr-defined]
    out = [array_of(name, value) if not isinstance(value, NUMBERS) else None for value in values]
    dtypes = [dtype_of(array) for array in out if array is not None]
    if not dtypes:
        raise DTypeError(f"{name}: one operand must be an array", "Make one: xp.asarray(2.0).")
    try:
        wanted = result_dtype(name, *dtypes)
        return [number(name, v, wanted) if array is None else array for v, array in zip(values, out, strict=True)]
    except GraphnnError as error:
        raise reworded(error) from None


def _advice(value: object) -> str:
    return "Make one of it: xp.asarray(values)." if isinstance(value, (np.ndarray, np.generic, list, tuple)) else ""


def plain_number(value: Any) -> Any:
    """A number as one of Python's own kinds, also where it is a scalar of NumPy."""
    return value.item() if isinstance(value, np.generic) else value


def number(name: str, value: Any, dtype: DType) -> NumpyArray:
    """A Python number as an array of a data type, which it must fit."""
    plain = plain_number(value)
    if isinstance(plain, complex):
        raise DTypeError(f"{name}: graphnn has no complex numbers: {value!r}", NO_COMPLEX)
    check_scalar(name, plain, dtype)
    return scalar_array(plain, dtype.numpy)


def array_of(name: str, value: object) -> NumpyArray:
    """The NumPy array of an operand that must be an array."""
    if isinstance(value, Array):
        return value._array
    raise DTypeError(f"{name} takes arrays of graphnn.array_api, not {type(value).__name__}", _advice(value))


def apply(function: Callable[..., Any], *values: object, **static: Any) -> Array:
    """The result of a function of nodes for arrays and numbers."""
    return wrap(run(function, arrays_of(function.__name__, *values), **static)[0])


def apply_many(function: Callable[..., Any], *values: object, **static: Any) -> list[Array]:
    """The results of a function that gives several nodes."""
    return [wrap(array) for array in run(function, arrays_of(function.__name__, *values), **static)]


def whole(name: str, value: Any) -> int:
    """A whole number, such as an axis or a size; a bool is none."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ShapeError(f"{name}: a whole number is wanted, not {value!r}")
    return int(value.__index__())


def wholes(name: str, value: Any) -> Any:
    """A whole number, a tuple of them or None, in a form that can be a key."""
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return tuple(whole(name, item) for item in value)
    return whole(name, value)
