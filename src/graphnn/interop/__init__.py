"""Networks from and for other tools: `graphnn.interop.onnx`."""

import importlib
from typing import TYPE_CHECKING, Any

from graphnn.errors import UnknownNameError

if TYPE_CHECKING:
    from graphnn.interop import onnx

__all__ = ["onnx"]


def __getattr__(name: str) -> Any:
    if name != "onnx":
        raise UnknownNameError(f"graphnn.interop has no {name!r}", "There is graphnn.interop.onnx.")
    return importlib.import_module("graphnn.interop.onnx")
