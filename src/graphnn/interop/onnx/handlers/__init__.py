"""How each ONNX operator becomes nodes: a function an operator, a file a group. Importing it fills the table of operators."""

from graphnn.interop.onnx.handlers import (
    activation,
    attention,
    control,
    convolution,
    creation,
    elementwise,
    indexing,
    linear_attention,
    losses,
    movement,
    normalization,
    pooling,
    quantization,
    randomness,
    recurrent,
    reduction,
    resize,
    sequences,
    signal,
    training,
    vision,
)

__all__ = [
    "activation", "attention", "control", "convolution", "creation", "elementwise", "indexing", "linear_attention",
    "losses", "movement", "normalization", "pooling", "quantization", "randomness", "recurrent", "reduction", "resize",
    "sequences", "signal", "training", "vision",
]  # fmt: skip
