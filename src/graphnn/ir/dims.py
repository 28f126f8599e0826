"""Dim: a size that is known by name, and the integer arithmetic on such sizes.

A Dim is a polynomial with integer coefficients in canonical form, so equal sizes compare equal: ``(h + 2) - 2 == h``.
Its variables are names and two kinds of atoms: the quotient ``a // b``, which a convolution needs, and ``max(a, 0)``,
which a slice needs. A size without variables is a plain ``int``: every operation here gives an ``int`` where it can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NoReturn, TypeAlias

from graphnn.errors import DTypeError, GraphError, ShapeError

Size: TypeAlias = "int | Dim"
"""One size of a shape: an ``int``, or a `Dim` where only a name is known."""

AS_NUMBER = "As a number inside the graph it is gn.dim_size(x, axis, dtype=x.dtype)."
"""What messages advise where a named size is used as a number."""

_NAME = re.compile(r"[^\W\d]\w*")


class Quotient:
    """The atom ``numerator // denominator``, rounded down."""

    __slots__ = ("denominator", "numerator")

    def __init__(self, numerator: Size, denominator: Size) -> None:
        self.numerator, self.denominator = numerator, denominator

    def _key(self) -> tuple[str, Size, Size]:
        return ("//", self.numerator, self.denominator)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quotient) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        over, under = _wrap(self.numerator), _wrap(self.denominator)
        return f"{over}//({under})" if "//" in under and under[0] != "(" else f"{over}//{under}"

    def names(self) -> frozenset[str]:
        return size_names(self.numerator) | size_names(self.denominator)

    def substitute(self, sizes: Mapping[str, Size]) -> Size:
        return floor_divide(substitute(self.numerator, sizes), substitute(self.denominator, sizes))


class Positive:
    """The atom ``max(size, 0)``."""

    __slots__ = ("size",)

    def __init__(self, size: Dim) -> None:
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Positive) and self.size == other.size

    def __hash__(self) -> int:
        return hash(("max", self.size))

    def __str__(self) -> str:
        return f"max({self.size}, 0)"

    def names(self) -> frozenset[str]:
        return self.size.names

    def substitute(self, sizes: Mapping[str, Size]) -> Size:
        return positive_part(substitute(self.size, sizes))


Atom: TypeAlias = "str | Quotient | Positive"
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]  # ((atom, power), ...), sorted


class Dim:
    """A named size, or an integer expression of named sizes.

    >>> h = Dim("h")
    >>> (h + 2 * 1 - 3) // 2 + 1
    (h + 1)//2
    >>> 2 * h - h - h
    0
    >>> (2 * h + 4) // 2
    h + 2

    Raises
    ------
    GraphError
        If the name is not an identifier, such as ``"batch"``.
    """

    __slots__ = ("_hash", "names", "terms")
    terms: dict[Monomial, int]
    names: frozenset[str]

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise GraphError(
                f"a size is an int or a name such as 'batch', not {name!r}",
                "A name is made of letters, digits and _." if isinstance(name, str) else "",
            )
        self._fill({((name, 1),): 1})

    def _fill(self, terms: dict[Monomial, int]) -> None:
        self.terms = terms
        self.names = frozenset(
            n for mono in terms for atom, _ in mono for n in ((atom,) if isinstance(atom, str) else atom.names())
        )
        self._hash = hash(frozenset(terms.items()))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str(self) == other
        return isinstance(other, Dim) and (self is other or (self._hash == other._hash and self.terms == other.terms))

    def __hash__(self) -> int:
        return self._hash

    def _takes(self, other: object) -> bool:
        # Whether it is a size. What else there is, such as a node, may know better what to do.
        if isinstance(other, float):
            raise DTypeError(f"the size {self} does not go with {other!r}: sizes are whole numbers", AS_NUMBER)
        return isinstance(other, (int, Dim))

    def __add__(self, other: Size) -> Size:
        if not self._takes(other):
            return NotImplemented
        total = dict(self.terms)
        for mono, factor in _terms(other).items():
            total[mono] = total.get(mono, 0) + factor
        return _size(total)

    def __mul__(self, other: Size) -> Size:
        if not self._takes(other):
            return NotImplemented
        product: dict[Monomial, int] = {}
        for a, x in self.terms.items():
            for b, y in _terms(other).items():
                mono = _multiply(a, b)
                product[mono] = product.get(mono, 0) + x * y
        return _size(product)

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1 if self._takes(other) else NotImplemented

    def __rsub__(self, other: int) -> Size:
        return -self + other

    def __floordiv__(self, other: Size) -> Size:
        return floor_divide(self, other) if self._takes(other) else NotImplemented

    def __rfloordiv__(self, other: int) -> Size:
        return floor_divide(other, self)

    def __mod__(self, other: Size) -> Size:
        return self - (self // other) * other if self._takes(other) else NotImplemented

    def __rmod__(self, other: int) -> Size:
        return other - (other // self) * self

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: object) -> NoReturn:
        raise DTypeError(f"the size {self} is not divided by /: sizes are whole numbers", f"Divide by //. {AS_NUMBER}")

    __rtruediv__ = __truediv__

    def __pow__(self, other: object) -> NoReturn:
        raise DTypeError(f"the size {self} has no powers", f"Write size * size. {AS_NUMBER}")

    def __lt__(self, other: object) -> NoReturn:
        raise ShapeError(
            f"the size {self} is known only when the function is called: it is neither smaller nor larger here",
            f"Compare sizes with ==, or ask isinstance(size, int). {AS_NUMBER}",
        )

    __le__ = __gt__ = __ge__ = __lt__

    def __bool__(self) -> bool:
        raise ShapeError(
            f"the size {self} is known only when the function is called, so it is neither true nor false",
            "Compare it with ==, or ask isinstance(size, int).",
        )

    def __index__(self) -> int:
        raise ShapeError(
            f"the size {self} has no number yet: it is bound when the function is called",
            AS_NUMBER,
        )

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        text = ""
        for mono, factor in sorted(self.terms.items(), key=lambda item: (not item[0], _order(item[0]))):
            magnitude = abs(factor)
            # A quotient stands alone or in parentheses: Python reads 2*h//2 as (2*h)//2, and -h//2 as (-h)//2.
            alone = len(mono) == 1 and magnitude == 1 and (factor > 0 or bool(text))
            body = "*".join(
                (
                    f"({a})"
                    if not isinstance(a, str) and (power > 1 or (isinstance(a, Quotient) and not alone))
                    else str(a)
                )
                + (f"**{power}" if power > 1 else "")
                for a, power in mono
            )
            part = str(magnitude) if not body else body if magnitude == 1 else f"{magnitude}*{body}"
            sign = "-" if factor < 0 else "+"
            text = f"{text} {sign} {part}" if text else ("-" if factor < 0 else "") + part
        return text


def as_size(value: object) -> Size:
    """A size from an ``int``, a name or a `Dim`."""
    if isinstance(value, Dim):
        return value
    if isinstance(value, str):
        return Dim(value)
    try:
        size = int(value.__index__())  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        raise ShapeError(
            f"a size is an int, a name such as 'batch' or a Dim, not {value!r}",
            "Give a size that is not known yet a name, such as ('batch', 784).",
        ) from None
    if size < 0:
        raise ShapeError(
            f"a size cannot be negative: {size}", "Give a size that is not known yet a name, such as ('batch', 784)."
        )
    if size >= 2**63:
        raise ShapeError(f"the size {size} is too large: it does not fit 63 bits")
    return size


def size_names(size: Size) -> frozenset[str]:
    """The names that a size depends on."""
    return size.names if isinstance(size, Dim) else frozenset()


def substitute(size: Size, sizes: Mapping[str, Size]) -> Size:
    """The size with names replaced by other sizes."""
    if isinstance(size, int) or not any(name in sizes for name in size.names):
        return size
    total: Size = 0
    for mono, factor in size.terms.items():
        part: Size = factor
        for atom, power in mono:
            value = sizes.get(atom, Dim(atom)) if isinstance(atom, str) else atom.substitute(sizes)
            for _ in range(power):
                part = part * value
        total = total + part
    return total


def product(sizes: Iterable[Size]) -> Size:
    """The product of sizes; 1 for none."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def positive_part(size: Size) -> Size:
    """``max(size, 0)``; a sum of names with positive factors is left as it is."""
    if isinstance(size, int):
        return max(size, 0)
    if _never_negative(size):
        return size
    first = min((mono for mono in size.terms if mono), key=_order)
    if size.terms[first] < 0:
        # max(a, 0) = a + max(-a, 0): one form of the two, so that x[1:] and x[:-1] have equal sizes.
        return size + positive_part(-size)
    return _size({((Positive(size), 1),): 1})


def _never_negative(size: Size) -> bool:
    if isinstance(size, int):
        return size >= 0
    return all(factor > 0 for factor in size.terms.values()) and all(
        not isinstance(atom, Quotient) or (_never_negative(atom.numerator) and _never_negative(atom.denominator))
        for mono in size.terms
        for atom, _ in mono
    )


def floor_divide(a: Size, b: Size) -> Size:
    """``a // b``, exact where b divides a, with multiples of an integer b taken out of the quotient."""
    if b == 0:
        raise ShapeError(f"the size {a} is divided by 0")
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    whole = exact_quotient(a, b)
    if whole is not None:
        return whole
    if isinstance(b, int) and isinstance(a, Dim):
        outside = {mono: factor // b for mono, factor in a.terms.items()}
        inside = {mono: factor % b for mono, factor in a.terms.items()}
        rest = _size(inside)
        if not isinstance(rest, int):
            return _size(outside) + _size({((Quotient(rest, b), 1),): 1})
        return _size(outside)
    return _size({((Quotient(a, b), 1),): 1})


def exact_quotient(a: Size, b: Size) -> Size | None:
    """The size q with ``a == q * b`` for all values of the names, or None."""
    rest, divisor = _terms(a), _terms(b)
    if not divisor:
        return None
    atoms = sorted({atom for mono in (*rest, *divisor) for atom, _ in mono}, key=str)

    def rank(mono: Monomial) -> tuple[int, ...]:
        # The lexicographic order on powers: multiplication respects it, so the division below ends.
        powers = dict(mono)
        return tuple(powers.get(atom, 0) for atom in atoms)

    lead = max(divisor, key=rank)
    quotient: dict[Monomial, int] = {}
    # Division of polynomials: cancel the leading term, until nothing or something indivisible is left.
    while rest:
        top = max(rest, key=rank)
        mono = _divide(top, lead)
        if mono is None or rest[top] % divisor[lead]:
            return None
        factor = rest[top] // divisor[lead]
        quotient[mono] = quotient.get(mono, 0) + factor
        rest = dict(rest)
        for other, weight in divisor.items():
            key = _multiply(mono, other)
            rest[key] = rest.get(key, 0) - factor * weight
        rest = {m: f for m, f in rest.items() if f}
    return _size(quotient)


def _terms(size: Size) -> dict[Monomial, int]:
    return size.terms if isinstance(size, Dim) else ({(): size} if size else {})


def _size(terms: dict[Monomial, int]) -> Size:
    terms = {mono: factor for mono, factor in terms.items() if factor}
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    dim = Dim.__new__(Dim)
    dim._fill(terms)
    return dim


def _order(mono: Monomial) -> tuple[tuple[str, int], ...]:
    return tuple((str(atom), power) for atom, power in mono)


def _multiply(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers: dict[Atom, int] = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def _divide(a: Monomial, b: Monomial) -> Monomial | None:
    powers = dict(a)
    for atom, power in b:
        if powers.get(atom, 0) < power:
            return None
        powers[atom] -= power
    return tuple((atom, power) for atom, power in powers.items() if power)


def _wrap(size: Size) -> str:
    text = str(size)
    return f"({text})" if " " in text or "*" in text else text
