"""What does `import graphnn` cost, beside `import numpy`, which it needs anyway?

Each import runs in a fresh process, in turn; the time is that of the import statement alone, with byte code already
written, as after an installation. The budget is 0.2 seconds.

    python benchmarks/import_time.py [--quick]
"""

import os
import subprocess
import sys
import tempfile

from _common import arguments, interleaved, print_table, save

BUDGET = 0.2
SLOW = ("scipy", "networkx", "graphviz", "pygraphviz", "rich", "matplotlib", "llvmlite", "ml_dtypes", "safetensors")

TIMED = "import time; start = time.perf_counter(); import {0}; print(time.perf_counter() - start)"
LOADED = "import sys, graphnn; print(' '.join(name for name in {0!r} if name in sys.modules))"


def in_a_fresh_process(code: str, byte_code: str) -> str:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": byte_code}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def main() -> None:
    options = arguments(__doc__)
    contestants = {name: TIMED.format(name) for name in ("numpy", "graphnn")}
    with tempfile.TemporaryDirectory() as byte_code:
        for code in contestants.values():
            in_a_fresh_process(code, byte_code)  # writes it
        seconds = interleaved(
            {name: lambda code=code: float(in_a_fresh_process(code, byte_code)) for name, code in contestants.items()},
            3 if options.quick else 15,
        )
        loaded = in_a_fresh_process(LOADED.format(SLOW), byte_code).split()
    own = seconds["graphnn"] - seconds["numpy"]
    print_table(["import", "ms"], [[name, f"{1e3 * value:.1f}"] for name, value in seconds.items()])
    save(__file__, options, {"seconds": seconds, "slow_packages_loaded": loaded})
    print(
        f"import time: graphnn {seconds['graphnn']:.3f} s (budget {BUDGET} s), of which numpy {seconds['numpy']:.3f} s "
        f"and graphnn itself {own:.3f} s; slow packages loaded: {', '.join(loaded) or 'none'}"
    )


if __name__ == "__main__":
    main()
