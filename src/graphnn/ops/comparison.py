"""Comparison, logic and choice, element by element."""

from __future__ import annotations

from typing import ClassVar

from graphnn.errors import DTypeError
from graphnn.ir.dtype import DType, bool_, result_dtype
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent, Elementwise, Linear, Masked, Partial
from graphnn.ir.spec import Spec, broadcast
from graphnn.ops.kinds import COMPARE, check_kind
from graphnn.ops.operands import Operand, as_node, as_nodes


class Predicate(Elementwise):
    """An element-wise question: the result is bool and has no derivative."""

    kind: ClassVar[str] = "any"

    def infer_dtype(self, *dtypes: DType) -> DType:
        check_kind(self.name, self.kind, dtypes)
        result_dtype(self.name, *dtypes)  # the operands must be comparable
        return bool_

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (None,) * len(operands)


class Equal(Predicate):
    """x == y"""

    latex, python, precedence, commutative = "{0:6} = {1:6}", "{0:6} == {1:6}", COMPARE, True


def equal(x: Operand, y: Operand, /) -> Node:
    """``x == y``; NaN equals nothing.

    >>> gn.evaluate(gn.equal([1.0, 2.0], 2.0))
    array([False,  True])
    """
    return Equal()(*as_nodes("equal", x, y))


class NotEqual(Predicate):
    """x != y"""

    latex, python, precedence, commutative = r"{0:6} \neq {1:6}", "{0:6} != {1:6}", COMPARE, True


def not_equal(x: Operand, y: Operand, /) -> Node:
    """``x != y``.

    >>> gn.evaluate(gn.not_equal([1.0, 2.0], 2.0))
    array([ True, False])
    """
    return NotEqual()(*as_nodes("not_equal", x, y))


class Less(Predicate):
    """x < y"""

    latex, python, precedence = "{0:6} < {1:6}", "{0:6} < {1:6}", COMPARE
    kind = "numeric"


def less(x: Operand, y: Operand, /) -> Node:
    """``x < y``.

    >>> gn.evaluate(gn.less([1.0, 2.0], 2.0))
    array([ True, False])
    """
    return Less()(*as_nodes("less", x, y))


class LessEqual(Predicate):
    """x <= y"""

    latex, python, precedence = r"{0:6} \leq {1:6}", "{0:6} <= {1:6}", COMPARE
    kind = "numeric"


def less_equal(x: Operand, y: Operand, /) -> Node:
    """``x <= y``.

    >>> gn.evaluate(gn.less_equal([1.0, 2.0], 2.0))
    array([ True,  True])
    """
    return LessEqual()(*as_nodes("less_equal", x, y))


class Greater(Predicate):
    """x > y"""

    latex, python, precedence = "{0:6} > {1:6}", "{0:6} > {1:6}", COMPARE
    kind = "numeric"


def greater(x: Operand, y: Operand, /) -> Node:
    """``x > y``.

    >>> gn.evaluate(gn.greater([1.0, 2.0], 1.0))
    array([False,  True])
    """
    return Greater()(*as_nodes("greater", x, y))


class GreaterEqual(Predicate):
    """x >= y"""

    latex, python, precedence = r"{0:6} \geq {1:6}", "{0:6} >= {1:6}", COMPARE
    kind = "numeric"


def greater_equal(x: Operand, y: Operand, /) -> Node:
    """``x >= y``.

    >>> gn.evaluate(gn.greater_equal([1.0, 2.0], 2.0))
    array([False,  True])
    """
    return GreaterEqual()(*as_nodes("greater_equal", x, y))


class LogicalAnd(Predicate):
    """x and y"""

    latex, commutative, kind = r"{0:6} \land {1:6}", True, "bool"
    precedence = COMPARE
    python = "logical_and({0}, {1})"


def logical_and(x: Operand, y: Operand, /) -> Node:
    """Whether both are True.

    >>> gn.evaluate(gn.logical_and([True, False], True))
    array([ True, False])
    """
    return LogicalAnd()(*as_nodes("logical_and", x, y))


class LogicalOr(Predicate):
    """x or y"""

    latex, commutative, kind = r"{0:6} \lor {1:6}", True, "bool"
    precedence = COMPARE
    python = "logical_or({0}, {1})"


def logical_or(x: Operand, y: Operand, /) -> Node:
    """Whether at least one is True.

    >>> gn.evaluate(gn.logical_or([True, False], False))
    array([ True, False])
    """
    return LogicalOr()(*as_nodes("logical_or", x, y))


class LogicalXor(Predicate):
    """Either x or y"""

    latex, commutative, kind = r"{0:6} \oplus {1:6}", True, "bool"
    precedence = COMPARE
    python = "logical_xor({0}, {1})"


def logical_xor(x: Operand, y: Operand, /) -> Node:
    """Whether exactly one is True.

    >>> gn.evaluate(gn.logical_xor([True, False], True))
    array([False,  True])
    """
    return LogicalXor()(*as_nodes("logical_xor", x, y))


class LogicalNot(Predicate):
    """not x"""

    latex, kind = r"\lnot {0:30}", "bool"


def logical_not(x: Operand, /) -> Node:
    """Whether x is False.

    >>> gn.evaluate(gn.logical_not([True, False]))
    array([False,  True])
    """
    return LogicalNot()(as_node(x))


class Isnan(Predicate):
    """x is not a number"""

    latex, kind = r"\operatorname{{isnan}}\left({0}\right)", "numeric"


def isnan(x: Operand, /) -> Node:
    """Whether x is NaN.

    >>> gn.evaluate(gn.isnan([1.0, float("nan")]))
    array([False,  True])
    """
    return Isnan()(as_node(x))


class Isinf(Predicate):
    """x is infinite"""

    latex, kind = r"\operatorname{{isinf}}\left({0}\right)", "numeric"


def isinf(x: Operand, /) -> Node:
    """Whether x is plus or minus infinity.

    >>> gn.evaluate(gn.isinf([1.0, -float("inf")]))
    array([False,  True])
    """
    return Isinf()(as_node(x))


class Isfinite(Predicate):
    """x is a finite number"""

    latex, kind = r"\operatorname{{isfinite}}\left({0}\right)", "numeric"


def isfinite(x: Operand, /) -> Node:
    """Whether x is neither NaN nor infinite.

    >>> gn.evaluate(gn.isfinite([1.0, float("nan")]))
    array([ True, False])
    """
    return Isfinite()(as_node(x))


class Signbit(Predicate):
    """The sign bit of x"""

    latex, kind = r"\operatorname{{signbit}}\left({0}\right)", "floating-point"


def signbit(x: Operand, /) -> Node:
    """Whether the sign bit is set: True for negative numbers and for -0.0.

    >>> gn.evaluate(gn.signbit([1.0, -0.0]))
    array([False,  True])
    """
    return Signbit()(as_node(x))


class Where(Linear):
    """x where the condition holds, else y"""

    linear_in = None
    elementwise = True
    latex = r"\begin{{cases}}{1} & {0} \\ {2} & \text{{otherwise}}\end{{cases}}"

    def infer(self, *specs: Spec) -> Spec:
        condition, x, y = specs
        if condition.dtype is not bool_:
            raise DTypeError(f"where: the condition is {condition.dtype}, not bool", "Compare first, such as x > 0.")
        return Spec(broadcast("where", *(spec.shape for spec in specs)), result_dtype("where", x.dtype, y.dtype))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        condition = operands[0]
        # Masks, not products: what happens in the branch that was not taken must not matter, not even as 0 * inf.
        return None, Masked(g, condition), Masked(g, logical_not(condition))


def where(condition: Operand, x: Operand, y: Operand, /) -> Node:
    """``x`` where the condition is True, else ``y``, element by element.

    The branch that is not taken does not matter: neither its value nor its derivative, even where that is infinite or
    NaN.

    >>> x = gn.constant([-1.0, 2.0])
    >>> gn.evaluate(gn.where(x > 0, gn.log(x), 0)).round(4)
    array([0.    , 0.6931], dtype=float32)
    """
    return Where()(as_node(condition), *as_nodes("where", x, y))
