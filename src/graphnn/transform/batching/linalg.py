"""Linear algebra: all operations take stacks of matrices, and the batch is one more axis of the stack."""

from __future__ import annotations

from typing import Any

from graphnn.ir.node import Node
from graphnn.ops.decompositions import Lu, Qr
from graphnn.ops.linalg import Cholesky, Cofactor, Det, DetSign, Logabsdet, Pinv, Solve, TriangularSolve
from graphnn.ops.results import results
from graphnn.ops.spectral import Eigh, Eigvalsh, Svd, Svdvals
from graphnn.transform.batching.rules import Call, batch_rule


def _stacks(op: Any, call: Call) -> Node:
    made: Node = op(*call.operands)
    return made


def _decomposed(op: Any, call: Call) -> tuple[Node, ...]:
    return results(op, *call.operands)


def _solving(op: Any, call: Call) -> Node:
    made: Node = op(*call.aligned())  # both operands have as many axes as the solution, or fewer in front
    return made


for _class in (Cholesky, Det, Cofactor, Logabsdet, DetSign, Pinv, Eigvalsh, Svdvals):
    batch_rule.register(_class, _stacks)
for _solving_class in (Solve, TriangularSolve):
    batch_rule.register(_solving_class, _solving)
for _several_class in (Qr, Lu, Eigh, Svd):
    batch_rule.register(_several_class, _decomposed)
