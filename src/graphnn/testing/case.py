"""OpCase: one row of the table that drives the tests of all operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphnn.errors import GraphError
from graphnn.ir.arrays import Array
from graphnn.ir.dims import Dim, Size
from graphnn.ir.dtype import as_dtype
from graphnn.ir.leaves import placeholder
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ops.results import Result
from graphnn.testing.domains import REAL, Domain

Shape = tuple[int, ...]
Sample = tuple[Shape, ...]
"""The shapes of all operands of one call."""

FLOATS = ("float32", "float64")
NUMBERS = ("float32", "float64", "int8", "int64", "uint8")
INTEGERS = ("int8", "int32", "int64", "uint8", "uint64")

# Sample shapes: 0-d, size 1, size 0, several axes; and for more operands also broadcasting.
UNARY: tuple[Sample, ...] = tuple((shape,) for shape in [(), (1,), (3,), (2, 3), (0, 3), (2, 1, 2)])
BINARY: tuple[Sample, ...] = (
    ((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((1,), (0,)), ((0, 3), (3,)),
)  # fmt: skip
TERNARY: tuple[Sample, ...] = (
    ((), (), ()), ((3,), (3,), (3,)), ((2, 3), (3,), ()), ((2, 1), (1, 3), (2, 3)), ((0,), (1,), (0,)),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class OpCase:
    """How an operation is called in tests, and what it should give.

    Parameters
    ----------
    build : makes the node from its operands, by the public function
    reference : the same for NumPy arrays, by NumPy or SciPy
    shapes : sample operand shapes, each a tuple of shapes, or one shape where there is one operand; none where there are
        no operands
    domain : where the points lie, for all operands or for each; see `graphnn.testing.domains`
    dtypes : the data types to run it in; a domain with its own data type is not asked
    name : unique in the table, ``function`` or ``function[variant]``; the name of `build` unless told
    wrt : the operands that have derivatives; all floating-point ones unless told
    static : sizes that cannot be given as names, because the call itself needs the number
    unnamed : why named sizes are refused altogether; the tests then check that they are
    no_empty, no_scalar : why no sample has size 0, or no axes
    rtol : how far a float64 result may be from the reference, relative to its largest element

    >>> case = OpCase(gn.exp, np.exp, shapes=[(3,)])
    >>> case.name, case.samples
    ('exp', (((3,),),))
    """

    build: Callable[..., Node]
    reference: Callable[..., Any]
    shapes: Sequence[Any] = UNARY
    domain: Domain | tuple[Domain, ...] = REAL
    dtypes: tuple[str, ...] = FLOATS
    name: str = ""
    wrt: tuple[int, ...] | None = None
    static: tuple[int, ...] = ()
    unnamed: str = ""
    no_empty: str = ""
    no_scalar: str = ""
    rtol: float = 1e-12
    samples: tuple[Sample, ...] = field(init=False)

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the fields of a frozen class are filled in here, once
        set_field(self, "name", self.name or self.build.__name__)
        samples = tuple(_sample(shapes) for shapes in self.shapes) or ((),)
        set_field(self, "samples", samples)
        if len({len(sample) for sample in samples}) > 1:
            raise GraphError(f"OpCase {self.name}: the samples have different numbers of operands")
        if isinstance(self.domain, tuple) and len(self.domain) != len(samples[0]):
            raise GraphError(f"OpCase {self.name}: {len(self.domain)} domains for {len(samples[0])} operands")

    @property
    def function(self) -> str:
        """The public function: the name without the variant."""
        return self.name.partition("[")[0]

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The domain of each operand."""
        return self.domain if isinstance(self.domain, tuple) else (self.domain,) * len(self.samples[0])

    @property
    def op(self) -> Op:
        """The op of the node that `build` makes for the first sample; where that is one of several results, their op."""
        node = self.node(self.samples[0], self.dtypes[-1])[0]
        return node.inputs[0].op if isinstance(node.op, Result) else node.op

    @property
    def broadcasts(self) -> bool:
        """Whether the operands have any shapes that broadcast, so that tests may choose others than the samples."""
        return self.op.elementwise and not self.static and not self.no_scalar and not self.no_empty

    def operands(self, sample: Sequence[Sequence[Size]], dtype: str) -> list[Node]:
        """Placeholders ``x0``, ``x1`` ... of the shapes of a sample."""
        return [
            placeholder(f"x{i}", tuple(shape), domain.dtype or dtype)
            for i, (shape, domain) in enumerate(zip(sample, self.domains, strict=True))
        ]

    def node(self, sample: Sequence[Sequence[Size]], dtype: str) -> tuple[Node, list[Node]]:
        """The node for operands of these shapes, and its operands."""
        operands = self.operands(sample, dtype)
        return self.build(*operands), operands

    def named_sample(self, sample: Sample) -> tuple[list[list[Size]], Mapping[str, int]]:
        """The sample with a name in the place of every size but 1 and the static ones, and what the names stand for."""
        sizes: dict[str, int] = {}

        def named(size: int) -> Size:
            if size == 1 or size in self.static:
                return size
            sizes[f"n{size}"] = size
            return Dim(f"n{size}")

        return [[named(size) for size in shape] for shape in sample], sizes

    def arrays(self, generator: np.random.Generator, sample: Sample, dtype: str) -> list[Array]:
        """Random points for a sample."""
        return [domain.random(generator, shape, dtype) for shape, domain in zip(sample, self.domains, strict=True)]

    def differentiable(self, node: Node, operands: Sequence[Node]) -> list[Node]:
        """The operands by which the node has derivatives; none where the result is not floating-point."""
        if not node.dtype.is_floating:
            return []
        places = range(len(operands)) if self.wrt is None else self.wrt
        return [operands[i] for i in places if operands[i].dtype.is_floating]

    def expected(self, arrays: Sequence[Array], dtype: str) -> Array:
        """What the reference gives, computed in float64 where the data type is a float, then cast."""
        floating = as_dtype(dtype).is_floating
        wide = [x.astype(np.float64) if floating and as_dtype(x.dtype).is_floating else x for x in arrays]
        with np.errstate(all="ignore"):
            return np.asarray(self.reference(*wide))

    def __repr__(self) -> str:
        return self.name

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.name)  # hypothesis would print all fields


def _sample(shapes: Any) -> Sample:
    shapes = tuple(shapes)
    if all(isinstance(size, int) for size in shapes):
        return (shapes,)
    return tuple(tuple(shape) for shape in shapes)
