"""Composites that ONNX has under a name of its own."""

from __future__ import annotations

from typing import Any

from graphnn.interop.onnx.exports.reduction import reduce
from graphnn.interop.onnx.writer import Writer, named
from graphnn.ir.dtype import float32
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axes
from graphnn.ops.composite import Composite


def options_of(op: Composite) -> dict[str, Any]:
    """The options of a call of a composite."""
    return dict(op.options)


@named("relu")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Relu", x) if node.dtype.is_floating else None


@named("leaky_relu")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("LeakyRelu", x, alpha=float(options_of(op)["negative_slope"])) if node.dtype is float32 else None


@named("elu")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Elu", x, alpha=float(options_of(op)["alpha"])) if node.dtype is float32 else None


@named("selu")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Selu", x) if node.dtype is float32 else None


@named("sigmoid")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Sigmoid", x)


@named("softplus")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Softplus", x) if node.dtype is float32 else None


@named("softsign")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Softsign", x) if node.dtype is float32 else None


@named("mish")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Mish", x) if node.dtype is float32 else None


@named("hard_swish")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("HardSwish", x) if node.dtype is float32 else None


@named("hard_sigmoid")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    options = options_of(op)
    if node.dtype is not float32:
        return None
    return out.emit("HardSigmoid", x, alpha=float(options["slope"]), beta=float(options["offset"]))


@named("gelu")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Gelu", x, approximate=options_of(op)["approximate"]) if node.dtype is float32 else None


@named("softmax")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("Softmax", x, axis=options_of(op)["axis"])


@named("log_softmax")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return out.emit("LogSoftmax", x, axis=options_of(op)["axis"])


def _reduced(operator: str, op: Composite, node: Node, out: Writer, x: str) -> str | None:
    options = options_of(op)
    if not node.dtype.is_floating:
        return None
    axes = normalize_axes(op.name, options["axis"], node.inputs[0].ndim)
    return reduce(out, operator, node.dtype, x, axes, options["keepdims"]) if axes else None


@named("mean")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return _reduced("ReduceMean", op, node, out, x)


@named("logsumexp")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return _reduced("ReduceLogSumExp", op, node, out, x)
