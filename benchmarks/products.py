"""How fast are the native backend's matrix products, beside the BLAS in NumPy and the one in SciPy?

The products are those of the training steps of the suite, each as it stands there: nn is ``a @ b``, nt ``a @ b.T`` (the
gradient with respect to a layer's input), tn ``a.T @ b`` (the gradient of its weights). One process for each number of threads;
in it all contestants take part in every round. Figures are the medians of the rounds in GFLOP/s, and ratios of times; a ratio
above 1 means that graphnn is faster. "build" is the time from a product to callable code where its kernels are there
already, "kernels" that of the first product of the process, which compiles its kernels.

    python benchmarks/products.py [--quick]
"""

import ctypes
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SHAPES = [  # layout, m, n, k, batch, and where it comes from
    ("nn", 128, 256, 784, 1, "mlp"),
    ("nn", 128, 128, 256, 1, "mlp"),
    ("nn", 128, 10, 128, 1, "mlp"),
    ("nt", 128, 128, 10, 1, "mlp"),
    ("nt", 128, 256, 128, 1, "mlp"),
    ("tn", 784, 256, 128, 1, "mlp"),
    ("tn", 256, 128, 128, 1, "mlp"),
    ("tn", 128, 10, 128, 1, "mlp"),
    ("nn", 256, 2048, 1024, 1, "wide"),
    ("nn", 256, 1000, 2048, 1, "wide"),
    ("nt", 256, 2048, 1000, 1, "wide"),
    ("tn", 2048, 1000, 256, 1, "wide"),
    ("nn", 256, 2048, 2048, 1, "wide"),
    ("nt", 256, 2048, 2048, 1, "wide"),
    ("tn", 2048, 2048, 256, 1, "wide"),
    ("tn", 1024, 2048, 256, 1, "wide"),
    ("nn", 32, 512, 128, 1, "lstm, a step"),
    ("nt", 32, 128, 512, 1, "lstm, a step"),
    ("nn", 2048, 512, 128, 1, "lstm, all steps"),
    ("tn", 128, 512, 2048, 1, "lstm, all steps"),
    ("nn", 2048, 65, 128, 1, "lstm"),
    ("nn", 1024, 384, 128, 1, "transformer"),
    ("nn", 1024, 128, 512, 1, "transformer"),
    ("nt", 1024, 512, 128, 1, "transformer"),
    ("tn", 512, 128, 1024, 1, "transformer"),
    ("tn", 128, 512, 1024, 1, "transformer"),
    ("tn", 128, 384, 1024, 1, "transformer"),
    ("nt", 64, 64, 32, 64, "attention"),
    ("nn", 64, 32, 64, 64, "attention"),
    ("tn", 64, 32, 64, 64, "attention"),
    ("nn", 12544, 64, 288, 1, "cnn"),
    ("tn", 288, 64, 12544, 1, "cnn"),
    ("nn", 64, 128, 3136, 1, "cnn"),
    ("nn", 32, 16, 16, 1, "tiny"),
    ("nn", 1, 256, 784, 1, "inference"),
    ("nt", 1, 784, 256, 1, "batch of one"),
]
QUICK = [0, 5, 9, 16, 27, 33]
THREADS = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "GRAPHNN_NUM_THREADS",
)


def own(layout: str, m: int, n: int, k: int, batch: int, a: Any, b: Any, c: Any) -> tuple[Callable[[], object], float]:
    """The product as a function without arguments, and the seconds it took to make it."""
    from graphnn.backend.native import jit, kernels
    from graphnn.backend.native.products import Product, emit_product
    from graphnn.backend.native.target import host

    start = time.perf_counter()
    module = host().module()
    left, right = ((1, m) if layout == "tn" else (k, 1)), ((1, k) if layout == "nt" else (n, 1))
    levels = ((batch, m * k, k * n, m * n),) if batch > 1 else ()
    name = emit_product(module, Product("float", m, n, k, left, right, (n, 1), levels))
    module.add(
        f"define void @go(ptr %a, ptr %b, ptr %c) {{\n call void @{name}(ptr %a, ptr %b, ptr %c, ptr null)\n ret void\n}}"
    )
    kernels.link(module.text)
    library = jit.compile(module.text)
    seconds = time.perf_counter() - start
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("go"))
    pointers = [x.ctypes.data for x in (a, b, c)]
    return lambda _=library: function(*pointers), seconds


def blas(layout: str, a: Any, b: Any) -> Callable[[], object]:
    """``sgemm`` of SciPy. It counts columns first, so it gets the transposed product, and copies nothing."""
    import numpy as np
    from scipy.linalg.blas import sgemm

    out = np.empty(
        (b.shape[-2 if layout == "nt" else -1], a.shape[-1 if layout == "tn" else -2]), np.float32, order="F"
    )
    return lambda: sgemm(1.0, b.T, a.T, trans_a=layout == "nt", trans_b=layout == "tn", c=out, overwrite_c=True)


def measure(quick: bool) -> list[dict[str, Any]]:
    import numpy as np
    from _common import interleaved, time_per_call

    rng = np.random.default_rng(0)
    found = []
    for number, (layout, m, n, k, batch, where) in enumerate(SHAPES):
        if quick and number not in QUICK:
            continue
        lead = (batch,) if batch > 1 else ()
        a = rng.standard_normal((*lead, k, m) if layout == "tn" else (*lead, m, k)).astype(np.float32)
        b = rng.standard_normal((*lead, n, k) if layout == "nt" else (*lead, k, n)).astype(np.float32)
        c, out = np.empty((*lead, m, n), np.float32), np.empty((*lead, m, n), np.float32)
        left, right = (a.swapaxes(-1, -2) if layout == "tn" else a), (b.swapaxes(-1, -2) if layout == "nt" else b)
        run, first = own(layout, m, n, k, batch, a, b, c)
        again = min(own(layout, m, n, k, batch, a, b, c)[1] for _ in range(3))
        run()
        np.testing.assert_allclose(c, left @ right, rtol=1e-3, atol=1e-3)
        calls = {"graphnn": run, "numpy": lambda x=left, y=right, out=out: np.matmul(x, y, out=out)}
        if batch == 1:
            calls["scipy"] = blas(layout, a, b)
        measures = {
            name: functools.partial(time_per_call, call, 0.005 if quick else 0.02) for name, call in calls.items()
        }
        times = interleaved(measures, 3 if quick else 7)
        work = 2e-9 * m * n * k * batch
        row = {"layout": layout, "shape": [m, n, k], "batch": batch, "where": where, "first": first, "build": again}
        found.append({**row, "gflops": {name: work / t for name, t in times.items()}, "times": times})
    return found


def main() -> None:
    if "--measure" in sys.argv:
        print(json.dumps(measure("--quick" in sys.argv)))
        return
    from _common import arguments, print_table, save

    options = arguments(__doc__)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    figures = {}
    for threads in sorted({1, cores}):
        command = [sys.executable, __file__, "--measure", *(["--quick"] if options.quick else [])]
        done = subprocess.run(
            command, env={**os.environ, **dict.fromkeys(THREADS, str(threads))}, stdout=subprocess.PIPE, check=True
        )
        rows = figures[f"{threads} threads"] = json.loads(done.stdout)
        print(f"{threads} thread{'s' if threads > 1 else ''}, GFLOP/s in float32; ratios of times to graphnn's")
        table = []
        for row in rows:
            speed, times = row["gflops"], row["times"]
            name = f"{row['layout']} {'x'.join(map(str, row['shape']))}" + (
                f" ({row['batch']})" if row["batch"] > 1 else ""
            )
            cells = [f"{speed[each]:.1f}" if each in speed else "-" for each in ("graphnn", "numpy", "scipy")]
            ratios = [f"{times[each] / times['graphnn']:.2f}" if each in times else "-" for each in ("numpy", "scipy")]
            table.append([name, row["where"], *cells, *ratios, f"{1000 * row['build']:.1f} ms"])
        print_table(["product", "from", "graphnn", "numpy", "scipy", "to numpy", "to scipy", "build"], table)
        print(f"the first product with its kernels: {1000 * rows[0]['first']:.0f} ms\n")
    save(__file__, options, figures)
    last = figures[f"{cores} threads"]
    best = max(row["gflops"]["graphnn"] for row in last)
    print(f"products: {len(last)} shapes on {cores} threads, the fastest at {best:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
