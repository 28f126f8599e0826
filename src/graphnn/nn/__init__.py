"""Layers and models: modules that hold parameters and build graphs.

Floor 7: an ordinary user of graphs, without any power of its own. A module adds nodes to a graph when it is called;
training is a compiled function with updates, see `graphnn.optim` and `graphnn.Trainer`.

A file is loaded when something of it is asked for: losses and optimisers need `Module` alone, who uses them without layers
need not load all layers.
"""

import importlib
from typing import TYPE_CHECKING, Any

from graphnn.nn.elsewhere import LAYERS, unknown

if TYPE_CHECKING:
    from graphnn.nn import init
    from graphnn.nn.activations import (
        CELU,
        ELU,
        GELU,
        SELU,
        Hardsigmoid,
        Hardswish,
        LeakyReLU,
        LogSoftmax,
        Mish,
        PReLU,
        ReLU,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        Softsign,
        Tanh,
    )
    from graphnn.nn.attention import MultiheadAttention
    from graphnn.nn.calls import is_training
    from graphnn.nn.convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
    from graphnn.nn.declared import Parameter
    from graphnn.nn.layers import Dropout, Embedding, Flatten, Identity, Linear
    from graphnn.nn.module import Module
    from graphnn.nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm, RMSNorm
    from graphnn.nn.pooling import AvgPool1d, AvgPool2d, AvgPool3d, GlobalAvgPool, MaxPool1d, MaxPool2d, MaxPool3d
    from graphnn.nn.recurrent import GRU, LSTM, RNN
    from graphnn.nn.sequential import Sequential

__all__ = [
    "Module", "Parameter", "Sequential", "is_training", "init",
    "Linear", "Embedding", "Dropout", "Flatten", "Identity", "MultiheadAttention",
    "LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d",
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
    "MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "GlobalAvgPool",
    "RNN", "LSTM", "GRU",
    "ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Softplus", "Sigmoid", "Tanh", "Softmax", "LogSoftmax",
    "PReLU", "CELU", "Mish", "Hardsigmoid", "Hardswish", "Softsign",
]  # fmt: skip

_FILES = {
    "activations": (
        "CELU ELU GELU SELU Hardsigmoid Hardswish LeakyReLU LogSoftmax Mish PReLU ReLU Sigmoid SiLU Softmax "
        "Softplus Softsign Tanh"
    ),
    "attention": "MultiheadAttention",
    "calls": "is_training",
    "convolution": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "declared": "Parameter",
    "layers": "Dropout Embedding Flatten Identity Linear",
    "module": "Module",
    "normalization": "BatchNorm1d BatchNorm2d BatchNorm3d GroupNorm LayerNorm RMSNorm",
    "pooling": "AvgPool1d AvgPool2d AvgPool3d GlobalAvgPool MaxPool1d MaxPool2d MaxPool3d",
    "recurrent": "GRU LSTM RNN",
    "sequential": "Sequential",
}
_PLACES = {name: file for file, names in _FILES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "init":
        return importlib.import_module("graphnn.nn.init")
    if name not in _PLACES:
        raise unknown("graphnn.nn", name, LAYERS, __all__)
    value = globals()[name] = getattr(importlib.import_module(f"graphnn.nn.{_PLACES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
