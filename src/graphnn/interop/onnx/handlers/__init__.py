"""How each ONNX operator becomes nodes: a function an operator, a file a group."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
