"""How each operation is written as ONNX nodes: a function an operation, files that mirror `graphnn.ops`."""

from graphnn.interop.onnx.exports import composites, convolution, elementwise, movement, reduction

__all__ = ["composites", "convolution", "elementwise", "movement", "reduction"]
