"""The way out of operations with several results: each result is a node that reads the bundle of all."""

from __future__ import annotations

from graphnn.errors import GraphError
from graphnn.ir.node import Node
from graphnn.ir.op import Multi, Op
from graphnn.ir.spec import Bundle, Spec


class Result(Op):
    """One of the results of an operation with several"""

    index: int
    latex, python = r"{{{0:100}}}_{{[{index}]}}", "{0:100}[{index}]"

    def infer(self, *specs: Spec) -> Spec:
        (bundle,) = specs
        if not isinstance(bundle, Bundle):
            raise GraphError(f"result: {bundle} is a single value, not several results")
        return bundle.parts[self.index]


def results(op: Multi, *operands: Node) -> tuple[Node, ...]:
    """The results of an operation with several, as nodes."""
    bundle = op(*operands)
    return results_of(bundle)


def results_of(bundle: Node) -> tuple[Node, ...]:
    """The results of the node of such an operation."""
    spec = bundle.spec
    assert isinstance(spec, Bundle)
    return tuple([Result(i)(bundle) for i in range(len(spec.parts))])
