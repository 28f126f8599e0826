"""Bitwise operations and changes of the data type, element by element."""

from __future__ import annotations

from typing import ClassVar

from graphnn.ir.dtype import DType, as_dtype
from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise, Partial
from graphnn.ops.kinds import UNARY, Arithmetic
from graphnn.ops.operands import Operand, as_node, as_nodes


class Bitwise(Arithmetic):
    """An operation on the bits of integers, or on bools as single bits; without a derivative."""

    kind: ClassVar[str] = "integer or bool"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (None,) * len(operands)


class BitwiseAnd(Bitwise):
    """x & y"""

    latex, python, precedence, commutative = r"{0:9} \mathbin{{\&}} {1:9}", "{0:9} & {1:9}", 8, True


def bitwise_and(x: Operand, y: Operand, /) -> Node:
    """Bits set in both, ``x & y``; for bools the logical and.

    >>> gn.evaluate(gn.bitwise_and(6, 3))
    array(2)
    """
    return BitwiseAnd()(*as_nodes("bitwise_and", x, y))


class BitwiseOr(Bitwise):
    """x | y"""

    latex, python, precedence, commutative = r"{0:7} \mathbin{{|}} {1:7}", "{0:7} | {1:7}", 6, True


def bitwise_or(x: Operand, y: Operand, /) -> Node:
    """Bits set in at least one, ``x | y``; for bools the logical or.

    >>> gn.evaluate(gn.bitwise_or(6, 3))
    array(7)
    """
    return BitwiseOr()(*as_nodes("bitwise_or", x, y))


class BitwiseXor(Bitwise):
    """x ^ y"""

    latex, python, precedence, commutative = r"{0:8} \oplus {1:8}", "{0:8} ^ {1:8}", 7, True


def bitwise_xor(x: Operand, y: Operand, /) -> Node:
    """Bits set in exactly one, ``x ^ y``.

    >>> gn.evaluate(gn.bitwise_xor(6, 3))
    array(5)
    """
    return BitwiseXor()(*as_nodes("bitwise_xor", x, y))


class BitwiseInvert(Bitwise):
    """~x"""

    latex, python, precedence = r"\mathord{{\sim}} {0:30}", "~{0:30}", UNARY


def bitwise_invert(x: Operand, /) -> Node:
    """All bits flipped, ``~x``; for bools the logical not.

    >>> gn.evaluate(gn.bitwise_invert([0, 1]))
    array([-1, -2])
    """
    return BitwiseInvert()(as_node(x))


class _Shift(Bitwise):
    kind = "integer"


class BitwiseLeftShift(_Shift):
    """x << y"""

    latex, python, precedence = r"{0:9} \ll {1:10}", "{0:9} << {1:10}", 9


def bitwise_left_shift(x: Operand, y: Operand, /) -> Node:
    """Bits moved y places up, ``x << y``; 0 where y is not below the width, as in NumPy.

    >>> gn.evaluate(gn.bitwise_left_shift(3, 2))
    array(12)
    """
    return BitwiseLeftShift()(*as_nodes("bitwise_left_shift", x, y))


class BitwiseRightShift(_Shift):
    """x >> y"""

    latex, python, precedence = r"{0:9} \gg {1:10}", "{0:9} >> {1:10}", 9


def bitwise_right_shift(x: Operand, y: Operand, /) -> Node:
    """Bits moved y places down with the sign kept, ``x >> y``.

    >>> gn.evaluate(gn.bitwise_right_shift(-8, 1))
    array(-4)
    """
    return BitwiseRightShift()(*as_nodes("bitwise_right_shift", x, y))


class Astype(Elementwise):
    """The same numbers in another data type"""

    dtype: DType
    latex = r"\operatorname{{{dtype}}}\left({0}\right)"

    def infer_dtype(self, *dtypes: DType) -> DType:
        return self.dtype

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1,)


def astype(x: Operand, dtype: object, /) -> Node:
    """x in another data type; itself if it has it already. Floats become integers by truncation.

    >>> gn.evaluate(gn.astype([1.7, -1.7], "int64"))
    array([ 1, -1])
    """
    node, wanted = as_node(x), as_dtype(dtype)
    return node if node.dtype is wanted else Astype(wanted)(node)


class StopGradient(Elementwise):
    """x, taken as a constant by every derivative"""

    latex = r"\operatorname{{sg}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (None,)


def stop_gradient(x: Operand, /) -> Node:
    """The value of x, which every derivative takes as a constant.

    >>> x = gn.placeholder("x", ())
    >>> gn.evaluate(gn.grad(x * gn.stop_gradient(x), x), {x: 3.0})
    array(3., dtype=float32)
    """
    return StopGradient()(as_node(x))
