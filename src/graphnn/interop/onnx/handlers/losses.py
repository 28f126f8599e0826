"""Losses of classes."""

from __future__ import annotations

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.node import Node


def _of_labels(call: Call, log_p: Node, labels: Node, weight: Node | None) -> Node:
    """What the log-probabilities ``[batch, classes, ...]`` of labels ``[batch, ...]`` cost, reduced."""
    reduction = call.text("reduction", "mean")
    if reduction not in ("none", "mean", "sum"):
        raise call.error(f"reduction is none, mean or sum, not {reduction!r}")
    if log_p.ndim < 2 or labels.shape != (log_p.shape[0], *log_p.shape[2:]):
        raise call.error(f"the labels {labels.spec} do not fit {log_p.spec}")
    if weight is not None and weight.shape != (log_p.shape[1],):
        raise call.error(f"the weights {weight.spec} do not fit the classes of {log_p.spec}")
    index, kept = labels.astype("int64"), None
    if "ignore_index" in call.attributes:
        kept = index != call.integer("ignore_index")
        index = gn.where(kept, index, 0)
    # A negative class number would count from the end: moved out of range it is the error that it is.
    index = gn.where(index < 0, index - gn.dim_size(log_p, 1), index)
    losses = -gn.squeeze(gn.take_along_axis(log_p, gn.expand_dims(index, axis=1), axis=1), axis=1)
    share = None if weight is None else gn.take(weight, index, axis=0)
    if share is not None:
        losses = losses * share
    if kept is not None:
        losses = gn.where(kept, losses, 0)
        share = kept.astype(log_p.dtype) if share is None else gn.where(kept, share, 0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return gn.sum(losses)
    return gn.mean(losses) if share is None else gn.sum(losses) / gn.sum(share)


@onnx_op("NegativeLogLikelihoodLoss", since=12)
def negative_log_likelihood(call: Call, log_p: Node, labels: Node, weight: Node | None = None) -> Node:
    """Minus the log-probability of the label."""
    return _of_labels(call, log_p, labels, weight)


@onnx_op("SoftmaxCrossEntropyLoss", since=12)
def softmax_cross_entropy(call: Call, scores: Node, labels: Node, weight: Node | None = None) -> tuple[Node, Node]:
    """Minus the logarithm of the softmax at the label; and the logarithms."""
    if scores.ndim < 2:
        raise call.error(f"scores [batch, classes, ...] are needed, not {scores.spec}")
    log_p = gn.log_softmax(scores, axis=1)
    return _of_labels(call, log_p, labels, weight), log_p
