r"""Losses: how far the outputs of a model are from what they should be, as a node to minimise.

Each is a function ``(outputs, targets)`` of nodes, and a composite: pictures show one box, which opens to its formula.
``reduction="mean"`` averages over all elements or examples, ``"sum"`` adds them up, ``"none"`` keeps one loss for each.
Losses for classes take logits, the numbers before any softmax or sigmoid: only so can they be exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.functions.activations import log_softmax, softmax, softplus
from graphnn.functions.creation import one_hot, size_node
from graphnn.functions.statistics import mean
from graphnn.ir.dims import product
from graphnn.ir.dtype import DType, int64
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent
from graphnn.ir.spec import Shape, shape_text
from graphnn.nn.elsewhere import unknown
from graphnn.nn.module import Module
from graphnn.ops.arithmetic import abs, maximum, square
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.composite import composite
from graphnn.ops.indexing import take_along_axis
from graphnn.ops.movement import broadcast_to, expand_dims, squeeze
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import sum

__all__ = ["mse", "mae", "huber", "binary_cross_entropy", "cross_entropy", "l1_penalty", "l2_penalty"]

REDUCTIONS = ("mean", "sum", "none")


@composite(latex=r"\operatorname{{mse}}\left({0}, {1}\right)")
def mse(predictions: Operand, targets: Operand, /, *, reduction: str = "mean") -> Node:
    """Mean squared error ``mean((predictions - targets)**2)``.

    Parameters
    ----------
    predictions : floating-point, any shape
    targets : the same shape; whole numbers are taken as floating-point
    reduction : ``"mean"`` (over all elements), ``"sum"`` or ``"none"``

    Raises
    ------
    ShapeError
        If the shapes differ, even where they would broadcast.

    >>> from graphnn import losses
    >>> gn.evaluate(losses.mse([1.0, 2.0], [1.0, 4.0]))
    array(2., dtype=float32)
    """
    y, t = _pair("mse", predictions, targets)
    return _reduced("mse", square(y - t), reduction)


@composite(latex=r"\operatorname{{mae}}\left({0}, {1}\right)")
def mae(predictions: Operand, targets: Operand, /, *, reduction: str = "mean") -> Node:
    """Mean absolute error ``mean(abs(predictions - targets))``; its derivative is 0 where they are equal.

    Parameters and errors are those of `mse`.

    >>> from graphnn import losses
    >>> gn.evaluate(losses.mae([1.0, 2.0], [1.0, 4.0]))
    array(1., dtype=float32)
    """
    y, t = _pair("mae", predictions, targets)
    return _reduced("mae", abs(y - t), reduction)


@composite(latex=r"\operatorname{{huber}}\left({0}, {1}\right)")
def huber(predictions: Operand, targets: Operand, /, *, delta: float = 1.0, reduction: str = "mean") -> Node:
    """Squares near 0 and distances far from it: ``r**2 / 2`` for abs(r) up to delta, else ``delta * (abs(r) - delta / 2)``.

    Single targets that are far off count less than for `mse`. Other parameters and errors are those of `mse`.

    Source: Huber, "Robust estimation of a location parameter", 1964.

    >>> from graphnn import losses
    >>> gn.evaluate(losses.huber([0.0, 0.0], [1.0, 3.0], reduction="none"))
    array([0.5, 2.5], dtype=float32)
    """
    if isinstance(delta, bool) or not isinstance(delta, (int, float)) or not 0 < delta < math.inf:
        raise GraphError(f"huber: delta is a positive number, not {delta!r}")
    y, t = _pair("huber", predictions, targets)
    # The part of the distance up to delta, which counts squared; at delta both parts have the same derivative.
    distance = abs(y - t)
    near = where(distance > delta, delta, distance)
    return _reduced("huber", near * (distance - 0.5 * near), reduction)


@composite(latex=r"\operatorname{{binary\_cross\_entropy}}\left({0}, {1}\right)")
def binary_cross_entropy(logits: Operand, targets: Operand, /, *, reduction: str = "mean") -> Node:
    """Cross-entropy of yes-or-no answers: ``-t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x))``.

    It is computed as ``t * softplus(-x) + (1 - t) * softplus(x)``, without overflow or cancellation for any x.

    Parameters
    ----------
    logits : floating-point, any shape; the numbers before the sigmoid
    targets : the same shape; 0 and 1, False and True, or probabilities
    reduction : ``"mean"`` (over all elements), ``"sum"`` or ``"none"``

    Raises
    ------
    ShapeError
        If the shapes differ, even where they would broadcast.

    >>> from graphnn import losses
    >>> gn.evaluate(losses.binary_cross_entropy([0.0, 10000.0], [1, 1], reduction="none")).round(4)
    array([0.6931, 0.    ], dtype=float32)
    """
    x, t = _pair("binary_cross_entropy", logits, targets)
    return _reduced("binary_cross_entropy", t * softplus(-x) + (1 - t) * softplus(x), reduction)


@composite(latex=r"\operatorname{{cross\_entropy}}\left({0}, {1}\right)")
def cross_entropy(
    logits: Operand,
    labels: Operand,
    /,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Node:
    """Cross-entropy of classes: ``-log(softmax(logits)[label])``, or ``-sum(p * log(softmax(logits)))``.

    Parameters
    ----------
    logits : floating-point ``[..., classes]``; the numbers before the softmax
    labels : class numbers, integers ``[...]``; or probabilities, floating-point ``[..., classes]``
    reduction : ``"mean"`` (over the examples), ``"sum"`` or ``"none"``, which gives ``[...]``
    label_smoothing : this share of each target is spread equally over all classes
    ignore_index : the class number that stands for no label, such as that of a padding: it costs nothing, and the mean is over
        the others; 0 where there are none

    Returns
    -------
    Node
        Its derivative by the logits is ``softmax(logits) - p`` for each example.

    Raises
    ------
    ShapeError, DTypeError
        If the labels are neither class numbers nor probabilities for these logits, or there is only one class.
    IndexRangeError
        At the call, if a class number is negative or too large.

    Source of the smoothing: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture", CVPR 2016.

    >>> from graphnn import losses
    >>> gn.evaluate(losses.cross_entropy([[0.0, 0.0], [0.0, 10000.0]], [1, 0], reduction="none")).round(4)
    array([6.931e-01, 1.000e+04], dtype=float32)
    """
    x, t = as_node(logits), as_node(labels)
    _check_classes(x, t)
    if not 0 <= label_smoothing <= 1:
        raise GraphError(f"cross_entropy: label_smoothing is from 0 to 1, not {label_smoothing!r}")
    kept = _kept(t, ignore_index)
    log_p = log_softmax(x)
    if t.dtype.is_integer:
        index = astype(t, int64)
        index = index if kept is None else where(kept, index, 0)
        # Negative indices would count from the end. Moved out of range, a negative class number is an error as it should be.
        index = where(index < 0, index - size_node(x.shape[-1], int64), index)
        losses = -squeeze(take_along_axis(log_p, expand_dims(index, axis=t.ndim), axis=-1), axis=-1)
    else:  # a class that cannot be, p = 0, costs nothing, even where its logit is -inf
        losses = -sum(where(t == 0, 0, t * log_p), axis=-1)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * mean(log_p, axis=-1)
    if kept is None:
        return _reduced("cross_entropy", losses, reduction)
    losses = where(kept, losses, 0)
    if reduction != "mean":
        return _reduced("cross_entropy", losses, reduction)
    return sum(losses) / _count(kept, losses.dtype)


@cross_entropy.rule
def _(
    g: Node,
    logits: Node,
    labels: Node,
    *,
    out: Node,
    reduction: str,
    label_smoothing: float,
    ignore_index: int | None,
) -> tuple[Cotangent, ...]:
    kept = _kept(labels, ignore_index)
    if kept is None:
        share = _shares(g, logits.shape[:-1], reduction)
    else:
        each = g / _count(kept, g.dtype) if reduction == "mean" else g
        share = expand_dims(where(kept, each, 0), axis=labels.ndim)
    probabilities, of_labels = softmax(logits), None
    if labels.dtype.is_integer:
        target = one_hot(astype(labels, int64), logits.shape[-1], dtype=logits.dtype)
    else:  # they need not sum to 1 for this to be the derivative
        target, total = labels, sum(labels, axis=-1, keepdims=True)
        of_labels = share * (label_smoothing - 1) * log_softmax(logits)
        probabilities = probabilities * ((1 - label_smoothing) * total + label_smoothing if label_smoothing else total)
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / size_node(logits.shape[-1], logits.dtype)
    return share * (probabilities - target), of_labels


def _kept(labels: Node, ignore_index: int | None) -> Node | None:
    """Which labels count; None where all do."""
    if ignore_index is None:
        return None
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise GraphError(f"cross_entropy: ignore_index is a class number, not {ignore_index!r}")
    if not labels.dtype.is_integer:
        raise GraphError(
            "cross_entropy: ignore_index is for labels that are class numbers, not for probabilities",
            "Rows of zeros cost nothing as they are.",
        )
    return astype(labels, int64) != ignore_index


def _count(kept: Node, dtype: DType) -> Node:
    return maximum(sum(astype(kept, dtype)), 1)


def _check_classes(logits: Node, labels: Node) -> None:
    example = "Class numbers are integers [batch] for logits [batch, classes]."
    if not logits.dtype.is_floating:
        raise DTypeError(f"cross_entropy: logits are floating-point numbers, not {logits.dtype}", example)
    if logits.ndim == 0:
        raise ShapeError("cross_entropy: logits need an axis of classes, but are a single number", example)
    classes, whole = logits.shape, labels.shape
    if classes[-1] == 1 and whole in (classes, classes[:-1]):
        raise ShapeError(
            f"cross_entropy: {_logits(classes)} have one class only, so the loss would never depend on them",
            "For yes-or-no answers use binary_cross_entropy, with targets of the same shape.",
        )
    if labels.dtype.is_integer:
        if whole == classes[:-1]:
            return
        hint = example
        if whole == classes and len(classes) == 1:
            hint = "For yes-or-no answers use binary_cross_entropy."
        elif whole == classes:
            hint = (
                "One-hot labels are floating-point, labels.astype('float32'); or give class numbers, labels.argmax(-1)."
            )
        elif whole == (*classes[:-1], 1):
            hint = "Take the last axis away: labels[:, 0]."
        raise ShapeError(f"cross_entropy: class numbers {shape_text(whole)} do not fit {_logits(classes)}", hint)
    if labels.dtype.is_floating:
        if whole == classes:
            return
        if whole == classes[:-1]:
            raise DTypeError(
                f"cross_entropy: class numbers are integers, not {labels.dtype}", "Cast them: labels.astype('int64')."
            )
        raise ShapeError(
            f"cross_entropy: probabilities {shape_text(whole)} do not fit {_logits(classes)}",
            "Probabilities have the shape of the logits; class numbers are integers of one axis less.",
        )
    raise DTypeError(
        f"cross_entropy: labels are integers or probabilities, not {labels.dtype}",
        "For yes-or-no answers use binary_cross_entropy; else cast them: labels.astype('int64').",
    )


def _logits(shape: Shape) -> str:
    return f"logits {shape_text(shape)}"


def _pair(name: str, outputs: Operand, targets: Operand) -> tuple[Node, Node]:
    """Both as nodes of one shape and of a floating-point type."""
    y, t = as_node(outputs), as_node(targets)
    if not y.dtype.is_floating:
        raise DTypeError(
            f"{name} takes floating-point outputs, not {y.dtype}", f"The order is {name}(outputs, targets)."
        )
    if y.shape != t.shape:
        wide, narrow = sorted((y.shape, t.shape), key=len, reverse=True)
        hint = "Both must have the same shape; nothing is broadcast here."
        if wide == (*narrow, 1):
            fix = "outputs[:, 0]" if y.shape == wide else "targets[:, 0]"
            other = "targets[:, None]" if y.shape == wide else "outputs[:, None]"
            hint = f"Broadcast, every output would meet every target. Use {fix}, or {other}."
        raise ShapeError(
            f"{name}: outputs {shape_text(y.shape)} and targets {shape_text(t.shape)} differ in shape", hint
        )
    return y, t if t.dtype.is_floating else astype(t, y.dtype)


def _reduced(name: str, values: Node, reduction: str) -> Node:
    if reduction == "mean":
        return mean(values)
    if reduction == "sum":
        return sum(values)
    if reduction == "none":
        return values
    raise GraphError(f"{name}: reduction is {', '.join(map(repr, REDUCTIONS[:2]))} or 'none', not {reduction!r}")


def _shares(g: Node, shape: Shape, reduction: str) -> Node:
    """What the loss of each example counts, ``[..., 1]``, for the cotangent of the reduced loss."""
    if reduction == "none":
        return expand_dims(g, axis=g.ndim)
    return broadcast_to(g / size_node(product(shape), g.dtype) if reduction == "mean" else g, (*shape, 1))


def l1_penalty(params: Any, strength: float = 1.0) -> Node:
    """``strength * sum(abs(w))`` over all elements of all parameters: drives small weights to zero.

    Parameters
    ----------
    params : a module, whose parameters are all taken, or a node, or a list, tuple or dict of nodes
    strength : the factor

    >>> from graphnn import losses
    >>> w = gn.parameter("w", [1.0, -2.0])
    >>> gn.evaluate(losses.l1_penalty([w], 0.1)).round(4)
    np.float32(0.3)
    """
    return strength * _total("l1_penalty", [sum(abs(node)) for node in _nodes(params)])


def l2_penalty(params: Any, strength: float = 1.0) -> Node:
    """``strength / 2 * sum(w**2)`` over all elements of all parameters; its derivative is ``strength * w``.

    With plain gradient descent it does the same as ``weight_decay=strength`` of `graphnn.optim.SGD`.

    Parameters
    ----------
    params : a module, whose parameters are all taken, or a node, or a list, tuple or dict of nodes
    strength : the factor

    >>> from graphnn import losses
    >>> w = gn.parameter("w", [1.0, -2.0])
    >>> gn.evaluate(losses.l2_penalty([w], 0.1)).round(4)
    np.float32(0.25)
    """
    return (0.5 * strength) * _total("l2_penalty", [sum(square(node)) for node in _nodes(params)])


def _nodes(params: Any) -> list[Node]:
    if isinstance(params, Module):
        return list(params.parameters())
    if isinstance(params, Node):
        return [params]
    listed: Iterable[Any] = params.values() if isinstance(params, Mapping) else params
    return [as_node(item) for item in listed]


def _total(name: str, terms: list[Node]) -> Node:
    if not terms:
        raise GraphError(f"{name}: there are no parameters", "Give a module, a parameter or a list of parameters.")
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


_ELSEWHERE = {
    "CrossEntropyLoss": "Losses are functions: losses.cross_entropy(logits, labels).",
    "CategoricalCrossentropy": "Write losses.cross_entropy(logits, probabilities), on logits: no softmax before it.",
    "SparseCategoricalCrossentropy": "Write losses.cross_entropy(logits, labels), on logits: no softmax before it.",
    "categorical_crossentropy": "Write losses.cross_entropy(logits, probabilities), on logits: no softmax before it.",
    "sparse_categorical_crossentropy": "Write losses.cross_entropy(logits, labels), on logits: no softmax before it.",
    "softmax_cross_entropy": "Write losses.cross_entropy(logits, labels).",
    "softmax_cross_entropy_with_integer_labels": "Write losses.cross_entropy(logits, labels).",
    "nll_loss": "Write losses.cross_entropy(logits, labels), without a log_softmax in the model.",
    "NLLLoss": "Write losses.cross_entropy(logits, labels), without a log_softmax in the model.",
    "crossentropy": "Write losses.cross_entropy(logits, labels).",
    "binary_crossentropy": "Write losses.binary_cross_entropy(logits, targets), on logits: no sigmoid before it.",
    "BinaryCrossentropy": "Write losses.binary_cross_entropy(logits, targets), on logits: no sigmoid before it.",
    "BCELoss": "Write losses.binary_cross_entropy(logits, targets), on logits: no sigmoid before it.",
    "BCEWithLogitsLoss": "Write losses.binary_cross_entropy(logits, targets).",
    "binary_cross_entropy_with_logits": "Write losses.binary_cross_entropy(logits, targets).",
    "sigmoid_binary_cross_entropy": "Write losses.binary_cross_entropy(logits, targets).",
    "MSELoss": "Losses are functions: losses.mse(predictions, targets).",
    "mse_loss": "Write losses.mse(predictions, targets).",
    "mean_squared_error": "Write losses.mse(predictions, targets).",
    "MeanSquaredError": "Losses are functions: losses.mse(predictions, targets).",
    "squared_error": "Write losses.mse(predictions, targets, reduction='none').",
    "L1Loss": "Losses are functions: losses.mae(predictions, targets).",
    "l1_loss": "Write losses.mae(predictions, targets).",
    "HuberLoss": "Losses are functions: losses.huber(predictions, targets, delta=1.0).",
    "huber_loss": "Write losses.huber(predictions, targets, delta=1.0).",
    "SmoothL1Loss": "Write losses.huber(predictions, targets, delta=1.0).",
    "smooth_l1_loss": "Write losses.huber(predictions, targets, delta=1.0).",
    "mean_absolute_error": "Write losses.mae(predictions, targets).",
    "MeanAbsoluteError": "Losses are functions: losses.mae(predictions, targets).",
    "l1": "Write losses.l1_penalty(params, strength).",
    "l2": "Write losses.l2_penalty(params, strength).",
}


def __getattr__(name: str) -> Any:
    raise unknown("graphnn.losses", name, _ELSEWHERE, __all__)
