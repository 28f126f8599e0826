"""What does it bring to compute a Jacobian in one pass over a batch of unit arrays, and not in one pass for each of them?

Each Jacobian is built twice: by `jacrev`, `jacfwd` or `hessian`, and row by row (column by column) by hand from `vjp` (`jvp`)
and `stack`. The tables tell the nodes of both graphs, and the milliseconds to build and to call them; a ratio above 1
means that the one pass is faster.

    python benchmarks/jacobians.py [--quick]
"""

import functools
from collections.abc import Callable, Sequence

import _one_thread  # noqa: F401 - for its effect on NumPy, which comes next
import numpy as np
from _common import arguments, interleaved, print_table, save, time_per_call

import graphnn as gn

Case = tuple[gn.Node, Callable[[], gn.Node], Callable[[], gn.Node]]  # the input, one pass, many passes


def network(inputs: int, outputs: int) -> tuple[gn.Node, gn.Node]:
    rng = np.random.default_rng(0)
    x = gn.placeholder("x", (inputs,), "float64")
    w1, w2 = rng.normal(size=(inputs, 64)) / np.sqrt(inputs), rng.normal(size=(64, outputs)) / 8
    return x, gn.softmax(gn.tanh(x @ gn.constant(w1)) @ gn.constant(w2))


def rows_by_hand(y: gn.Node, x: gn.Node) -> gn.Node:
    return gn.stack([gn.vjp(y, x, unit, allow_unused=True) for unit in np.eye(y.shape[0])])


def columns_by_hand(y: gn.Node, x: gn.Node) -> gn.Node:
    return gn.stack([gn.jvp(y, x, unit, allow_unused=True) for unit in np.eye(x.shape[0])], axis=-1)


def reverse(inputs: int, outputs: int) -> Case:
    x, y = network(inputs, outputs)
    return x, lambda: gn.jacrev(y, x), lambda: rows_by_hand(y, x)


def forward(inputs: int, outputs: int) -> Case:
    x, y = network(inputs, outputs)
    return x, lambda: gn.jacfwd(y, x), lambda: columns_by_hand(y, x)


def second(inputs: int) -> Case:
    x, y = network(inputs, 16)
    loss = gn.sum(y * y)
    return x, lambda: gn.hessian(loss, x), lambda: columns_by_hand(gn.grad(loss, x), x)


def times(calls: Sequence[Callable[[], object]], seconds: float, rounds: int) -> list[float]:
    """The milliseconds of each call."""
    found = interleaved({str(i): functools.partial(time_per_call, f, seconds) for i, f in enumerate(calls)}, rounds)
    return [found[str(i)] * 1e3 for i in range(len(calls))]


def main() -> None:
    options = arguments(__doc__)
    sizes = (4, 8) if options.quick else (8, 64, 256)
    seconds, rounds = (0.01, 2) if options.quick else (0.1, 7)
    cases: dict[str, Case] = {}
    for n in sizes:
        cases[f"jacrev, {n} rows"] = reverse(32, n)
        cases[f"jacfwd, {n} columns"] = forward(n, 32)
        cases[f"hessian, {n} inputs"] = second(n)
    rows, figures = [], {}
    for name, (x, one, many) in cases.items():
        point = np.random.default_rng(1).normal(size=x.shape)
        graphs = one(), many()
        calls = [gn.function([x], graph) for graph in graphs]
        np.testing.assert_allclose(calls[0](point), calls[1](point), rtol=1e-9, atol=1e-12)
        nodes = [len(gn.Graph(graph)) for graph in graphs]
        built = times([one, many], seconds, rounds)
        called = times([functools.partial(f, point) for f in calls], seconds, rounds)
        rows.append([name, *nodes, *built, *called, f"{called[1] / called[0]:.1f}"])
        figures[name] = {"nodes": nodes, "build_ms": built, "call_ms": called, "ratio": called[1] / called[0]}
    print_table(["Jacobian", "nodes", "by hand", "build ms", "by hand", "call ms", "by hand", "ratio"], rows)
    save(__file__, options, figures)
    print("jacobians: " + "; ".join(f"{name} {figure['ratio']:.1f}x" for name, figure in figures.items()))


if __name__ == "__main__":
    main()
