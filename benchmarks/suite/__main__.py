"""graphnn and its peers side by side. See docs/benchmarks.md for what is measured, and how to read it."""

import argparse
import os
import platform
import signal
import sys
import time
from pathlib import Path

from .picture import picture
from .process import HERE, ROOT, cores
from .report import digest, notes, own, quiet_ratios, table
from .rows import chosen
from .runner import Runner, Settings, write

PEERS = ("numpy", "jax", "torch", "torch-compile", "pytensor", "tinygrad")


def contestants() -> list[str]:
    """graphnn with each backend it has, and the peers."""
    from .contestants import graphnn

    return [*(f"graphnn-{backend}" for backend in graphnn.backends()), *PEERS]


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="suite", description=__doc__)
    add = parser.add_argument
    add("--only", default="", metavar="ROWS", help="rows or workloads, such as mlp,lstm or '*/sgd'; all unless told")
    add("--contestants", default="", metavar="NAMES", help=f"of {', '.join(contestants())}; all unless told")
    add("--rounds", type=int, default=0, help="5, or 2 with --quick")
    add("--quick", action="store_true", help="shorter and fewer rounds: to see roughly, not to quote")
    add("--small", action="store_true", help="tiny sizes: to see that all works; the figures mean nothing")
    add(
        "--timeout",
        type=float,
        default=180.0,
        metavar="S",
        help="seconds that one answer of a contestant may take (180)",
    )
    add(
        "--peers", type=Path, metavar="PYTHON", help="the Python that has the peers; that of .venv-peers if it is there"
    )
    add(
        "--out", type=Path, default=HERE / "results", metavar="FOLDER", help="where the results go (benchmarks/results)"
    )
    add("--list", action="store_true", help="only name the rows")
    chosen = parser.parse_args(arguments)
    known = contestants()
    chosen.contestants = [name for name in chosen.contestants.split(",") if name] or known
    chosen.only = [pattern for pattern in chosen.only.split(",") if pattern]
    for name in chosen.contestants:
        if name not in known and not own(name):
            parser.error(f"there is no contestant {name!r}; there are {', '.join(known)}")
    if chosen.rounds < 0:
        parser.error("--rounds is at least 1")
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 5)
    return chosen


def main(arguments: list[str] | None = None) -> int:
    chosen_options = options(arguments)
    try:
        rows = chosen(chosen_options.only, chosen_options.small)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen_options.list:
        print("\n".join(row.name for row in rows))
        return 0
    venv = ROOT / ".venv-peers" / "bin" / "python"
    peers = str(chosen_options.peers or (venv if venv.exists() else sys.executable))
    seconds = 0.15 if chosen_options.quick else 0.5
    settings = Settings(chosen_options.rounds, seconds, chosen_options.timeout, chosen_options.small, peers)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes are ended with this one
    start, results = time.time(), {}
    target = chosen_options.out / "suite.json"
    with Runner(chosen_options.contestants, settings, print) as runner:
        names = [c.name for c in runner.present]
        for c in runner.present:
            print(f"{c.name}: version {c.about['version']}, imported in {c.about['import_s']:.2f} s")
        for name, reason in runner.missing.items():
            print(f"{name} is left out: {reason}")
        for row in rows:
            results[row.name] = entry = digest(row, runner.row(row))
            told = {name: f"{figures['median']:.4g}" for name, figures in entry["results"].items()}
            print(
                f"[{time.time() - start:5.0f} s] {row.name} ({row.unit}): "
                + ", ".join(f"{k} {v}" for k, v in told.items())
            )
            sys.stdout.flush()
            quiet_ratios(results)
            # Written after each row, so that a run that is stopped leaves what it has.
            write(target, document(chosen_options, runner, results))
    if names:
        (chosen_options.out / "suite.svg").write_text(picture(results, names, title(chosen_options)))
    print("\n" + table(results, names))
    for note in notes(results):
        print(f"left out - {note}")
    print(f"\n{title(chosen_options)}. Figures are in {target}, the picture is beside it.")
    failed = [n for n, entry in results.items() for c in entry["left_out"] if own(c)]
    if failed:
        print(f"graphnn failed in {', '.join(dict.fromkeys(failed))}")
    return 1 if failed else 0


def title(chosen_options: argparse.Namespace) -> str:
    kind = (
        "tiny sizes, without meaning" if chosen_options.small else "quick look" if chosen_options.quick else "medians"
    )
    return f"graphnn and its peers on {cores()} cores: {kind} of {chosen_options.rounds} rounds"


def document(chosen_options: argparse.Namespace, runner: Runner, results: dict) -> dict:
    return {
        "settings": {"rounds": chosen_options.rounds, "quick": chosen_options.quick, "small": chosen_options.small},
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "processor": processor(),
            "cores": cores(),
            "load": list(os.getloadavg()),
        },
        "contestants": {c.name: c.about for c in runner.present}
        | {n: {"missing": r} for n, r in runner.missing.items()},
        "rows": results,
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    sys.exit(main())
