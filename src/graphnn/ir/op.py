"""Op: what a node computes. The contract that all operations share, and its three families.

An operation is one small frozen class that holds its mathematics and no numerics: static fields, `infer`, one
derivative rule, and the templates that print it. Backends know how to run it; see `graphnn.backend.base`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias, dataclass_transform

from graphnn.errors import DifferentiationError
from graphnn.ir.dims import Dim, Size, substitute
from graphnn.ir.dtype import DType, result_dtype
from graphnn.ir.spec import Bundle, Spec, broadcast

if TYPE_CHECKING:
    from graphnn.ir.node import Node


class Masked(NamedTuple):
    """A cotangent that counts only where `mask` is True and is zero elsewhere, whatever `value` holds there.

    The reverse pass carries the mask along as far as it can, so that an infinite derivative in the branch of a `where`
    that was not taken never meets a zero (0 * inf would be NaN).
    """

    value: Node
    mask: Node


Cotangent: TypeAlias = "Node | Masked | None"
"""What a rule gives for one operand; None means zero."""
Partial: TypeAlias = "Node | int | DifferentiationError | None"
"""One entry of the diagonal Jacobian: a node, the number 1 or -1, or None for zero.

An error stands for a derivative that exists but is not known here; it is raised when that derivative is asked for.
"""


@dataclass_transform(frozen_default=True)
class _Frozen(type):
    """Makes each op class a frozen dataclass, so that equal ops compare equal and hash."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        namespace.setdefault("__hash__", _hash)  # the dataclass's own hash would be equal for all ops without fields
        made = super().__new__(cls, name, bases, namespace)
        if bases and not any(not kind.startswith("ClassVar") for kind in _annotations(namespace).values()):
            return made  # no fields of its own: what it inherits will do, and importing stays fast
        return dataclasses.dataclass(frozen=True, repr=False)(made)

    def __call__(cls, *fields: Any, **named: Any) -> Any:
        if fields or named:
            return super().__call__(*fields, **named)
        # Ops without fields are all equal: one object serves all their nodes.
        made = cls.__dict__.get("_only")
        if made is None:
            made = super().__call__()
            if not dataclasses.fields(made):
                cls._only = made
        return made


def _annotations(namespace: dict[str, Any]) -> dict[str, str]:
    found = namespace.get("__annotations__")
    if found is None and "__annotate__" in namespace:  # Python 3.14 makes them on demand
        return {"": "unknown"}
    return {key: str(value) for key, value in (found or {}).items()}


def _hash(op: Any) -> int:
    names = op.__dataclass_fields__
    return hash((type(op), *[getattr(op, name) for name in names])) if names else hash(type(op))


class Op(metaclass=_Frozen):
    """An operation: a pure function of arrays, described by its static fields.

    Subclasses hold, besides their fields: `infer`, a derivative rule, and the templates `latex` and `python`, where
    ``{0}``, ``{1}`` stand for the operands and ``{axis}`` and the like for fields.
    """

    latex: ClassVar[str] = ""
    python: ClassVar[str] = ""
    precedence: ClassVar[int] = 100  # of the printed form; 100 binds like a call
    commutative: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False  # each element of the result depends on the elements at the same place only

    @property
    def name(self) -> str:
        """The public function that makes it, such as ``permute_dims``."""
        return _snake(type(self).__name__)

    @property
    def label(self) -> str:
        """How messages and pictures call it where it has no operands."""
        return self.name

    def infer(self, *specs: Spec) -> Spec:
        """The spec of the result, for named and for concrete sizes alike; raises ShapeError or DTypeError."""
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def fields(self) -> dict[str, Any]:
        """The static fields by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def size_names(self) -> frozenset[str]:
        """The named sizes in its fields."""
        found: frozenset[str] = frozenset()
        for name in _field_names(type(self)):
            value = getattr(self, name)
            if isinstance(value, (Dim, tuple, Inner)):
                found |= _names(value)
        return found

    def bind(self, sizes: Mapping[str, Size]) -> Op:
        """The same op with named sizes replaced in its fields."""
        changed = {}
        for name, value in self.fields().items():
            bound = _bind(value, sizes)
            if bound is not value:
                changed[name] = bound
        return dataclasses.replace(self, **changed) if changed else self

    def __call__(self, *operands: Node) -> Node:
        return _make_node(self, operands)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.fields().items())
        return f"{type(self).__name__}({inside})"


class Elementwise(Op):
    """Computes each element of the result from the elements at the same place, operands being broadcast."""

    elementwise: ClassVar[bool] = True

    def infer(self, *specs: Spec) -> Spec:
        first = specs[0]
        for spec in specs:
            if spec.shape != first.shape:
                return Spec(
                    broadcast(self.name, *(s.shape for s in specs)), self.infer_dtype(*[s.dtype for s in specs])
                )
        dtype = self.infer_dtype(*[spec.dtype for spec in specs])
        return first if dtype is first.dtype else first.with_dtype(dtype)

    def infer_dtype(self, *dtypes: DType) -> DType:
        """The data type of the result: by default the promoted type of the operands."""
        return result_dtype(self.name, *dtypes)

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        """d out / d operand for each operand: the diagonal of the Jacobian. Reverse and forward rule follow."""
        raise NotImplementedError(f"{type(self).__name__}.partials")


class Linear(Op):
    """Linear in some of its operands, each for itself; the forward rule is the op applied to the tangent."""

    linear_in: ClassVar[tuple[int, ...] | None] = (0,)  # None: linear in all of them together, as concat is
    mask_follows: ClassVar[bool] = (
        False  # the transpose only moves elements, so the mask of a cotangent goes the same way
    )

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        """The cotangents of the operands for the cotangent g of the result; None for the others."""
        raise NotImplementedError(f"{type(self).__name__}.transpose")


class General(Op):
    """Any other differentiable operation, or one without a derivative (`vjp` gives None for every operand)."""

    starts_again: ClassVar[bool] = False  # its `vjp` computes the first operand anew, from the others

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        """The cotangents of the operands for the cotangent g of the result."""
        raise NotImplementedError(f"{type(self).__name__}.vjp")

    def jvp(self, tangents: tuple[Node | None, ...], *operands: Node, out: Node) -> Node | None:
        """The tangent of the result; NotImplemented (the default) derives it from `vjp`."""
        return NotImplemented  # type: ignore[no-any-return]


class Multi(Op):
    """An operation with several results: its node is a bundle, whose parts are read by `Result`."""

    def infer(self, *specs: Spec) -> Bundle:
        """The specs of all results."""
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        """The cotangents of the operands for those of the results; None stands for a result that nothing reads."""
        raise NotImplementedError(f"{type(self).__name__}.vjp")

    def jvp(
        self, tangents: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]
    ) -> tuple[Node | None, ...]:
        """The tangents of all results; NotImplemented (the default) derives them from `vjp`."""
        return NotImplemented  # type: ignore[no-any-return]


class Inner:
    """What a field of an op may hold besides sizes: something with named sizes of its own, such as a graph."""

    @property
    def size_names(self) -> frozenset[str]:
        """The named sizes in it."""
        raise NotImplementedError

    def bind(self, sizes: Mapping[str, Size]) -> Inner:
        """The same with named sizes replaced."""
        raise NotImplementedError


class Leaf(Op):
    """A node without operands that is given from outside."""


def _bind(value: Any, sizes: Mapping[str, Size]) -> Any:
    if isinstance(value, Dim):
        return substitute(value, sizes)
    if isinstance(value, tuple):
        bound = tuple(_bind(item, sizes) for item in value)
        return value if all(a is b for a, b in zip(bound, value, strict=True)) else bound
    return value.bind(sizes) if isinstance(value, Inner) else value


def _names(value: Any) -> frozenset[str]:
    if isinstance(value, Dim):
        return value.names
    if isinstance(value, tuple):
        return frozenset(name for item in value for name in _names(item))
    return value.size_names if isinstance(value, Inner) else frozenset()


@functools.cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple([field.name for field in dataclasses.fields(kind)])


@functools.cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# Filled by ir.node, which comes later in this folder and needs Op.
_make_node: Callable[[Op, tuple[Node, ...]], Node]


def set_node_maker(make: Callable[[Op, tuple[Node, ...]], Node]) -> None:
    """Tell ops how to make nodes; called once by `graphnn.ir.node`."""
    global _make_node
    _make_node = make
