"""Layers with parameters or states of their own, and those that only move elements."""

from __future__ import annotations

from typing import Any

from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.functions.manipulation import flatten
from graphnn.functions.sampling import dropout
from graphnn.ir.dims import as_size
from graphnn.ir.dtype import as_dtype, int64
from graphnn.ir.leaves import Variable
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import Shape, shape_text
from graphnn.nn import init as initializers
from graphnn.nn.calls import is_training, next_draw
from graphnn.nn.declared import Parameter, Stream
from graphnn.nn.elsewhere import check_options
from graphnn.nn.module import Module
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.contraction import matmul
from graphnn.ops.indexing import take
from graphnn.ops.operands import as_node

_LINEAR = {
    "units": "The number of outputs is the last size: nn.Linear(outputs), or nn.Linear(inputs, outputs).",
    "activation": "An activation is a module of its own: nn.Sequential(nn.Linear(784, 128), nn.ReLU()).",
    "use_bias": "Write bias=False.",
    "kernel_initializer": "Write init=nn.init.kaiming_normal().",
    "input_shape": "Write nn.Linear(inputs, outputs), or nn.Linear(outputs), which takes its input size from its first call.",
    "input_dim": "Write nn.Linear(inputs, outputs).",
    "name": "A layer is named by the attribute that holds it: self.hidden = nn.Linear(784, 128).",
}


_EMBEDDING = {
    "input_dim": "Write nn.Embedding(num_embeddings, embedding_dim).",
    "output_dim": "Write nn.Embedding(num_embeddings, embedding_dim).",
    "padding_idx": "Mask what the padding gives: gn.where(tokens[..., None] != 0, embedded, 0).",
}


class Linear(Module):
    """Fully connected layer ``y = x @ weight + bias``: ``[..., inputs] -> [..., outputs]``.

    Parameters
    ----------
    inputs, outputs : int
        ``Linear(inputs, outputs)``; ``Linear(outputs)`` takes its input size from its first call, and has no parameters
        before. The names ``in_features=`` and ``out_features=`` work too.
    bias : bool
        Whether there is a bias.
    init : initializer of the weight; `nn.init.kaiming_normal` unless told, which suits relu. The bias begins with zeros.
    dtype : float32 unless told
    seed : fixes the first values apart from the model's seed; see `graphnn.nn.module`

    Raises
    ------
    ShapeError
        If the last size of an input is not the number of inputs.

    Examples
    --------
    >>> from graphnn import nn
    >>> layer = nn.Linear(784, 128)
    >>> layer(gn.placeholder("x", ("batch", 784))).spec
    float32[batch, 128]
    >>> layer.weight.shape, layer.bias.shape
    ((784, 128), (128,))
    """

    weight: Node
    bias: Node | None

    def __init__(
        self,
        *sizes: int,
        in_features: int | None = None,
        out_features: int | None = None,
        bias: bool = True,
        init: Any = initializers.kaiming_normal,
        dtype: Any = "float32",
        seed: int | None = None,
        **unknown: Any,
    ) -> None:
        check_options("nn.Linear", unknown, _LINEAR, ("in_features", "out_features", "bias", "init", "dtype", "seed"))
        named = tuple(size for size in (in_features, out_features) if size is not None)
        given = sizes + named
        if not 1 <= len(given) <= 2 or (in_features is not None and len(given) == 1):
            raise GraphError(
                f"nn.Linear takes one or two sizes, not {given}",
                "Write nn.Linear(inputs, outputs), or nn.Linear(outputs) to take the inputs from the first call.",
            )
        for size in given:
            if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
                raise ShapeError(f"nn.Linear: a size is a whole number from 1, not {size!r}")
        if not callable(init):
            raise GraphError(
                f"nn.Linear: init is a function of shape and generator, not {init!r}",
                "Such as nn.init.xavier_normal().",
            )
        self.in_features = int(given[0]) if len(given) == 2 else None
        self.out_features = int(given[-1])
        self.init, self.dtype, self.seed = init, as_dtype(dtype), seed
        self.weight = Parameter(init, (self.in_features or 0, self.out_features), self.dtype)  # type: ignore[assignment]
        self.bias = None
        if bias:
            self.bias = Parameter(initializers.zeros, (self.out_features,), self.dtype)  # type: ignore[assignment]

    def check_sizes(self) -> None:
        if self.in_features is None:
            raise GraphError(
                f"the parameters of {self!r} do not exist yet: it takes its input size from its first call",
                "Call the model on a placeholder first, or write nn.Linear(inputs, outputs).",
            )

    def forward(self, x: Any) -> Node:
        node = as_node(x)
        size = node.shape[-1] if node.ndim else None
        if self.in_features is None and isinstance(size, int):
            self.in_features = size
            self.weight = Parameter(self.init, (size, self.out_features), self.dtype)  # type: ignore[assignment]
        if size != self.in_features:
            raise explain(self._misfit(node.shape), (node,))
        y = matmul(node, self.weight)
        return y if self.bias is None else y + self.bias

    def _misfit(self, shape: Shape) -> ShapeError:
        if self.in_features is None:
            return ShapeError(
                f"nn.Linear({self.out_features}) cannot take its input size from {shape_text(shape)}",
                "The last size must be a number; flatten images first: nn.Flatten().",
            )
        total = 1
        for each in shape[1:]:
            total = total * each if isinstance(each, int) else 0
        flat = total == self.in_features and len(shape) > 2
        return ShapeError(
            f"{self!r} takes inputs whose last size is {self.in_features}, not {shape_text(shape)}",
            "Put an nn.Flatten() before it." if flat else "The first size of a Linear is that of its input.",
        )

    def expected_input(self) -> Shape | None:
        return None if self.in_features is None else (as_size("batch"), self.in_features)

    def arguments(self) -> list[str]:
        shown = [str(size) for size in (self.in_features, self.out_features) if size is not None]
        shown += ["bias=False"] if vars(self).get("bias", self) is None else []
        shown += [f"init={self.init!r}"] if self.init is not initializers.kaiming_normal else []
        shown += [f"dtype={self.dtype.name!r}"] if self.dtype != "float32" else []
        return shown + ([f"seed={self.seed}"] if self.seed is not None else [])


class Embedding(Module):
    """A vector for each of so many things: whole numbers ``[...]`` give rows of the weight, ``[..., embedding_dim]``.

    Parameters
    ----------
    num_embeddings, embedding_dim : how many rows there are, and of which size
    init : initializer of the weight; `nn.init.normal` with the standard deviation 1 unless told
    dtype : float32 unless told
    seed : fixes the first values apart from the model's seed; see `graphnn.nn.module`

    Raises
    ------
    DTypeError
        If the input does not hold whole numbers.
    IndexRangeError
        When it runs, if a number is negative or too large.

    Examples
    --------
    >>> from graphnn import nn
    >>> layer = nn.Embedding(1000, 16)
    >>> layer(gn.placeholder("tokens", ("batch", "length"), "int64")).spec
    float32[batch, length, 16]
    """

    weight: Node

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        init: Any = initializers.normal(std=1.0),  # noqa: B008
        dtype: Any = "float32",
        seed: int | None = None,
        **unknown: Any,
    ) -> None:
        known = ("num_embeddings", "embedding_dim", "init", "dtype", "seed")
        check_options("nn.Embedding", unknown, _EMBEDDING, known)
        for size in (num_embeddings, embedding_dim):
            if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
                raise ShapeError(f"nn.Embedding: a size is a whole number from 1, not {size!r}")
        self.num_embeddings, self.embedding_dim = int(num_embeddings), int(embedding_dim)
        self.dtype, self.seed = as_dtype(dtype), seed
        self.weight = Parameter(init, (self.num_embeddings, self.embedding_dim), self.dtype)  # type: ignore[assignment]

    def forward(self, x: Any) -> Node:
        node = as_node(x)
        if not node.dtype.is_integer:
            error = DTypeError(
                f"{self!r} takes whole numbers, not {node.dtype}",
                "Declare the input so: gn.placeholder(name, shape, 'int64').",
            )
            raise explain(error, (node,))
        index = astype(node, int64)
        # A negative number would count from the end: moved out of range it is the error that it should be.
        return take(self.weight, where(index < 0, self.num_embeddings, index), axis=0)

    def arguments(self) -> list[str]:
        shown = [str(self.num_embeddings), str(self.embedding_dim)]
        shown += [f"dtype={self.dtype.name!r}"] if self.dtype != "float32" else []
        return shown + ([f"seed={self.seed}"] if self.seed is not None else [])


class Dropout(Module):
    """In training, sets each element to 0 with the probability p and divides the others by 1 - p; else does nothing.

    The random stream is a state of the layer: each call of a compiled function draws anew, and the same seed gives the same
    bits. Within one call of a model every use of the layer has draws of its own.

    Parameters
    ----------
    p : a probability from 0 to 1
    seed : fixes the stream apart from the model's seed; see `graphnn.nn.module`

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout", JMLR 15, 2014.

    Examples
    --------
    >>> from graphnn import nn
    >>> x = gn.placeholder("x", ("batch", 3))
    >>> nn.Dropout(0.2)(x) is x
    True
    >>> nn.Dropout(0.2)(x, training=True).spec
    float32[batch, 3]
    """

    stream: Variable

    def __init__(self, p: float = 0.5, *, seed: int | None = None, **unknown: Any) -> None:
        check_options("nn.Dropout", unknown, {"rate": "Write nn.Dropout(0.2), or p=0.2."}, ("p", "seed"))
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise GraphError(f"nn.Dropout: p is a probability from 0 to 1, not {p!r}")
        self.p, self.seed = float(p), seed
        self.stream = Stream()  # type: ignore[assignment]

    def forward(self, x: Any) -> Node:
        if not is_training() or self.p == 0:
            return as_node(x)
        source = self.stream
        return dropout(x, source, p=self.p, draw=next_draw(source))

    def arguments(self) -> list[str]:
        return [f"{self.p:g}", *([f"seed={self.seed}"] if self.seed is not None else [])]


class Flatten(Module):
    """All axes but the batch joined to one: ``[batch, 28, 28] -> [batch, 784]``.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.Flatten()(gn.placeholder("x", ("batch", 28, 28))).spec
    float32[batch, 784]
    """

    def forward(self, x: Any) -> Node:
        return flatten(x, start=1)


class Identity(Module):
    """Its input, unchanged.

    Examples
    --------
    >>> from graphnn import nn
    >>> x = gn.placeholder("x", (3,))
    >>> nn.Identity()(x) is x
    True
    """

    def forward(self, x: Any) -> Node:
        return as_node(x)
