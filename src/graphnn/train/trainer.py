"""Trainer: fit, evaluate, predict. A loop around compiled functions of one graph, and nothing that is not in sight."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphnn.compile.function import Function, function
from graphnn.data.batching import batches, train_test_split
from graphnn.errors import DTypeError, GraphError
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import DType, as_dtype
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Variable, placeholder
from graphnn.ir.node import Node
from graphnn.ir.source import scope, user_source
from graphnn.nn.declared import Declared
from graphnn.nn.elsewhere import check_options, unknown
from graphnn.nn.module import Module, check_seed
from graphnn.optim.base import Optimizer
from graphnn.train.arrays import check_in_step, check_one_input, inputs_array, targets_array
from graphnn.train.history import History
from graphnn.train.progress import Lines, Silence, display

Measure: TypeAlias = Callable[[Node, Node], Node]
"""A loss or a metric: a function of outputs and targets that gives a scalar."""

_ELSEWHERE = {
    "compile": "There is nothing to compile by hand: loss, optimizer and metrics are arguments of gn.Trainer.",
    "train": "Use trainer.fit(x, y, epochs=5).",
    "test": "Use trainer.evaluate(x, y).",
    "score": "Use trainer.evaluate(x, y), a dict.",
    "validate": "Use trainer.evaluate(x, y).",
    "summary": "It is a function: gn.summary(model).",
    "predict_proba": "Compute them: gn.function([x], gn.softmax(model(x))); predict gives what the model gives.",
    "train_on_batch": "Call the compiled step: trainer.train_step(x, y), after trainer.prepare(x, y).",
    "train_function": "It is called trainer.train_step.",
}
_OPTIONS = {
    "learning_rate": "It belongs to the optimizer: optim.Adam(1e-3).",
    "lr": "It belongs to the optimizer: optim.Adam(1e-3).",
    "optimiser": "It is spelled optimizer.",
    "criterion": "It is called loss.",
    "epochs": "It belongs to fit: trainer.fit(x, y, epochs=5).",
    "batch_size": "It belongs to fit: trainer.fit(x, y, batch_size=32).",
}
_FIT = {
    "callbacks": "fit can be called again and goes on: after trainer.fit(x, y, epochs=1) do what you like.",
    "initial_epoch": "fit goes on by itself where it stopped.",
    "nb_epoch": "It is called epochs.",
    "n_epochs": "It is called epochs.",
    "steps_per_epoch": "An epoch goes once through the data.",
    "sample_weight": "Weights belong into the loss, a function of outputs and targets.",
    "class_weight": "Weights belong into the loss, a function of outputs and targets.",
}
EVALUATION_BATCH = 1024


class Trainer:
    """Fit a model to data.

    From the model, the loss and the optimiser it builds one graph to train and one to use, on the same parameters, and
    compiles them; `train_step` shows the first. They are built again where modules, parameters, loss, metrics or optimiser
    have been replaced since.

    Parameters
    ----------
    model : a module with one input and one output, whose parameters all are among ``model.parameters()``; for several
        inputs write the step yourself, ``gn.function([a, b, t], loss, updates=optimizer.updates(loss))``
    loss : a function of outputs and targets that gives a scalar, such as `graphnn.losses.cross_entropy`
    optimizer : such as ``optim.Adam(1e-3)``
    metrics : functions like the loss, in a list, or in a dict by name
    seed : orders the mini-batches and chooses the validation split; a model that has no seed of its own, and no values yet,
        begins from it too. The same program with the same seed gives the same bits.
    backend : where the compiled functions run, see `graphnn.function`
    debug : ``"nan"`` finds the first node that makes a NaN or an infinity

    Attributes
    ----------
    history : History; what was measured in all epochs so far

    Examples
    --------
    >>> from graphnn import losses, nn, optim
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> trainer = gn.Trainer(nn.Linear(1, 1), loss=losses.mse, optimizer=optim.SGD(0.2))
    >>> history = trainer.fit(x, 3 * x + 1, epochs=30, batch_size=16, verbose=False)
    >>> history["loss"][-1] < 1e-6
    True
    >>> trainer.predict([[2.0]]).round(2)
    array([[7.]], dtype=float32)
    """

    def __init__(
        self,
        model: Module,
        *positional: Any,
        loss: Measure | None = None,
        optimizer: Optimizer | None = None,
        metrics: Sequence[Measure] | Mapping[str, Measure] = (),
        seed: int = 0,
        backend: str = "native",
        debug: str | None = None,
        **unknown: Any,
    ) -> None:
        known = ("loss", "optimizer", "metrics", "seed", "backend", "debug")
        if positional:
            raise GraphError(
                "Trainer takes only the model by its place",
                "Write gn.Trainer(model, loss=..., optimizer=..., metrics=[...]).",
            )
        check_options("gn.Trainer", unknown, _OPTIONS, known)
        if not isinstance(model, Module):
            raise GraphError(f"Trainer: the model is a module, not {model!r}", "Such as nn.Sequential(...).")
        if not isinstance(optimizer, Optimizer):
            raise GraphError(
                f"Trainer: optimizer is an optimiser, not {optimizer!r}", "Such as optimizer=optim.Adam(1e-3)."
            )
        if not callable(loss):
            raise GraphError(
                f"Trainer: loss is a function of outputs and targets, not {loss!r}", "Such as losses.cross_entropy."
            )
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.metrics = _by_name(metrics)
        self.seed, self.backend, self.debug = check_seed(seed), backend, debug
        self.history = History()
        self._predictors: dict[Any, tuple[Node, Node, Function]] = {}  # all by the data that they are for
        self._evaluators: dict[Any, Function] = {}
        self._steps: dict[Any, Function] = {}
        self._latest: Function | None = None
        self._built_for: list[tuple[str, Any]] = []  # what these functions were built from
        model.take_seed(self.seed)

    # --- what users call ---

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int = 1,
        batch_size: int = 32,
        *,
        validation_data: tuple[Any, Any] | None = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        verbose: bool | str = "auto",
        **unknown: Any,
    ) -> History:
        """Go through the data several times, one step of the optimiser for each mini-batch.

        Called again it goes on: two times 5 epochs are the same as 10, to the bit.

        Parameters
        ----------
        x : inputs ``[examples, ...]``; floating-point numbers are cast to the type of the model, and whole numbers too where
            the model takes only floating-point numbers
        y : targets ``[examples, ...]``; whole numbers are cast to int64, floating-point numbers to the type of the model
        epochs : how often to go through the data
        batch_size : examples in a mini-batch; the last one of an epoch may be smaller
        validation_data : ``(x, y)`` to evaluate after each epoch
        validation_split : the fraction of the examples, chosen by the seed, that is kept for validation instead
        shuffle : a new order in each epoch, from the seed and the number of the epoch
        verbose : True or ``"auto"`` shows a bar on a terminal and else a line for each epoch, ``"lines"`` always lines,
            False nothing

        Returns
        -------
        History
            Of all epochs so far; also `history`. The loss of an epoch is the mean over its examples, measured while training.

        Raises
        ------
        DataError, DTypeError
            If the data is empty, of different lengths, or not numbers.
        KeyboardInterrupt
            If interrupted; the model has been trained so far, and `history` holds the epochs that are done.
        """
        options = ("epochs", "batch_size", "validation_data", "validation_split", "shuffle", "verbose")
        check_options("fit", unknown, _FIT, options)
        inputs, targets = self._pair(x, y)
        if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 1:
            raise GraphError(f"fit: epochs is a whole number from 1, not {epochs!r}")
        validation = self._validation(validation_data, validation_split)
        if validation_split:
            inputs, kept_x, targets, kept_y = train_test_split(
                inputs, targets, test=float(validation_split), seed=self.seed
            )
            validation = (kept_x, kept_y)
        step = self._step_for(inputs, targets)
        first = len(self.history.epochs) + 1
        with display(verbose, first + epochs - 1) as shown:
            for epoch in range(first, first + epochs):
                started = time.perf_counter()
                shown.start(epoch, len(inputs))
                order = (self.seed, epoch) if shuffle else None
                values = _run(step, batches(inputs, targets, batch_size=batch_size, seed=order), shown)
                if validation is not None:
                    values |= {f"val_{name}": value for name, value in self._evaluate(*validation).items()}
                seconds = time.perf_counter() - started
                self.history.add(values, seconds)
                shown.end(epoch, values, seconds)
        return self.history

    def evaluate(self, x: Any, y: Any, batch_size: int = EVALUATION_BATCH) -> dict[str, float]:
        """The loss and the metrics for these data, as means over the examples; parameters and states stay as they are.

        Parameters
        ----------
        x, y, batch_size : as in `fit`

        Returns
        -------
        dict
            ``{"loss": ..., "accuracy": ...}``
        """
        return self._evaluate(*self._pair(x, y), batch_size)

    def predict(self, x: Any, batch_size: int = EVALUATION_BATCH) -> Array:
        """What the model gives for these inputs, ``[examples, ...]``: for a classifier on logits, logits.

        Parameters
        ----------
        x, batch_size : as in `fit`
        """
        inputs = inputs_array(x, self.model.float_dtype())
        *_, predict = self._predictor(inputs)
        dtype = self._input_dtype(inputs)
        parts = [predict(part.astype(dtype.numpy, copy=False)) for (part,) in batches(inputs, batch_size=batch_size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def prepare(self, x: Any, y: Any) -> Trainer:
        """Build and compile the graphs for such data, without training; `train_step` is there afterwards."""
        self._step_for(*self._pair(x, y))
        return self

    @property
    def train_step(self) -> Function:
        """The compiled step of training, a `graphnn.function` of inputs and targets with updates; its graph can be drawn.

        Raises
        ------
        GraphError
            Before the first `fit` or `prepare`, which say what the data is like.
        """
        if self._latest is None:
            raise GraphError(
                "the training step does not exist yet: it is built for the shapes of the data",
                "Call trainer.prepare(x, y) or trainer.fit(x, y) first.",
                at=str(user_source() or ""),
            )
        return self._latest

    def __getattr__(self, name: str) -> Any:
        raise unknown("the trainer", name, _ELSEWHERE, [*dir(type(self)), *vars(self)])

    def __repr__(self) -> str:
        return f"Trainer({type(self.model).__name__}, {self.optimizer!r}, {len(self.history.epochs)} epochs done)"

    # --- data ---

    def _pair(self, x: Any, y: Any) -> tuple[Array, Array]:
        dtype = self.model.float_dtype()
        check_one_input(x, y)
        inputs, targets = inputs_array(x, dtype), targets_array(y, dtype)
        check_in_step(inputs, targets)
        return inputs.astype(self._input_dtype(inputs).numpy, copy=False), targets

    def _validation(self, data: Any, split: float) -> tuple[Array, Array] | None:
        if data is None:
            return None
        if split:
            raise GraphError("fit: give validation_data or validation_split, not both")
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise GraphError("fit: validation_data is a pair (x, y)")
        return self._pair(*data)

    # --- graphs ---

    def _predictor(self, inputs: Array) -> tuple[Node, Node, Function]:
        """The placeholder for such inputs, what the model makes of it in use, and the compiled function of both."""
        self._forget_what_is_outdated()
        key = _like(inputs)
        if key not in self._predictors:
            self._predictors[key] = self._build_predictor(inputs)
        return self._predictors[key]

    def _build_predictor(self, inputs: Array) -> tuple[Node, Node, Function]:
        given = as_dtype(inputs.dtype)
        x = placeholder("x", ("batch", *inputs.shape[1:]), given)
        try:
            outputs = self.model(x)
        except DTypeError:
            if given.is_floating:
                raise
            x = placeholder("x", ("batch", *inputs.shape[1:]), self.model.float_dtype())
            outputs = self.model(x)
        if not isinstance(outputs, Node):
            raise GraphError(
                f"Trainer: the model gives a {type(outputs).__name__}, not one node",
                "For several outputs write the step yourself: gn.function(inputs, loss, updates=optimizer.updates(loss)).",
            )
        self._check_belongs(outputs)
        return x, outputs, function([x], outputs, backend=self.backend, debug=self.debug)

    def _forget_what_is_outdated(self) -> None:
        """Let go of functions that were built from other modules, parameters, losses, metrics or optimisers than these."""
        parts = [("loss", self.loss), ("optimizer", self.optimizer), *self.metrics.items(), *self.model.named_parts()]
        same = len(parts) == len(self._built_for) and all(
            name == old_name and part is old
            for (name, part), (old_name, old) in zip(parts, self._built_for, strict=True)
        )
        if not same:
            self._built_for = parts
            for functions in (self._predictors, self._evaluators, self._steps):
                functions.clear()

    def _check_belongs(self, outputs: Node, loss: Node | None = None) -> None:
        """Check that all that the outputs depend on, and all that the loss would train, is part of the model."""
        used: list[Variable] = [*Graph(outputs).parameters, *Graph(outputs).states]
        if loss is not None:
            used += [w for w in Graph(loss).parameters if w.trainable]
        own = {part.made if isinstance(part, Declared) else part for _, part in self.model.named_parts()}
        for variable in used:
            if variable not in own:
                kind = variable.op.name
                raise GraphError(
                    f"Trainer: the {kind} {variable.label!r} is used but is not part of the model {type(self.model).__name__}",
                    "Make layers and parameters in __init__ and assign them to attributes, also in lists, tuples or dicts,",
                    "whose names do not begin with _: self.out = nn.Linear(1). A layer made in forward is a new one at"
                    " every call.",
                    at=str(variable.source or ""),
                )

    def _input_dtype(self, inputs: Array) -> DType:
        return self._predictor(inputs)[0].dtype

    def _step_for(self, inputs: Array, targets: Array) -> Function:
        x, _, _ = self._predictor(inputs)
        trainable = tuple(w.trainable for w in self.model.parameters())
        key = (_like(inputs), _like(targets), trainable)
        if key not in self._steps:
            t = _target(targets)
            outputs = self.model(x, training=True)
            measures = self._measures(outputs, t)
            self._check_belongs(outputs, measures["loss"])
            self._steps[key] = self._compile(x, t, measures, self.optimizer.updates(measures["loss"]))
        self._latest = self._steps[key]
        return self._latest

    def _evaluator(self, inputs: Array, targets: Array) -> Function:
        x, outputs, _ = self._predictor(inputs)
        key = (_like(inputs), _like(targets))
        if key not in self._evaluators:
            t = _target(targets)
            self._evaluators[key] = self._compile(x, t, self._measures(outputs, t))
        return self._evaluators[key]

    def _compile(self, x: Node, t: Node, measures: dict[str, Node], updates: Any = None) -> Function:
        return function([x, t], measures, updates, backend=self.backend, debug=self.debug)

    def _measures(self, outputs: Node, targets: Node) -> dict[str, Node]:
        found = {}
        for name, measure in {"loss": self.loss, **self.metrics}.items():
            with scope(name):
                node = measure(outputs, targets)
            if not isinstance(node, Node) or node.ndim != 0:
                raise GraphError(
                    f"Trainer: {name} is not a scalar but {node.spec if isinstance(node, Node) else repr(node)}",
                    "Losses and metrics give one number for a batch, such as gn.mean(...).",
                )
            found[name] = node
        return found

    def _evaluate(self, inputs: Array, targets: Array, batch_size: int = EVALUATION_BATCH) -> dict[str, float]:
        step = self._evaluator(inputs, targets)
        return _run(step, batches(inputs, targets, batch_size=batch_size), Silence(0))


def _like(array: Array) -> tuple[str, tuple[int, ...]]:
    return array.dtype.name, array.shape[1:]


def _target(targets: Array) -> Node:
    return placeholder("t", ("batch", *targets.shape[1:]), as_dtype(targets.dtype))


def _run(step: Function, pairs: Any, shown: Lines) -> dict[str, float]:
    """Call a step for every batch; the means of its results over the examples."""
    totals: dict[str, float] = {}
    count = 0
    for inputs, targets in pairs:
        size = len(inputs)
        for name, value in step(inputs, targets).items():
            totals[name] = totals.get(name, 0.0) + float(value) * size
        count += size
        shown.batch(size, totals["loss"] / count)
    return {name: total / count for name, total in totals.items()}


def _by_name(metrics: Any) -> dict[str, Measure]:
    if isinstance(metrics, Mapping):
        named = [(str(name), metric) for name, metric in metrics.items()]
    else:
        listed = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
        named = [(getattr(metric, "__name__", repr(metric)), metric) for metric in listed]
    for name, metric in named:
        if not callable(metric):
            raise GraphError(
                f"Trainer: a metric is a function of outputs and targets, not {metric!r}", "Such as metrics.accuracy."
            )
        if name == "<lambda>" or name == "loss" or [n for n, _ in named].count(name) > 1:
            raise GraphError(
                f"Trainer: a metric needs a name of its own, not {name!r}", "Give them by name: metrics={'error': f}."
            )
    return dict(named)
