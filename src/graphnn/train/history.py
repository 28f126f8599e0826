"""History: what was measured in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphnn.errors import GraphError, UnknownNameError, listing, nearest

_ELSEWHERE = {
    "history": "It is the mapping itself: history['loss'], dict(history).",
    "epoch": "Use history.epochs, the numbers of the epochs.",
    "params": "The trainer knows its settings: trainer.optimizer, trainer.seed.",
}


class History(Mapping[str, "list[float]"]):
    """Lists of numbers by name, one for each epoch: ``loss``, the metrics, and both with ``val_`` where validation ran.

    Where an epoch has no value of a name, because validation was off, it stands as NaN.

    Attributes
    ----------
    epochs : the numbers of the epochs, from 1
    seconds : how long each took

    Examples
    --------
    >>> history = gn.History()
    >>> history.add({"loss": 0.7, "val_accuracy": 0.8}, seconds=0.1)
    >>> history.add({"loss": 0.5, "val_accuracy": 0.9}, seconds=0.1)
    >>> history["loss"], history.best("val_accuracy"), history.best_epoch("loss")
    ([0.7, 0.5], 0.9, 2)
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self.epochs: list[int] = []
        self.seconds: list[float] = []

    def add(self, values: Mapping[str, float], seconds: float = 0.0) -> None:
        """Append an epoch."""
        for name in [*self._values, *values]:
            column = self._values.setdefault(name, [])
            column.extend([float("nan")] * (len(self.epochs) - len(column)))
            if len(column) == len(self.epochs):
                column.append(float(values.get(name, float("nan"))))
        self.epochs.append(len(self.epochs) + 1)
        self.seconds.append(seconds)

    def best(self, name: str = "loss", mode: str = "auto") -> float:
        """The best value of a name.

        Parameters
        ----------
        name : such as ``"val_loss"`` or ``"val_accuracy"``
        mode : ``"max"`` or ``"min"``; ``"auto"`` takes the largest of what is called accuracy, else the smallest
        """
        return self[name][self.best_epoch(name, mode) - 1]

    def best_epoch(self, name: str = "loss", mode: str = "auto") -> int:
        """The number of the epoch with the best value, the first of equals; see `best`.

        Raises
        ------
        GraphError
            If there is no value.
        """
        if mode not in ("auto", "min", "max"):
            raise GraphError(f"mode is 'auto', 'min' or 'max', not {mode!r}")
        sign = -1.0 if mode == "max" or (mode == "auto" and "accuracy" in name) else 1.0
        ranked = [(sign * value, epoch) for value, epoch in zip(self[name], self.epochs, strict=True) if value == value]
        if not ranked:
            raise GraphError(f"the history has no value of {name!r}")
        return min(ranked)[1]

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._values:
            raise UnknownKeyError(f"the history has no {name!r}", nearest(str(name), self), f"It has {listing(self)}.")
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnknownNameError(f"a history has no attribute {name!r}", _ELSEWHERE.get(name) or "Write history[name].")

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {column[-1]:.4g}" for name, column in self._values.items())
        return f"History({len(self.epochs)} epochs{'; last: ' + last if last else ''})"


class UnknownKeyError(GraphError, KeyError):
    """A mapping of graphnn has no such key; the message says which there are."""
