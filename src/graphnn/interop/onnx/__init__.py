"""ONNX models as graphs, and graphs as ONNX models.

`load` makes a function of a model, with its graph; `save` writes one. Both need the package onnx, ``graphnn[onnx]``.
"""

from graphnn.interop.onnx.loaded import OnnxFunction, OnnxModule, load
from graphnn.interop.onnx.saving import save

__all__ = ["OnnxFunction", "OnnxModule", "load", "save"]
