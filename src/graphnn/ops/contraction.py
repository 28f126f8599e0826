"""Products that sum over common axes: matmul, vecdot, tensordot and einsum are one operation, `Contract`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from graphnn.errors import ShapeError
from graphnn.ir.dims import Size
from graphnn.ir.dtype import DType, result_dtype
from graphnn.ir.leaves import Constant
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, Linear
from graphnn.ir.spec import Spec, normalize_axis, shape_text
from graphnn.ops.kinds import MULTIPLY, check_kind
from graphnn.ops.movement import Reshape, permute_dims
from graphnn.ops.operands import Operand, as_nodes


class Contract(Linear):
    """The sum of products over common axes, written as in einsum

    Axes are letters. A letter of both operands that the result lacks is summed over; every other letter of an operand
    is a letter of the result. No letter stands twice in one operand.
    """

    left: str
    right: str
    result: str
    linear_in = (0, 1)
    latex = r"\operatorname{{einsum}}_{{{left},{right} \to {result}}}\left({0}, {1}\right)"
    precedence = MULTIPLY

    @property
    def is_matmul(self) -> bool:
        """Whether it is ``a @ b``: the last axis of a with the second-to-last of b (or the only one)."""
        return _is_matmul(self.left, self.right, self.result)

    @property
    def name(self) -> str:
        return "matmul" if self.is_matmul else "einsum"

    @property
    def python(self) -> str:  # type: ignore[override]
        if self.is_matmul:
            return "{0:20} @ {1:21}"
        return f"einsum('{self.left},{self.right}->{self.result}', {{0}}, {{1}})"

    def infer(self, *specs: Spec) -> Spec:
        sizes: dict[str, Size] = {}
        for letters, spec in zip((self.left, self.right), specs, strict=True):
            if len(letters) != spec.ndim:
                raise ShapeError(
                    f"{self.name}: {shape_text(spec.shape)} has {spec.ndim} axes, '{letters}' names {len(letters)}"
                )
            for letter, size in zip(letters, spec.shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    what = "batch sizes differ" if self.is_matmul else f"axis '{letter}' has two sizes"
                    hint = "Axes before the last two must be equal, or 1." if self.is_matmul else ""
                    raise ShapeError(f"{self.name}: {what}: {sizes[letter]} != {size}", hint)
        dtype = _product_dtype(self.name, *[spec.dtype for spec in specs])
        shape = tuple([sizes[letter] for letter in self.result])
        first = specs[0]
        return first if first.shape == shape and first.dtype is dtype else Spec(shape, dtype)

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        a, b = operands
        return _contract(self.result, self.right, self.left)(g, b), _contract(self.left, self.result, self.right)(a, g)


_contract = functools.cache(Contract)  # equal products share one op: it is made once for many nodes


@functools.cache
def _is_matmul(left: str, right: str, result: str) -> bool:
    batch = left[:-2] if len(left) > 2 else ""
    return bool(
        left
        and right
        and left[-1] == (right[-2] if len(right) > 1 else right[-1])
        and result == batch + left[len(batch) : -1] + (right[-1] if len(right) > 1 else "")
        and (len(right) <= 2 or right[:-2] == batch)
    )


@functools.cache
def _product_dtype(name: str, *dtypes: DType) -> DType:
    check_kind(name, "numeric", dtypes)
    return result_dtype(name, *dtypes)


def matmul(x: Operand, y: Operand, /) -> Node:
    """Matrix product ``x @ y``: sums over the last axis of x and the second-to-last of y; further axes are batches.

    ``[..., m, k] @ [..., k, n] -> [..., m, n]``; a vector on the left has the shape [k], on the right [k].
    Batch axes broadcast.

    >>> gn.evaluate(gn.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]))
    array([3., 7.], dtype=float32)

    Raises
    ------
    ShapeError
        If the inner sizes differ or an operand is a scalar.
    """
    a, b = as_nodes("matmul", x, y)
    ndim_a, ndim_b = a.ndim, b.ndim
    if ndim_a == 0 or ndim_b == 0:
        error = ShapeError("matmul takes vectors and matrices, not a scalar", "Multiply by a scalar with *.")
        raise explain(error, (a, b))
    inner = b.shape[-2] if ndim_b > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise explain(
            ShapeError(
                f"matmul: inner sizes differ: {a.shape[-1]} != {inner}",
                "matmul contracts the last axis of the left with the second-to-last of the right.",
                _advice(a, b),
            ),
            (a, b),
        )
    rows, columns = ("i" if ndim_a > 1 else ""), ("j" if ndim_b > 1 else "")
    if ndim_a <= 2 and ndim_b <= 2:
        return _contract(rows + "k", "k" + columns, rows + columns)(a, b)
    batch = _letters("matmul", max(ndim_a, ndim_b) - 2)
    return contract_broadcasting(
        a, b, _tail(batch, ndim_a - 2) + rows + "k", _tail(batch, ndim_b - 2) + "k" + columns, batch + rows + columns
    )


def _letters(name: str, count: int) -> str:
    # i, j and k are those of the matrices.
    letters = "abcdefghlmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if count > len(letters):
        raise ShapeError(f"{name}: {count} axes are more than the {len(letters)} that can be named")
    return letters[:count]


def _tail(letters: str, count: int) -> str:
    return letters[len(letters) - count :] if count > 0 else ""


def _advice(a: Node, b: Node) -> str:
    if any(isinstance(node.op, Constant) and node.name is None for node in (a, b)):
        return ""  # its label is no name that could be written
    if b.ndim == 2 and b.shape[1] == a.shape[-1]:
        return f"Did you mean {a.label} @ {b.label}.T ?"
    if a.ndim == 2 and b.ndim > 1 and a.shape[0] == b.shape[-2]:
        return f"Did you mean {a.label}.T @ {b.label} ?"
    return ""


def contract_broadcasting(a: Node, b: Node, left: str, right: str, result: str) -> Node:
    """A contraction in which an axis of size 1 fits any size of the other operand.

    Such an axis is taken out of the operand that has it: nothing is repeated.
    """
    for letter in dict.fromkeys(left + right):
        if letter in left and letter in right:
            size_a, size_b = a.shape[left.index(letter)], b.shape[right.index(letter)]
            if size_a == 1 and size_b != 1:
                a, left = _drop(a, left, letter)
            elif size_b == 1 and size_a != 1:
                b, right = _drop(b, right, letter)
    return Contract(left, right, result)(a, b)


def _drop(x: Node, letters: str, letter: str) -> tuple[Node, str]:
    place = letters.index(letter)
    return Reshape((*x.shape[:place], *x.shape[place + 1 :]))(x), letters[:place] + letters[place + 1 :]


def tensordot(x: Operand, y: Operand, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Node:
    """Sum of products over several axes: the last `axes` of x with the first of y, or the pairs ``(axes_x, axes_y)``.

    >>> gn.evaluate(gn.tensordot([[1.0, 2.0]], [[1.0], [1.0]], axes=1))
    array([[3.]], dtype=float32)
    """
    a, b = as_nodes("tensordot", x, y)
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: {axes} axes of {shape_text(a.shape)} and {shape_text(b.shape)}")
        first, second = range(a.ndim - axes, a.ndim), range(axes)
    else:
        first, second = (  # type: ignore[assignment]
            [normalize_axis("tensordot", i, node.ndim) for i in group] for node, group in zip((a, b), axes, strict=True)
        )
    if len(first) != len(second):
        raise ShapeError(f"tensordot: {len(first)} axes of the left for {len(second)} of the right")
    names = list(_letters("tensordot", a.ndim + b.ndim))
    left, right = names[: a.ndim], names[a.ndim :]
    for i, j in zip(first, second, strict=True):
        right[j] = left[i]
    free = [n for i, n in enumerate(left) if i not in first] + [n for j, n in enumerate(right) if j not in second]
    return Contract("".join(left), "".join(right), "".join(free))(a, b)


def vecdot(x: Operand, y: Operand, /, *, axis: int = -1) -> Node:
    """Inner product of vectors along an axis, ``sum(x * y, axis)``; other axes broadcast.

    >>> gn.evaluate(gn.vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]))
    array([3., 7.], dtype=float32)
    """
    a, b = as_nodes("vecdot", x, y)
    if a.ndim == 0 or b.ndim == 0:
        raise explain(ShapeError("vecdot takes vectors, not a scalar"), (a, b))
    if not -min(a.ndim, b.ndim) <= axis < 0:
        normalize_axis("vecdot", axis, min(a.ndim, b.ndim))
        if a.ndim != b.ndim:
            raise ShapeError("vecdot: count the axis from the end, such as axis=-1, where the operands differ in axes")
        axis -= a.ndim
    if a.shape[axis] != b.shape[axis]:
        raise explain(
            ShapeError(
                f"vecdot: sizes differ: {a.shape[axis]} != {b.shape[axis]}",
                "Both vectors need the same number of elements.",
            ),
            (a, b),
        )
    a, b = (permute_dims(n, (*(i for i in range(n.ndim) if i != n.ndim + axis), n.ndim + axis)) for n in (a, b))
    batch = _letters("vecdot", max(a.ndim, b.ndim) - 1)
    left, right = _tail(batch, a.ndim - 1), _tail(batch, b.ndim - 1)
    return contract_broadcasting(a, b, left + "k", right + "k", batch)
