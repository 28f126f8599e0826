"""Kernel of the scatter that multiplies or compares."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ops.updates import ScatterReduce

_COMBINE: dict[str, Any] = {"multiply": np.multiply, "max": np.maximum, "min": np.minimum}


@lower.register
def _(op: ScatterReduce, node: Node) -> Kernel:
    combine = _COMBINE[op.kind]

    def kernel(x: Any, values: Any, index: Any) -> Any:
        out = np.array(x, np.result_type(x, values))
        combine.at(out, index, values)
        return out

    return in_float32(kernel, node, also_float16=op.kind == "multiply")
