"""What does a call of graphnn.array_api cost, beside the same call of NumPy?

Small arrays, so that nearly all is overhead: finding the plan of the call and running it, once planned. The last column is
the first call of its kind, which builds the graph and plans it.

    python benchmarks/array_api.py [--quick]
"""

import time
from collections.abc import Callable
from typing import Any

import _one_thread  # noqa: F401
import numpy as np
from _common import arguments, interleaved, print_table, save, time_per_call

import graphnn as gn
from graphnn.array_api import _run

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "x + x": lambda xp, x: x + x,
    "x + 1.0": lambda xp, x: x + 1.0,
    "exp(x)": lambda xp, x: xp.exp(x),
    "sum(x, axis=0)": lambda xp, x: xp.sum(x, axis=0),
    "var(x, axis=1)": lambda xp, x: xp.var(x, axis=1),
    "x @ x.mT": lambda xp, x: x @ x.mT,
    "x[1, 2]": lambda xp, x: x[1, 2],
    "x[1:, ...]": lambda xp, x: x[1:, ...],
    "x[x > 0]": lambda xp, x: x[x > 0],
    "zeros((3, 4))": lambda xp, x: xp.zeros((3, 4)),
    "unique_values(x)": lambda xp, x: xp.unique_values(x),
    "svdvals(x)": lambda xp, x: xp.linalg.svdvals(x),
}


def first_call(call: Callable[[Any, Any], Any], x: Any) -> float:
    _run._PLANS.clear()
    start = time.perf_counter()
    call(gn.array_api, x)
    return time.perf_counter() - start


def main() -> None:
    options = arguments(__doc__)
    array = np.arange(-5.0, 7.0, dtype="float32").reshape(3, 4)
    ours = gn.array_api.asarray(array)
    span, rounds = (0.002, 3) if options.quick else (0.05, 9)
    figures = {}
    for name, call in CALLS.items():
        call(gn.array_api, ours)  # what it imports is there
        figures[name] = interleaved(
            {
                "graphnn": lambda call=call: time_per_call(lambda: call(gn.array_api, ours), span),
                "numpy": lambda call=call: time_per_call(lambda: call(np, array), span),
                "first": lambda call=call: first_call(call, ours),
            },
            rounds,
        )
    rows = [[name, *(1e6 * seconds for seconds in figure.values())] for name, figure in figures.items()]
    print_table(["us per call", "graphnn", "numpy", "first call"], rows)
    save(__file__, options, figures)
    least, most = (1e6 * choose(figure["graphnn"] for figure in figures.values()) for choose in (min, max))
    print(f"array api: {least:.1f} to {most:.1f} us a call")


if __name__ == "__main__":
    main()
