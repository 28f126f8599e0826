"""What is measured: one row of the table each.

Kinds: "steady" (time of one call, again and again in a process that lives on), "busy" (the same with half of the cores kept
busy by others), "fresh" (figures of a process that begins for it).
"""

import fnmatch
from collections.abc import Iterator
from typing import NamedTuple

from .work import Work

SIX = ("tiny", "mlp", "wide", "cnn", "lstm", "transformer")
LAYERS = ("layers-10", "layers-100", "layers-1000")


class Row(NamedTuple):
    name: str
    work: Work
    kind: str = "steady"
    unit: str = "us"
    figure: str = "us"  # which figure of an answer it shows
    warm: bool = False  # a fresh process with the caches of an earlier one
    steps: int = 0  # more calls in a fresh process, before its memory is looked at


def rows(small: bool) -> list[Row]:
    """All rows, in the order of the table."""

    def work(name: str, task: str, batch: int = 0, dtype: str = "float32") -> Work:
        return Work(name, task, batch, dtype, small)

    def every() -> Iterator[Row]:
        for name in SIX:
            yield Row(f"{name}/sgd", work(name, "sgd"))
        for name in SIX:
            yield Row(f"{name}/adam", work(name, "adam"))
        yield Row("mlp/float64", work("mlp", "sgd", dtype="float64"))
        yield Row("mlp/hvp", work("mlp", "hvp"))
        for name in SIX:
            for batch in (1, 64):
                yield Row(f"{name}/infer-{batch}", work(name, "infer", batch))
        for name in ("chain", "softmax", "scalar", "call"):
            yield Row(name, work(name, "value"))
        for name in SIX:
            yield Row(f"{name}/busy", work(name, "sgd"), "busy")
        for name in SIX:
            yield Row(f"{name}/first", work(name, "sgd"), "fresh", "s", "first_s", steps=5)
        for name in SIX:
            yield Row(f"{name}/warm", work(name, "sgd"), "fresh", "s", "whole_s", warm=True)
        for name in SIX:
            yield Row(f"{name}/memory", work(name, "sgd"), "fresh", "MB", "step_mb", steps=5)
        for task in ("sgd", "checkpoint"):
            yield Row(f"deep/{task}", work("deep", task))
            kind = "memory" if task == "sgd" else "checkpoint-memory"
            yield Row(f"deep/{kind}", work("deep", task), "fresh", "MB", "step_mb", steps=5)
        for name in LAYERS:
            yield Row(f"{name}/first", work(name, "sgd"), "fresh", "s", "first_s")
        yield Row("program", work("program", "adam"), "fresh", "s", "cpu_s")

    return list(every())


def chosen(patterns: list[str], small: bool = False) -> list[Row]:
    """The rows that any pattern names: a row, a workload with all of its rows, or with * and ? as for files."""
    known = rows(small)
    if not patterns:
        return known
    unused = [p for p in patterns if not any(_matches(row, p) for row in known)]
    if unused:
        raise ValueError(f"no row is called {unused[0]!r}; there are {', '.join(row.name for row in known)}")
    return [row for row in known if any(_matches(row, pattern) for pattern in patterns)]


def _matches(row: Row, pattern: str) -> bool:
    return row.work.workload == pattern or fnmatch.fnmatchcase(row.name, pattern)
