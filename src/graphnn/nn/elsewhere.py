"""What people who come from other libraries type, and what to write here instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphnn.errors import UnknownNameError, nearest

LAYERS: dict[str, str] = {
    "Dense": "The fully connected layer is called Linear: nn.Linear(inputs, outputs), or nn.Linear(outputs).",
    "FullyConnected": "The fully connected layer is called Linear: nn.Linear(inputs, outputs).",
    "LazyLinear": "nn.Linear(outputs) takes its input size from its first call.",
    "Input": "Inputs are placeholders: x = gn.placeholder('x', ('batch', 784)); then y = model(x).",
    "InputLayer": "A model needs no input layer: nn.Linear(inputs, outputs) says its size, or takes it from its first call.",
    "Model": "Write a class Net(nn.Module) with a method forward(self, x), or chain layers: nn.Sequential(...).",
    "Layer": "The base class of layers and models is nn.Module; its method is forward(self, x).",
    "ModuleList": "Keep modules in a plain list: self.layers = [nn.Linear(8, 8), nn.Linear(8, 8)].",
    "ModuleDict": "Keep modules in a plain dict: self.heads = {'a': nn.Linear(8, 2)}.",
    "ParameterList": "Give each nn.Parameter an attribute of its own, or keep gn.parameter(name, array) in a list.",
    "MaxPooling2D": "It is called MaxPool2d: nn.MaxPool2d(2).",
    "AveragePooling2D": "It is called AvgPool2d: nn.AvgPool2d(2).",
    "GlobalAveragePooling2D": "It is called GlobalAvgPool, for any number of axes: nn.GlobalAvgPool().",
    "AdaptiveAvgPool2d": "nn.GlobalAvgPool() for one value a channel; for other sizes the function gn.adaptive_avg_pool.",
    "DepthwiseConv2D": "Give a convolution as many groups as channels: nn.Conv2d(8, 8, 3, groups=8).",
    "Conv2D": "It is called Conv2d: nn.Conv2d(inputs, outputs, kernel_size).",
    "BatchNormalization": "It is called BatchNorm1d, BatchNorm2d or BatchNorm3d: nn.BatchNorm2d(channels).",
    "LayerNormalization": "It is called LayerNorm: nn.LayerNorm(size).",
    "GroupNormalization": "It is called GroupNorm: nn.GroupNorm(groups, channels).",
    "InstanceNorm2d": "nn.GroupNorm with as many groups as channels, or the function gn.instance_norm.",
    "LocalResponseNorm": "It has no parameters: use the function gn.local_response_norm(x, size).",
    "MultiHeadAttention": "It is called MultiheadAttention: nn.MultiheadAttention(size, heads).",
    "HardSwish": "It is called Hardswish: nn.Hardswish(), or gn.hard_swish(x).",
    "HardSigmoid": "It is called Hardsigmoid: nn.Hardsigmoid(), or gn.hard_sigmoid(x).",
    "Activation": "Activations are modules of their own: nn.ReLU(), nn.Tanh(); or functions: gn.relu(x).",
    "Relu": "Write nn.ReLU(), or the function gn.relu(x).",
    "Swish": "It is called SiLU: nn.SiLU(), or gn.silu(x).",
    "LogSigmoid": "Write -gn.softplus(-x), which is the logarithm of the sigmoid without overflow.",
    "Lambda": "Write a class with a method forward(self, x), or apply the function to the node itself.",
    "functional": "Functions of arrays live in gn itself: gn.relu(x), gn.softmax(x).",
    "initializers": "Initializers live in nn.init: nn.init.kaiming_normal().",
    "CrossEntropyLoss": "Losses are functions: graphnn.losses.cross_entropy(logits, labels).",
    "MSELoss": "Losses are functions: graphnn.losses.mse(predictions, targets).",
    "L1Loss": "Losses are functions: graphnn.losses.mae(predictions, targets).",
    "BCELoss": "Losses are functions: graphnn.losses.binary_cross_entropy(logits, targets), on logits.",
    "BCEWithLogitsLoss": "Losses are functions: graphnn.losses.binary_cross_entropy(logits, targets), on logits.",
    "NLLLoss": "Use graphnn.losses.cross_entropy(logits, labels), without a softmax in the model.",
    "Buffer": "A value that is kept but not trained is a state: gn.state(name, value).",
}

MODULE: dict[str, str] = {
    "train": "A module has no mode. Say it at the call, model(x, training=True); gn.Trainer does so by itself.",
    "eval": "A module has no mode. model(x) is the model in use; model(x, training=True) is the one to train.",
    "training": "A module has no mode; inside forward ask nn.is_training().",
    "backward": "Derivatives are graphs: gn.grad(loss, model.parameters()).",
    "zero_grad": "Gradients are values, nothing is accumulated, so there is nothing to reset.",
    "compile": "Give loss, optimizer and metrics to the trainer: gn.Trainer(model, loss=..., optimizer=...).",
    "fit": "Use the trainer: gn.Trainer(model, loss=..., optimizer=...).fit(x, y, epochs=5).",
    "evaluate": "Use the trainer: gn.Trainer(model, ...).evaluate(x, y).",
    "predict": "Use the trainer, trainer.predict(x), or gn.evaluate(model(x), {x: array}).",
    "summary": "It is a function: gn.summary(model).",
    "add": "A Sequential is fixed. Make a new one: nn.Sequential(*model, layer).",
    "append": "A Sequential is fixed. Make a new one: nn.Sequential(*model, layer).",
    "layers": "Go over its layers: list(model) for a Sequential, model.named_modules() for any module.",
    "modules": "Use model.named_modules(), a dict from path to module.",
    "children": "Use model.named_modules(), a dict from path to module.",
    "weights": "Use model.named_parameters(), a dict from path to parameter.",
    "get_weights": "Use model.get_values(), a dict from path to array.",
    "set_weights": "Use model.set_values({path: array}).",
    "trainable_weights": "Use [w for w in model.parameters() if w.trainable].",
    "trainable": "Use model.freeze() and model.unfreeze(), or parameter.trainable = False for one.",
    "requires_grad_": "Use model.freeze() and model.unfreeze(), or parameter.trainable = False for one.",
    "state_dict": "Use model.get_values(), a dict from path to array.",
    "load_state_dict": "Use model.set_values({path: array}).",
    "named_buffers": "They are called states: model.named_states().",
    "buffers": "They are called states: model.states().",
    "register_buffer": "Assign it: self.mean = gn.state('mean', array).",
    "register_parameter": "Assign it: self.w = nn.Parameter(nn.init.kaiming_normal(), (784, 10)).",
    "to": "Parameters live in NumPy arrays. Choose a backend when compiling: gn.function(..., backend=...).",
    "cuda": "Parameters live in NumPy arrays. Choose a backend when compiling: gn.function(..., backend=...).",
    "build": "Call the model on a placeholder; sizes that are not given are taken from it.",
    "call": "The method to write is forward(self, x); the module itself is called: model(x).",
    "apply": "Call the model itself: model(x). It holds its parameters.",
    "kernel": "The weight matrix of a layer is layer.weight, its bias layer.bias.",
}


def unknown(what: str, name: str, table: Mapping[str, str], known: Iterable[str]) -> UnknownNameError | AttributeError:
    """The error for a name that `what` does not have: from the table, or with the nearest known name."""
    if name.startswith("__"):  # Python itself asks for these, and expects a plain answer
        return AttributeError(f"{what} has no attribute {name!r}")
    public = sorted(word for word in known if not word.startswith("_"))
    return UnknownNameError(f"{what} has no {name!r}", table.get(name) or nearest(name, public))


def check_options(what: str, unknown: Mapping[str, object], table: Mapping[str, str], known: Iterable[str]) -> None:
    """Refuse keyword arguments that `what` does not take, with the name that they have here.

    Raises
    ------
    UnknownNameError
        If there are any.
    """
    for name in unknown:
        hint = table.get(name) or nearest(name, known)
        raise UnknownNameError(f"{what} takes no argument {name!r}", hint, f"It takes {', '.join(known)}.")
