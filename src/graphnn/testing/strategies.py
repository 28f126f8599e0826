"""Strategies for hypothesis: arrays, shapes that broadcast, memory layouts, samples of an OpCase, and random graphs.

Values are built inside their domains, not drawn and thrown away. Where a test must throw something away nevertheless, a
`Discards` counts that and fails when it happens too often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphnn.functions.activations import sigmoid, softmax, softplus
from graphnn.functions.manipulation import flip
from graphnn.functions.statistics import logsumexp, mean, var
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import as_dtype
from graphnn.ir.leaves import constant, placeholder
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.ops.arithmetic import add, divide, multiply, negative, reciprocal, square, subtract
from graphnn.ops.bitwise import stop_gradient
from graphnn.ops.contraction import matmul
from graphnn.ops.exponential import exp, logaddexp
from graphnn.ops.movement import broadcast_to, concat, matrix_transpose, reshape
from graphnn.ops.reduction import sum
from graphnn.ops.trigonometric import atan, cos, sin, tanh
from graphnn.testing.case import OpCase, Sample
from graphnn.testing.domains import RAW, REAL, Domain
from graphnn.testing.layouts import LAYOUTS, in_layout


def raw_arrays(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    """Float64 arrays of raw numbers from -3 to 3, which `Domain.values` turns into points; they shrink to simple numbers."""
    return hnp.arrays(np.float64, shape, elements=st.floats(-RAW, RAW, width=32, allow_subnormal=False))


def arrays(spec: Spec, domain: Domain = REAL) -> st.SearchStrategy[Array]:
    """Arrays of a spec, with values in a domain such as ``away_from(0.0)``.

    >>> from graphnn.testing.domains import POSITIVE
    >>> from graphnn.testing.strategies import arrays
    >>> strategy = arrays(gn.Spec((2,), gn.float32), POSITIVE)
    """
    shape = tuple(int(size.__index__()) for size in spec.shape)
    return raw_arrays(shape).map(lambda raw: domain.values(raw, spec.dtype))


def shapes(max_dims: int = 3, max_side: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of up to three axes; sizes 0 and 1, and no axes at all, are among them."""
    return hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side)


def broadcastable(count: int, max_dims: int = 3, max_side: int = 3) -> st.SearchStrategy[Sample]:
    """Shapes of several operands that broadcast together."""
    if count == 0:
        return st.just(())
    drawn = hnp.mutually_broadcastable_shapes(
        num_shapes=count, min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side
    )
    return drawn.map(lambda found: tuple(found.input_shapes))


def layouts() -> st.SearchStrategy[str]:
    """The names of memory layouts, for `graphnn.testing.in_layout`."""
    return st.sampled_from(sorted(LAYOUTS))


def laid_out(spec: Spec, domain: Domain = REAL) -> st.SearchStrategy[Array]:
    """Arrays of a spec in any memory layout."""
    return st.builds(in_layout, arrays(spec, domain), layouts())


@st.composite
def samples(draw: st.DrawFn, case: OpCase, dtype: str = "float64") -> tuple[Sample, list[Array]]:
    """Operand shapes of an OpCase and arrays in its domains.

    Where operands broadcast freely, the shapes are any that do; else they are among the samples of the case.
    """
    listed = st.sampled_from(case.samples)
    sample: Sample = draw(listed | broadcastable(len(case.samples[0])) if case.broadcasts else listed)
    points = [
        draw(arrays(Spec(shape, as_dtype(domain.dtype or dtype)), domain))
        for shape, domain in zip(sample, case.domains, strict=True)
    ]
    return sample, points


class RandomGraph(NamedTuple):
    """A random graph: its output, and arrays for its placeholders."""

    output: Node
    feeds: dict[Node, Array]


class CaseGraph(NamedTuple):
    """A random graph of OpCases: its outputs, arrays for its placeholders, and a scalar that depends on all outputs."""

    outputs: list[Node]
    feeds: dict[Node, Array]
    total: Node


# Smooth functions that keep values of moderate size, so that a deep graph of them stays well conditioned.
_UNARY: tuple[Callable[[Node], Node], ...] = (
    sin, cos, tanh, atan, sigmoid, softplus, negative,
    lambda x: exp(negative(square(x))), lambda x: reciprocal(add(1, square(x))),
)  # fmt: skip
_BINARY: tuple[Callable[[Node, Node], Node], ...] = (
    add, subtract, multiply, logaddexp, lambda x, y: divide(x, add(2, square(y))),
)  # fmt: skip
_REDUCE: tuple[Callable[..., Node], ...] = (sum, mean, var, logsumexp)


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 12, dtype: str = "float64") -> RandomGraph:
    """Random graphs of element-wise operations, reductions, matrix products and changes of shape, with feeds.

    Values are used several times, so adjoints have several contributions. All operations are smooth: every point is fit
    for finite differences.
    """
    side = st.integers(1, 3)
    feeds: dict[Node, Array] = {}
    nodes: list[Node] = []
    for i in range(draw(st.integers(1, 3))):
        shape = (draw(side), draw(side))
        x = placeholder(f"x{i}", shape, dtype)
        feeds[x] = draw(arrays(x.spec))
        nodes.append(x)
    for _ in range(draw(st.integers(1, max_nodes))):
        nodes.append(_grown(draw, nodes))
    # Every placeholder is used, whatever was drawn above.
    total = sum(nodes[-1])
    for x in feeds:
        total = add(total, sum(tanh(x)))
    return RandomGraph(total, feeds)


def _grown(draw: st.DrawFn, nodes: list[Node]) -> Node:
    x = draw(st.sampled_from(range(len(nodes)))) if len(nodes) > 1 else 0
    first = nodes[x]
    kind = draw(st.sampled_from(["unary", "binary", "matmul", "reduce", "shape", "softmax"]))
    if kind == "unary":
        unary: Callable[[Node], Node] = draw(st.sampled_from(_UNARY))
        return unary(first)
    if kind == "softmax":
        return softmax(first, axis=draw(st.integers(-2, -1)))
    if kind == "reduce":
        reduce: Callable[..., Node] = draw(st.sampled_from(_REDUCE))
        return reduce(first, axis=draw(st.integers(0, 1)), keepdims=True)
    if kind == "shape":
        how = draw(st.sampled_from(["transpose", "flat", "flip", "concat"]))
        if how == "transpose":
            return matrix_transpose(first)
        if how == "flat":
            return reshape(first, (-1, 1))
        return flip(first, axis=0) if how == "flip" else concat([first, negative(first)], axis=0)
    fitting = _matching(nodes, first, kind)
    second = fitting[draw(st.sampled_from(range(len(fitting))))] if len(fitting) > 1 else fitting[0]
    binary: Callable[[Node, Node], Node] = matmul if kind == "matmul" else draw(st.sampled_from(_BINARY))
    return binary(first, second)


@st.composite
def case_graphs(draw: st.DrawFn, cases: Sequence[OpCase], max_nodes: int = 5, dtype: str = "float64") -> CaseGraph:
    """Random graphs whose nodes are calls of OpCases, on inputs, on constants and on each other, with feeds.

    This is for comparing backends, and a graph with what rewriting makes of it. A case computes with results of others
    where its domain is all real numbers, as there it has neither kinks nor jumps; such operands are brought to moderate
    size. So rounding errors stay small, in the values and in the derivatives of `total`. Operands by which a case has no
    derivative are taken as constants.

    Parameters
    ----------
    cases : what to choose from, such as ``all_cases()``; those that do not take the data type are left out
    """
    fitting = [case for case in cases if dtype in case.dtypes]
    feeds: dict[Node, Array] = {}
    nodes: list[Node] = []
    outputs: list[Node] = []
    for i in range(draw(st.integers(1, max_nodes))):
        case = draw(st.sampled_from(fitting))
        _, points = draw(samples(case, dtype))
        operands = []
        for place, (domain, point) in enumerate(zip(case.domains, points, strict=True)):
            earlier = [node for node in nodes if node.spec.size == point.size] if domain is REAL else []
            kind = draw(st.sampled_from(["input", "input", "constant", *["earlier"] * 5 * bool(earlier)]))
            if kind == "earlier":
                x = reshape(tanh(earlier[draw(st.integers(0, len(earlier) - 1))]), point.shape)
            elif kind == "constant":
                x = constant(point)
            else:
                x = placeholder(f"x{i}_{place}", point.shape, point.dtype)
                feeds[x] = point
            without = case.wrt is not None and place not in case.wrt and x.dtype.is_floating
            operands.append(stop_gradient(x) if without else x)
        node = case.build(*operands)
        outputs.append(node)
        if node.dtype is as_dtype(dtype):
            nodes.append(node)
    total = constant(0.0, dtype)
    for node in nodes:
        total = add(total, sum(multiply(tanh(node), 0.5)))
    return CaseGraph(outputs, feeds, total)


def _matching(nodes: list[Node], first: Node, kind: str) -> list[Node]:
    if kind == "matmul":
        return [node for node in nodes if node.shape[0] == first.shape[1]] or [matrix_transpose(first)]
    fits = [node for node in nodes if all(a == b or 1 in (a, b) for a, b in zip(node.shape, first.shape, strict=True))]
    return fits or [broadcast_to(sum(first, keepdims=True), first.shape)]


class Discards:
    """Counts what a test throws away, and fails when that is more than a share of what it tried.

    >>> from graphnn.testing.strategies import Discards
    >>> discards = Discards(limit=0.05)
    >>> discards.check()
    """

    def __init__(self, limit: float = 0.05) -> None:
        self.limit, self.tried, self.thrown = limit, 0, 0

    def assume(self, condition: Any) -> None:
        """Throw the present example away where the condition does not hold."""
        self.tried += 1
        if not condition:
            self.thrown += 1
        assume(bool(condition))

    def check(self) -> None:
        """Raise AssertionError where more than the limit was thrown away; call it after the test."""
        if self.thrown > self.limit * max(self.tried, 20):
            raise AssertionError(f"{self.thrown} of {self.tried} examples were thrown away, more than {self.limit:.0%}")
