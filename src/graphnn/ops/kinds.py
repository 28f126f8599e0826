"""What the element-wise operations have in common: the kinds of data types they take, and printing precedence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ClassVar

from graphnn.errors import DTypeError
from graphnn.ir.dtype import DType, bool_, result_dtype
from graphnn.ir.op import Elementwise

# How strongly printed forms bind: {0:20} in a template puts operand 0 in parentheses unless it binds at least as 20.
COMPARE, ADD, MULTIPLY, UNARY, POWER = 5, 10, 20, 30, 40

_KINDS: dict[str, tuple[Callable[[DType], bool], str]] = {
    "numeric": (lambda dtype: dtype.is_numeric, "int64"),
    "floating-point": (lambda dtype: dtype.is_floating, "float32"),
    "integer": (lambda dtype: dtype.is_integer, "int64"),
    "integer or bool": (lambda dtype: not dtype.is_floating, "int64"),
    "bool": (lambda dtype: dtype is bool_, "bool"),
    "any": (lambda dtype: True, ""),
}


def check_kind(name: str, kind: str, dtypes: tuple[DType, ...]) -> None:
    """Check that all data types are of a kind such as ``floating-point``."""
    accepts, cast = _KINDS[kind]
    for dtype in dtypes:
        if not accepts(dtype):
            raise DTypeError(f"{name} takes {kind} arrays, not {dtype}", _advice(name, cast, dtype, dtypes))


def _advice(name: str, cast: str, dtype: DType, dtypes: tuple[DType, ...]) -> str:
    others = [other for other in dtypes if other.is_numeric]
    if dtype is bool_ and others:
        return f"Cast the mask, mask.astype('{others[0]}'), or choose with gn.where(mask, x, 0)."
    if name.startswith("bitwise") and dtype.is_floating:
        if bool_ in dtypes:
            return "Comparisons beside & and | need parentheses: (x > 0) & (x < 1)."
        return "Conditions come from comparisons: (x > 0) & (y > 0)."
    return f"Cast it: x.astype('{cast}')."


class Arithmetic(Elementwise):
    """An element-wise operation whose operands are of one kind, and whose result has their promoted type."""

    kind: ClassVar[str] = "numeric"

    def infer_dtype(self, *dtypes: DType) -> DType:
        return _joined(self.name, self.kind, dtypes)


@functools.cache
def _joined(name: str, kind: str, dtypes: tuple[DType, ...]) -> DType:
    check_kind(name, kind, dtypes)
    return result_dtype(name, *dtypes)
