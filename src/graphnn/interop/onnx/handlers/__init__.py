"""How each ONNX operator becomes nodes: a function an operator, a file a group."""
