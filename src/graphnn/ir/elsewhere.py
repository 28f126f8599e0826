"""What people coming from other libraries ask of a node, and what to write here instead."""

ELSEWHERE = {
    "backward": "A graph has no gradients inside. Build them: dw = gn.grad(loss, w).",
    "grad": "A node holds no gradient. Build one: dw = gn.grad(loss, node).",
    "item": "A node has no value yet. Compute one: float(gn.evaluate(node, {x: array})).",
    "numpy": "A node has no value yet. Compute one: gn.evaluate(node, {x: array}).",
    "eval": "Use gn.evaluate(node, {x: array}).",
    "detach": "Use gn.stop_gradient(node).",
    "view": "Use node.reshape(shape).",
    "permute": "Use gn.permute_dims(node, axes).",
    "transpose": "Use gn.permute_dims(node, axes), node.T or node.mT.",
    "unsqueeze": "Use gn.expand_dims(node, axis=axis).",
    "size": "Use node.shape, or gn.dim_size(node, axis) inside the graph.",
    "float": "Use node.astype('float32').",
    "long": "Use node.astype('int64').",
    "to": "Use node.astype(dtype).",
    "cuda": "Choose a backend when compiling: gn.function(..., backend=...).",
    "value": "Only parameters and states hold values. Compute one: gn.evaluate(node, {x: array}).",
    "data": "Only parameters and states hold values: parameter.value.",
    "requires_grad": "Every floating-point node can be differentiated: gn.grad(loss, node).",
    "assign": "Nodes are immutable. Give gn.function(..., updates={w: new_value}).",
}
