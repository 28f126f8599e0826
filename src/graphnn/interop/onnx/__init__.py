"""ONNX models as graphs: `load` makes a function of a model."""

from graphnn.interop.onnx.loaded import OnnxFunction, OnnxModule, load

__all__ = ["OnnxFunction", "OnnxModule", "load"]
