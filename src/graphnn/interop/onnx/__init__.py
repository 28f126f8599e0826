"""ONNX models as graphs, and graphs as ONNX models."""
