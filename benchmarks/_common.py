"""What the benchmarks share: arguments, interleaved rounds, tables, and the file with the figures."""

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).resolve().parent / "results"


def arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it works, not to quote")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the figures (benchmarks/results)")
    return parser.parse_args()


def time_per_call(call: Callable[[], Any], seconds: float) -> float:
    """Seconds for one call, the mean of as many as fit into about `seconds`."""
    call()  # the first call of anything pays for what later ones find ready
    start = time.perf_counter()
    call()
    count = max(1, int(seconds / max(time.perf_counter() - start, 1e-7)))
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each measure. All take part in each round, so that a busy moment of the machine meets all alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            gc.collect()  # nobody pays for what another left behind
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    cells = [list(head), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]))


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def save(script: str, options: argparse.Namespace, figures: Any) -> None:
    """Write the figures, and on what they were measured, to <script>.json."""
    options.out.mkdir(parents=True, exist_ok=True)
    machine = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    target = options.out / f"{Path(script).stem}.json"
    target.write_text(json.dumps({"quick": options.quick, "machine": machine, "figures": figures}, indent=2) + "\n")
    print(f"figures are in {target}")
