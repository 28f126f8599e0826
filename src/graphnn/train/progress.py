"""What a training run shows: a bar with numbers on a terminal, one plain line for each epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from graphnn.errors import GraphError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Self = TypeVar("Self", bound="Lines")


class Lines:
    """One plain line for each epoch."""

    def __init__(self, last: int) -> None:
        self.last = last

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the display."""

    def start(self, epoch: int, examples: int) -> None:
        """An epoch begins."""

    def batch(self, examples: int, loss: float) -> None:
        """A batch is done; `loss` is the mean of the epoch so far."""

    def end(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """An epoch is done."""
        self.show(line(epoch, self.last, values, seconds))

    def show(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)


class Silence(Lines):
    """Nothing at all."""

    def show(self, text: str) -> None:
        """Print nothing."""


class Bar(Lines):
    """A bar for the present epoch, above it a line for each that is done."""

    def __init__(self, last: int) -> None:
        super().__init__(last)
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress: Progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[last]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self: Self) -> Self:
        self._progress.start()  # type: ignore[attr-defined]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, epoch: int, examples: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task("", total=examples, epoch=epoch, last=self.last, loss="")

    def batch(self, examples: int, loss: float) -> None:
        assert self._task is not None
        self._progress.update(self._task, advance=examples, loss=f"{loss:.4f}")

    def show(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


def line(epoch: int, last: int, values: Mapping[str, float], seconds: float) -> str:
    """An epoch in one line.

    >>> line(2, 10, {"loss": 0.5, "accuracy": 0.875}, 1.25)
    'epoch  2/10  loss 0.5000  accuracy 0.8750  1.2 s'
    """
    numbers = "  ".join(f"{name} {_number(value)}" for name, value in values.items())
    return f"epoch {epoch:>{len(str(last))}}/{last}  {numbers}  {seconds:.1f} s"


def _number(value: float) -> str:
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def display(verbose: object, last: int) -> Lines:
    """The display for an argument ``verbose``: ``"auto"`` or True, ``"lines"``, or False."""
    if verbose is False:
        return Silence(last)
    if verbose == "lines":
        return Lines(last)
    if verbose is True or verbose == "auto":
        return Bar(last) if sys.stdout is not None and sys.stdout.isatty() else Lines(last)
    raise GraphError(f"verbose is True or 'auto', 'lines' or False, not {verbose!r}")
