"""How each ONNX operator becomes nodes: a function an operator, a file a group. Importing it fills the table of operators."""

from graphnn.interop.onnx.handlers import (
    activation,
    attention,
    control,
    convolution,
    elementwise,
    indexing,
    losses,
    movement,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
    signal,
    training,
    vision,
)

__all__ = [
    "activation", "attention", "control", "convolution", "elementwise", "indexing", "losses", "movement", "normalization",
    "pooling", "recurrent", "reduction", "resize", "signal", "training", "vision",
]  # fmt: skip
