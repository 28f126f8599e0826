"""Products: the batch is one more letter, of the operands that have it and of the result."""

from __future__ import annotations

import string

from graphnn.errors import GraphError
from graphnn.ir.node import Node
from graphnn.ops.contraction import Contract
from graphnn.transform.batching.rules import Call, batch_rule


@batch_rule.register
def _(op: Contract, call: Call) -> Node:
    used = {*op.left, *op.right}
    letter = next((letter for letter in string.ascii_letters if letter not in used), None)
    if letter is None:
        raise GraphError(f"vmap: {op.name} has {len(used)} axes, more than there are letters", "Join some of them.")
    left, right = (
        letter + letters if on else letters for letters, on in zip((op.left, op.right), call.batched, strict=True)
    )
    return Contract(left, right, letter + op.result)(*call.operands)
