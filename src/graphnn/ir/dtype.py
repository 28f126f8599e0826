"""Data types and how they combine: the promotion of the Array API standard, with weak Python scalars.

Source: Python array API standard 2024.12, "Type Promotion Rules". Kinds never mix silently: int64 with float32 is an
error that says how to cast, because every silent choice (float64? float32?) is somebody's bug.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphnn.errors import DTypeError, nearest


class DType:
    """A data type: a name, a kind (``bool``, ``int``, ``uint``, ``float``) and a width in bits.

    There is one object per data type, so ``is`` compares; ``==`` also takes the name, NumPy's dtype or a Python type.

    >>> float32, float32 == "float32", float32 == np.float32
    (float32, True, True)
    """

    __slots__ = ("_hash", "_numpy", "bits", "kind", "name")

    def __init__(self, name: str, kind: str, bits: int) -> None:
        self.name, self.kind, self.bits = name, kind, bits
        self._numpy: np.dtype[Any] | None = None
        self._hash = hash(name)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype; that of bfloat16 comes from the package ml_dtypes, imported when first needed."""
        if self._numpy is None:
            if self is bfloat16:
                import ml_dtypes

                self._numpy = np.dtype(ml_dtypes.bfloat16)
            else:
                self._numpy = np.dtype(self.name)
        return self._numpy

    @property
    def is_floating(self) -> bool:
        """True for the real floating-point types, which alone have derivatives."""
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        """True for signed and unsigned integers."""
        return self.kind in ("int", "uint")

    @property
    def is_numeric(self) -> bool:
        """True for all but bool."""
        return self.kind != "bool"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, (str, type, np.dtype)):
            return False
        try:
            return as_dtype(other) is self
        except DTypeError:
            return False

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return (as_dtype, (self.name,))


bool_ = DType("bool", "bool", 8)
int8, int16, int32, int64 = (DType(f"int{n}", "int", n) for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (DType(f"uint{n}", "uint", n) for n in (8, 16, 32, 64))
float16, float32, float64 = (DType(f"float{n}", "float", n) for n in (16, 32, 64))
bfloat16 = DType("bfloat16", "float", 16)

ALL: tuple[DType, ...] = (
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64,
)  # fmt: skip
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in ALL}

DEFAULT_FLOAT = float32
DEFAULT_INT = int64
_OTHER_NAMES = {"float": "float32", "single": "float32", "double": "float64", "half": "float16", "int": "int64"}
_OTHER_NAMES |= {"long": "int64", "short": "int16", "byte": "int8", "char": "int8", "bool_": "bool"}
_PYTHON = {bool: bool_, int: DEFAULT_INT, float: DEFAULT_FLOAT}


def as_dtype(value: object) -> DType:
    """The DType for a DType, a name, a NumPy dtype or scalar type, or Python's ``bool``, ``int``, ``float``.

    >>> as_dtype("float32"), as_dtype(float), as_dtype(np.int8)
    (float32, float32, int8)

    Raises
    ------
    DTypeError
        If graphnn has no such data type (complex numbers, strings, objects, dates).
    """
    if isinstance(value, DType):
        return value
    if isinstance(value, str):
        found = BY_NAME.get(value)
    elif isinstance(value, type) and value in _PYTHON:
        found = _PYTHON[value]
    else:
        try:
            # NumPy's name is the same in both byte orders. None would be float64 there.
            found = None if value is None else BY_NAME.get(np.dtype(value).name)  # type: ignore[call-overload]
        except (TypeError, ValueError):
            found = None
    if found is None:
        hint = ""
        if isinstance(value, str):
            hint = f"Did you mean '{_OTHER_NAMES[value]}'?" if value in _OTHER_NAMES else nearest(value, BY_NAME)
        shown = value.name if isinstance(value, np.dtype) else value.__name__ if isinstance(value, type) else value
        raise DTypeError(f"there is no data type {shown!r}", hint, f"There is {', '.join(BY_NAME)}.")
    return found


@functools.cache
def promote(a: DType, b: DType) -> DType | None:
    """The smallest data type that holds both, or None where the Array API defines none (kinds differ).

    >>> promote(float32, float64), promote(uint8, int8), promote(float16, bfloat16), promote(int64, float32)
    (float64, int16, float32, None)
    """
    if a is b:
        return a
    if a.kind == b.kind:
        if a.bits == b.bits:  # float16 and bfloat16: neither holds the other
            return float32
        return a if a.bits > b.bits else b
    if a.is_integer and b.is_integer:
        signed, unsigned = (a, b) if a.kind == "int" else (b, a)
        bits = max(signed.bits, 2 * unsigned.bits)
        return BY_NAME.get(f"int{bits}")
    return None


def result_dtype(name: str, *dtypes: DType) -> DType:
    """The promoted data type of several operands; `name` is the operation, for the message."""
    out = dtypes[0]
    for dtype in dtypes[1:]:
        joined = promote(out, dtype)
        if joined is None:
            raise DTypeError(f"{name}: {out} and {dtype} do not mix", *mixing_hints(out, dtype))
        out = joined
    return out


def mixing_hints(a: DType, b: DType) -> list[str]:
    """How to bring two data types of different kinds together."""
    if a.is_integer and b.is_integer:
        return ["No integer type holds both. Cast one: x.astype('int64')."]
    if a.kind == "bool" or b.kind == "bool":
        other = b if a.kind == "bool" else a
        return [f"Cast the mask, mask.astype('{other}'), or choose with gn.where(mask, x, 0)."]
    floating = a if a.is_floating else b
    return [f"Cast the integer operand: x.astype('{floating}')."]


def check_scalar(name: str, value: bool | int | float, dtype: DType) -> None:
    """Check that a Python scalar can join an array of `dtype` without changing its kind or its value."""
    if isinstance(value, bool):
        fits = dtype.kind == "bool"
    elif isinstance(value, int):
        fits = dtype.is_numeric
    else:
        fits = dtype.is_floating
    if not fits:
        kind = type(value).__name__
        hint = (
            f"A Python scalar never changes the kind of an array. Cast the array: x.astype('{DEFAULT_FLOAT}')."
            if kind == "float" and dtype.is_integer
            else f"Cast the array first: x.astype('{_PYTHON[type(value)]}')."
        )
        raise DTypeError(f"{name}: the Python {kind} {value!r} does not fit {dtype}", hint)
    if dtype.is_floating and isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            raise DTypeError(f"{name}: the Python int of {len(str(value))} digits does not fit {dtype}") from None
    if dtype.is_integer:
        low = -(2 ** (dtype.bits - 1)) if dtype.kind == "int" else 0
        high = 2 ** (dtype.bits - (dtype.kind == "int")) - 1
        if not low <= value <= high:
            raise DTypeError(
                f"{name}: the Python int {value} does not fit {dtype}, which holds {low} to {high}",
                "Cast the array to a wider integer first: x.astype('int64').",
            )
