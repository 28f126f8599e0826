"""Does work on a graph stay proportional to its size? And what does one node cost?

A chain of 100,000 nodes is built, differentiated, compiled, called and printed beside one of 10,000: the time per node
should be the same (at most 1.3 times as long). Building one node should take less than 10 microseconds. The times are
those of this process alone (not of the clock on the wall); each ratio is the median of those of all rounds, and in a round
the large graph stands between two small ones. NumPy runs the functions: a compiler is measured by the suite.

    python benchmarks/graph_scaling.py [--quick]
"""

import gc
import statistics
import time
from collections.abc import Callable

import numpy as np
from _common import arguments, print_table, save

import graphnn as gn

SMALL, LARGE, FAN = 10_000, 100_000, 5_000
MOST_RATIO, MOST_MICROSECONDS = 1.3, 10.0

# Each chain begins with a node and makes the next one from the last.
Chain = tuple[gn.Node, Callable[[gn.Node], gn.Node]]


def chain_of_sin() -> Chain:
    return gn.placeholder("x"), gn.sin


def chain_of_add() -> Chain:
    y = gn.placeholder("y")
    return gn.placeholder("x"), lambda node: node + y


def chain_of_matmul() -> Chain:
    w = gn.placeholder("w", (2, 2))
    return gn.placeholder("x", (2, 2)), lambda node: node @ w


class Stopwatch:
    """Microseconds per node of each stage. It counts the time of this process only, not that of others."""

    def __init__(self, nodes: int) -> None:
        self.nodes, self.stages = nodes, {}
        gc.collect()
        self.last = time.process_time()

    def stage(self, name: str) -> None:
        self.stages[name] = (time.process_time() - self.last) / self.nodes * 1e6
        gc.collect()  # what a stage leaves behind is not charged to the next
        self.last = time.process_time()


def build(make: Callable[[], Chain], length: int) -> tuple[gn.Node, gn.Node]:
    first, following = make()
    last = first
    for _ in range(length):
        last = following(last)
    return first, last


def whole_life(length: int) -> dict[str, float]:
    """A chain of sines from its first node to its printed form."""
    watch = Stopwatch(length)
    x, y = build(chain_of_sin, length)
    watch.stage("build")
    dx = gn.grad(y, x)
    watch.stage("differentiate")
    f = gn.function([x], [y, dx], backend="numpy")
    watch.stage("compile")
    value, slope = f(0.5)  # the first call plans
    watch.stage("first call")
    f(0.5)
    watch.stage("later calls")
    text = gn.text([y, dx])
    watch.stage("print")
    # Anything that does not hold would make the figures worthless.
    assert 0 < value < 0.1, value
    assert 0 < slope < 1, slope
    assert text.count("\n") > 2 * length
    return watch.stages


def build_only(make: Callable[[], Chain], length: int) -> dict[str, float]:
    watch = Stopwatch(length)
    build(make, length)
    watch.stage("build")
    return watch.stages


def fan(width: int) -> dict[str, float]:
    """One node with `width` operands, and one input with as many readers: its adjoint has that many contributions."""
    watch = Stopwatch(2 * width)  # each branch is two nodes: a sine, and an axis for it to be stacked along
    x = gn.placeholder("x")
    loss = gn.sum(gn.stack([gn.sin(x) for _ in range(width)]))
    watch.stage("build")
    dx = gn.grad(loss, x)
    watch.stage("differentiate")
    f = gn.function([x], [loss, dx], backend="numpy")
    watch.stage("compile")
    value, slope = f(0.5)
    watch.stage("first call")
    f(0.5)
    watch.stage("later calls")
    assert np.allclose([value, slope], [width * np.sin(0.5), width * np.cos(0.5)], rtol=1e-3)
    return watch.stages


def main() -> None:
    options = arguments(__doc__)
    rounds, small, large = (1, SMALL // 10, LARGE // 10) if options.quick else (5, SMALL, LARGE)
    measures: dict[str, tuple[Callable[[int], dict[str, float]], int, int]] = {
        "chain of sin": (whole_life, small, large),
        "chain of x + y": (lambda length: build_only(chain_of_add, length), small, large),
        "chain of matmul": (lambda length: build_only(chain_of_matmul, length), small, large),
        "fan-in": (fan, FAN // 10, FAN),
    }
    whole_life(1000)  # warms up what is made once
    rows, figures = [], {}
    for name, (measure, small, large) in measures.items():
        found = [(measure(small), measure(large), measure(small)) for _ in range(rounds)]
        for stage in found[0][0]:
            times = [((before[stage] + after[stage]) / 2, between[stage]) for before, between, after in found]
            ratio = statistics.median(b / a for a, b in times)
            a, b = (statistics.median(column) for column in zip(*times, strict=True))
            rows.append([f"{name}: {stage}", f"{small:,}", a, f"{large:,}", b, f"{ratio:.2f}"])
            figures[f"{name}: {stage}"] = {"sizes": [small, large], "us_per_node": [a, b], "ratio": ratio}
    print_table(["graph: stage", "nodes", "us/node", "nodes", "us/node", "ratio"], rows)
    save(__file__, options, figures)
    worst = max(figures, key=lambda key: figures[key]["ratio"])
    slowest = max(figure["us_per_node"][1] for key, figure in figures.items() if key.endswith("build"))
    print(
        f"graph scaling: largest ratio {figures[worst]['ratio']:.2f} ({worst}; at most {MOST_RATIO}), "
        f"building a node {slowest:.1f} us (under {MOST_MICROSECONDS:g})"
    )


if __name__ == "__main__":
    main()
