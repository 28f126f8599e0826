"""Batching: a graph for one element becomes a graph for a batch of them, op by op. Files mirror `graphnn.ops`.

How to write a rule
-------------------
Register a function for the class of the op; it gets the op and a `Call`, and gives the node for the whole batch::

    @batch_rule.register
    def _(op: Cholesky, call: Call) -> Node:
        return op(*call.operands)  # the axes before the last two are a batch already

- At least one operand is batched: ``call.batched`` tells which. A batched operand has the axis of the batch in front of
  its own axes, and so must the result. All other operands are as they were, and belong to every element.
- Do not repeat an operand that is not batched unless the op cannot do without: ``call.spread(i)`` does it.
  ``call.aligned()`` gives operands that broadcast as they did before.
- ``call.node`` is the node for one element (its spec, its operands), ``call.size`` the size of the batch, which may be a
  name. A rule builds nodes only, and never asks for the number of a named size.
- A result that is the same for all elements is given as ``Alone(node)``; an op with several results gives a list.
- Lines, scopes and names are seen to, and the spec of the result is checked.

Where the class has no rule, nor any of its bases, the elements are computed one by one and stacked.
"""

from graphnn.transform.batching import (
    composite,
    contraction,
    control,
    elementwise,
    host,
    indexing,
    linalg,
    movement,
    random,
    reduction,
    sorting,
    windows,
)
from graphnn.transform.batching.rules import Alone, Call, batch, batch_rule

__all__ = [
    "Alone",
    "Call",
    "batch",
    "batch_rule",
    "composite",
    "contraction",
    "control",
    "elementwise",
    "host",
    "indexing",
    "linalg",
    "movement",
    "random",
    "reduction",
    "sorting",
    "windows",
]
