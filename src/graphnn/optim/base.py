"""What all optimisers share: they turn a loss into updates, the new values of parameters and of their own states, as nodes.

**Signs.** Parameters move against the gradient: every rule is written ``w_new = w - step`` or ``w_new = w + velocity`` with
a velocity that already points downhill. Steps are counted from 0.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from graphnn.errors import GraphError, listing
from graphnn.ir.collector import without_collector
from graphnn.ir.dtype import DType, float32, float64
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Parameter, State, Variable, constant, state
from graphnn.ir.node import Node
from graphnn.ir.source import scope, serving, user_source
from graphnn.nn.elsewhere import unknown
from graphnn.nn.module import Module
from graphnn.ops.bitwise import astype
from graphnn.ops.operands import as_node
from graphnn.transform.reverse import grad

Schedule: TypeAlias = Callable[[Node], Any]
"""The learning rate as a function of the step, a floating-point scalar node that counts from 0."""

_ELSEWHERE = {
    "step": "Compile the step: step = gn.function([x, t], loss, updates=optimizer.updates(loss)); then call it.",
    "zero_grad": "Gradients are values, nothing is accumulated, so there is nothing to reset.",
    "minimize": "Use optimizer.updates(loss), which gn.function(..., updates=...) takes.",
    "apply_gradients": "Use optimizer.updates(loss), which gn.function(..., updates=...) takes.",
    "apply": "Use optimizer.updates(loss), which gn.function(..., updates=...) takes.",
    "update": "Use optimizer.updates(loss), which gn.function(..., updates=...) takes.",
    "init": "States are made by optimizer.updates(loss), once for each parameter.",
    "param_groups": "Make one optimizer for each group: {**a.updates(loss, group_a), **b.updates(loss, group_b)}.",
    "learning_rate": "It is called lr.",
    "state_dict": "Use optimizer.named_states(), a dict from name to state.",
}


class Optimizer:
    """Base class of optimisers.

    An optimiser keeps its states (velocities, moments, the number of steps) from one call of `updates` to the next: for the
    same parameter they are the same nodes, so a second compiled function continues where the first one stopped.

    Steps are counted for parameters: those that are first trained together share one count, so two models that one optimiser
    serves have one each, and parameters that join later, thawed ones for instance, are corrected for their own beginning.
    A schedule follows the oldest count among the parameters of a call.

    Its settings are built into the graphs, so they cannot be changed after the first call of `updates`.

    Subclasses give `name`, `slots` and `rule`.
    """

    name: ClassVar[str] = ""
    slots: tuple[str, ...] = ()  # the states that each parameter needs
    counts: bool = False  # whether the rule needs the number of steps

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else None
        several = isinstance(first, Iterable) and not callable(first) and not isinstance(first, (str, np.ndarray))
        if several or isinstance(first, Module):
            raise GraphError(
                f"optim.{cls.__name__} takes no parameters, its first argument is the learning rate",
                f"Write optim.{cls.__name__}(lr); it trains all that the loss depends on, or updates(loss, params).",
                at=str(user_source() or ""),
            )
        return super().__new__(cls)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        made = inspect.signature(cls.__init__)  # that of the class, which would else be the one of __new__
        cls.__signature__ = made.replace(parameters=list(made.parameters.values())[1:])  # type: ignore[attr-defined]

    def __init__(self, lr: float | Schedule, weight_decay: float = 0.0) -> None:
        if isinstance(lr, Node):
            raise GraphError(
                f"{self.name}: lr is a number above 0, or a schedule, not the node {lr.label!r}",
                "A schedule is a function of the step that gives a node: optim.SGD(lambda step: rate).",
                at=str(user_source() or ""),
            )
        if not callable(lr):
            check_number(self.name, "lr", lr, lambda x: x > 0, "a number above 0, or a schedule")
        check_number(self.name, "weight_decay", weight_decay, lambda x: x >= 0, "a number from 0")
        self.lr, self.weight_decay = lr, weight_decay
        self._slots: dict[Variable, dict[str, Variable]] = {}
        self._counts: dict[Variable, Variable] = {}
        self._names: set[str] = set()  # of all its states
        self._used = False

    def rule(
        self, w: Node, g: Node, lr: Node, t: Node | None, slots: Mapping[str, Node]
    ) -> tuple[Node, dict[str, Node]]:
        """The new value of a parameter, and of its slots.

        Parameters
        ----------
        w, g : the parameter and its gradient, weight decay included
        lr : the learning rate, a scalar of the parameter's type
        t : the number of this step, counted from 1, a scalar of the parameter's type; None where nothing counts
        slots : the present values of its slots
        """
        raise NotImplementedError(f"{type(self).__name__}.rule")

    @without_collector
    def updates(self, loss: Node, params: Any = None) -> dict[Variable, Node]:
        """The new values after one step, for ``gn.function(..., updates=...)``.

        Parameters
        ----------
        loss : a scalar
        params : parameters to change, as a list, tuple or dict, or a module; all that the loss depends on unless told.
            Frozen ones are left out.

        Returns
        -------
        dict
            A node for each parameter, for each of its slots, and for the number of steps where it is needed.

        Raises
        ------
        GraphError
            If there is nothing to train.
        DifferentiationError
            If the loss is no scalar, or does not depend on a parameter that was given.

        >>> from graphnn import optim
        >>> w = gn.parameter("w", 3.0)
        >>> loss = w * w
        >>> step = gn.function([], loss, updates=optim.SGD(0.25).updates(loss))
        >>> [float(step()) for _ in range(3)]
        [9.0, 2.25, 0.5625]
        """
        trained = self._trained(loss, params)
        gradients = grad(loss, trained)
        out: dict[Variable, Node] = {}
        self._used = True
        with scope(self.name):
            counters = self._counters(trained) if self.counts or callable(self.lr) else {}
            following = {counter: counter + 1 for counter in counters.values()}
            oldest = min(following, key=_age, default=None)
            types = dict.fromkeys(w.dtype for w in trained)
            rates = {dtype: self._rate(dtype, oldest) for dtype in types}
            pairs = dict.fromkeys((counter, w.dtype) for w, counter in counters.items())
            times = {(counter, dtype): astype(following[counter], dtype) for counter, dtype in pairs}
        for w, g in zip(trained, gradients, strict=True):
            with serving(w, "update"), scope(self.name):
                slots = self._slots_of(w)
                decayed = g + self.weight_decay * w if self.weight_decay else g
                time = times[counters[w], w.dtype] if counters else None
                out[w], moved = self.rule(w, decayed, rates[w.dtype], time, slots)
                out.update((slots[name], node) for name, node in moved.items())
        return {**out, **following}

    def _trained(self, loss: Node, params: Any) -> list[Variable]:
        if not isinstance(loss, Node):
            raise GraphError(f"{self.name}: the loss is a node, not {loss!r}", at=str(user_source() or ""))
        if params is None:
            candidates: list[Any] = list(Graph(loss).parameters)
        elif isinstance(params, Module):
            candidates = params.parameters()
        elif isinstance(params, Mapping):
            candidates = list(params.values())
        else:
            candidates = [params] if isinstance(params, Node) or not isinstance(params, Iterable) else list(params)
        for each in candidates:
            if not isinstance(each, Variable) or not isinstance(each.op, Parameter):
                what = each.label if isinstance(each, Node) else repr(each)
                raise GraphError(
                    f"{self.name}: only parameters can be trained, not {what}",
                    "A state keeps its own next value; make it with gn.parameter to train it."
                    if isinstance(each, Node) and isinstance(each.op, State)
                    else "Make it with gn.parameter(name, array).",
                    at=str(user_source() or ""),
                )
        trained = list({each: None for each in candidates if each.trainable})
        if not trained:
            frozen = f"all are frozen: {listing(each.label for each in candidates)}" if candidates else "it has none"
            raise GraphError(
                f"{self.name}: the loss has no parameters to train, {frozen}",
                "Unfreeze them: model.unfreeze()." if candidates else "Make some with gn.parameter(name, array).",
                at=str(user_source() or ""),
            )
        return trained

    def _rate(self, dtype: DType, counter: Variable | None) -> Node:
        if not callable(self.lr) or counter is None:
            return constant(self.lr, dtype)
        # Half types cannot count far, so a schedule is computed in at least single precision.
        wide = dtype if dtype is float64 else float32
        rate = as_node(self.lr(astype(counter, wide)), wide)
        if rate.ndim != 0:
            raise GraphError(f"{self.name}: a schedule gives a scalar, not {rate.spec}")
        return astype(rate, dtype)

    def _counters(self, trained: list[Variable]) -> dict[Variable, Variable]:
        """The count of steps of each; those that are new share a new one."""
        new = [w for w in trained if w not in self._counts]
        if new:
            self._counts |= dict.fromkeys(new, state(self._free(f"{self.name}/step"), 0))
        return {w: self._counts[w] for w in trained}

    def _slots_of(self, w: Variable) -> dict[str, Variable]:
        if not self.slots:
            return {}  # and no array of zeros as large as the parameter
        if w not in self._slots:
            zeros = np.zeros(w.cell.array.shape, w.dtype.numpy)
            self._slots[w] = {slot: state(self._free(f"{self.name}/{slot}/{w.name}"), zeros) for slot in self.slots}
        return self._slots[w]

    def _free(self, name: str) -> str:
        """The name, with ``#2``, ``#3``, ... behind it where it is taken."""
        numbered = itertools.chain([name], (f"{name}#{i}" for i in itertools.count(2)))
        free = next(each for each in numbered if each not in self._names)
        self._names.add(free)
        return free

    def named_states(self) -> dict[str, Variable]:
        """Its states by name, such as ``adam/m/0.weight``: what to keep, besides the model, to go on exactly.

        Where names would be equal, as for two models, the later ones have ``#2``, ``#3``, ... behind them.

        >>> from graphnn import optim
        >>> w, adam = gn.parameter("w", 3.0), optim.Adam()
        >>> _ = adam.updates(w * w)
        >>> list(adam.named_states())
        ['adam/step', 'adam/m/w', 'adam/v/w']
        """
        states = [*self._counts.values(), *(s for slots in self._slots.values() for s in slots.values())]
        return {str(each.name): each for each in states}

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "learning_rate":
            raise unknown(f"the optimiser {type(self).__name__}", name, _ELSEWHERE, dir(type(self)))
        if vars(self).get("_used") and name in inspect.signature(type(self)).parameters:
            raise GraphError(
                f"{type(self).__name__}.{name} cannot be changed any more: it is built into the graphs of this optimiser",
                "Make a new optimizer, and with it a new trainer or a new step: optim.SGD(0.01).",
                "A rate that changes by itself is a schedule; one that you change is a state: rate = gn.state('rate', 0.1),"
                " optim.SGD(lambda step: rate), later rate.value = 0.01.",
                at=str(user_source() or ""),
            )
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise unknown(f"the optimiser {type(self).__name__}", name, _ELSEWHERE, dir(type(self)))

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        shown = {name: getattr(self, name) for name in defaults if name in vars(self)}
        parts = [f"{name}={value!r}" for name, value in shown.items() if name == "lr" or value != defaults[name]]
        return f"{type(self).__name__}({', '.join(parts)})"


def _age(counter: Variable) -> int:
    return counter.index


def check_number(name: str, argument: str, value: Any, good: Callable[[float], bool], wanted: str) -> None:
    """Check an argument of an optimiser or a schedule: a finite number that is good."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not good(value):
        raise GraphError(f"{name}: {argument} is {wanted}, not {value!r}")
