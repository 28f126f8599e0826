"""Rounds: all contestants of a row take turns, so that a busy moment of the machine meets all alike."""

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .compare import disagreement
from .contestants.machine import amount
from .process import Failed, Process, busy_cores, environment, write_byte_code
from .rows import Row
from .work import Work
from .workloads import FAMILIES

REFERENCE = "graphnn-numpy"
ENOUGH, LONG = 3, 10.0  # a process that takes longer than 10 seconds to begin is started three times at the most
STEPS = 5  # calls after the first one whose results are compared
MACHINE = {True: ("sgemm", "own product"), False: ("copy",)}  # the measures for products, and for what memory bounds


class Settings(NamedTuple):
    rounds: int = 5
    seconds: float = 0.5  # of one measurement in one round
    timeout: float = 180.0  # of one answer
    small: bool = False
    peers: str = sys.executable  # the Python that has the peers


def place(name: str) -> tuple[str, str, bool]:
    """Module and variant of a contestant, and whether it runs in graphnn's own environment."""
    head, _, variant = name.partition("-")
    return head, variant or ("eager" if head == "torch" else ""), head in ("graphnn", "numpy", "machine")


class Contestant:
    """A process that lives through the rows; after a failure another one takes its place."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.name, self.settings, self.folder = name, settings, folder
        self.process: Process | None = None
        self.about: dict[str, Any] = {}
        self.start()

    def start(self, cache: Path | None = None, keep: bool = False) -> Process:
        """A new process; its own if no cache is named."""
        module, variant, own = place(self.name)
        python = sys.executable if own else self.settings.peers
        env = environment(own, cache or self.folder / "cache", keep)
        log = self.folder / f"{self.name}.log"
        process = Process(python, module, variant, env, log, self.settings.timeout)
        self.about = self.about or process.about
        if cache is None:
            self.process = process
        return process

    @property
    def missing(self) -> str:
        return self.about.get("missing", "")

    def ask(self, do: str, **request: object) -> dict[str, Any]:
        try:
            if self.process is None or not self.process.alive:
                self.start()
            assert self.process
            return self.process.ask(do, self.settings.timeout, **request)
        except Failed as failure:
            self.close()
            return {"error": str(failure)}

    def close(self) -> None:
        if self.process:
            self.process.close()


class Runner:
    """Measures rows. `say` is told of each step."""

    def __init__(self, names: Iterable[str], settings: Settings, say: Callable[[str], None] = print) -> None:
        self.settings, self.say = settings, say
        write_byte_code()
        self.folder = Path(tempfile.mkdtemp(prefix="graphnn-benchmarks-"))
        self.contestants = {name: Contestant(name, settings, self.folder) for name in names}
        self.missing = {name: c.missing for name, c in self.contestants.items() if c.missing}
        self.present = [c for c in self.contestants.values() if not c.missing]
        self.reference = self.contestants.get(REFERENCE) or Contestant(REFERENCE, settings, self.folder)
        self.machine = Contestant("machine", settings, self.folder)
        self._expected: dict[Work, Any] = {}
        self._lives: dict[tuple[str, Work, int], dict[str, Any]] = {}  # of cold processes: one serves several rows

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *error: object) -> None:
        for contestant in (*self.contestants.values(), self.reference, self.machine):
            contestant.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def row(self, row: Row) -> dict[str, Any]:
        """The figures of all contestants, round by round, and why some have none."""
        rounds: dict[str, list[float]] = {}
        first: dict[str, dict[str, float]] = {}
        left_out: dict[str, str] = {}
        rates: dict[str, list[float]] = {}
        fresh = row.kind == "fresh"
        begin = self._begin_fresh if fresh else self._begin
        for contestant in self.present:
            told = begin(contestant, row)
            if "left_out" in told:
                left_out[contestant.name] = told["left_out"]
            else:
                rounds[contestant.name], first[contestant.name] = [], told
        taking_part = [c for c in self.present if c.name in rounds]
        work = amounts(row)
        yardsticks = MACHINE[bool(work["flops"])] if not fresh and (work["flops"] or work["bytes"]) else ()
        with busy_cores() if row.kind == "busy" else contextlib.nullcontext():
            for number in range(self.settings.rounds):
                shift = number % max(1, len(taking_part))
                for contestant in taking_part[shift:] + taking_part[:shift]:  # nobody is always the first
                    if contestant.name in left_out:
                        continue
                    if number >= ENOUGH and first[contestant.name].get("seconds", 0) > LONG:
                        continue
                    if fresh:
                        told = self._life(contestant, row, number)
                        first[contestant.name] = {"seconds": told.get("whole_s", 0.0)}
                    else:
                        told = self._measure(contestant)
                    if row.figure in told:
                        rounds[contestant.name].append(told[row.figure])
                    else:
                        left_out[contestant.name] = told.get("error") or told.get("skip") or "no figure"
                if row.kind != "busy":
                    for name in yardsticks:
                        self._yardstick(name, rates)
        for contestant in () if fresh else taking_part:
            contestant.ask("release")
        figures = {name: values for name, values in rounds.items() if name not in left_out}
        return {"rounds": figures, "first": first, "left_out": left_out, "rates": rates, **work}

    def _begin(self, contestant: Contestant, row: Row) -> dict[str, Any]:
        """Build, run and compare; the process stays ready."""
        told = contestant.ask("prepare", work=row.work, steps=STEPS)
        if "numbers" not in told:
            return {"left_out": told.get("skip") or told.get("error")}
        wrong = self._wrong(contestant, row, told["numbers"])
        if wrong:
            contestant.ask("release")
            return {"left_out": f"computes something else: {wrong}"}
        return {"first_s": told["first_s"]}

    def _wrong(self, contestant: Contestant, row: Row, numbers: list[list[float]]) -> str:
        expected = self._expected.get(row.work)
        if expected is None or len(expected) < len(numbers):
            if contestant is self.reference:
                self._expected[row.work] = numbers
                return ""
            told = self.reference.ask("prepare", work=row.work, steps=STEPS)
            self.reference.ask("release")
            expected = self._expected[row.work] = told.get("numbers", [])
        if not expected:
            return f"nothing to compare with, as {REFERENCE} fails"
        return disagreement(row.work, expected[: len(numbers)], numbers)

    def _measure(self, contestant: Contestant) -> dict[str, Any]:
        return contestant.ask("measure", seconds=self.settings.seconds)

    def _yardstick(self, name: str, rates: dict[str, list[float]]) -> None:
        work = Work(name, "value", small=self.settings.small)
        told = self.machine.ask("prepare", work=work, steps=0)
        if "numbers" in told:
            told = self.machine.ask("measure", seconds=min(0.3, self.settings.seconds))
        if "us" in told:
            rates.setdefault(name, []).append(amount(work) / told["us"] / 1e3)  # in 10^9 a second

    def _begin_fresh(self, contestant: Contestant, row: Row) -> dict[str, Any]:
        """See that it works; where the row is about warm caches, fill them."""
        if not row.warm:
            return {}
        told = self._fresh(contestant, row)
        return {} if row.figure in told else {"left_out": told.get("skip") or told.get("error")}

    def _life(self, contestant: Contestant, row: Row, number: int) -> dict[str, Any]:
        """A fresh process; time and memory are two rows of the same ones."""
        if row.warm:
            return self._fresh(contestant, row)
        key = contestant.name, row.work, number
        if key not in self._lives:
            self._lives[key] = self._fresh(contestant, row)
        return self._lives[key]

    def _fresh(self, contestant: Contestant, row: Row) -> dict[str, Any]:
        """One life of a process: start, import, build, first result, and a few more steps where the row asks for them."""
        kept = self.folder / f"warm-{contestant.name}-{row.work.workload}"
        cache = kept if row.warm else Path(tempfile.mkdtemp(dir=self.folder))
        timeout = self.settings.timeout
        start = time.perf_counter()
        try:
            process = contestant.start(cache, keep=row.warm)
            try:
                told = process.ask("prepare", timeout, work=row.work, steps=0)
                told["whole_s"] = time.perf_counter() - start
                if "numbers" in told and row.steps:
                    told |= process.ask("memory", timeout, steps=row.steps)
            finally:
                process.close()
        except Failed as failure:
            return {"error": str(failure)}
        finally:
            if not row.warm:
                shutil.rmtree(cache, ignore_errors=True)
        if "numbers" in told:
            wrong = self._wrong(contestant, row, told["numbers"])
            if wrong:
                return {"error": f"computes something else: {wrong}"}
        return told


def amounts(row: Row) -> dict[str, float]:
    """How much work a call is: floating-point operations in products, and bytes."""
    if row.kind == "fresh" or row.work.dtype != "float32":
        return {"flops": 0.0, "bytes": 0.0}
    data = FAMILIES[row.work.workload].data(row.work)
    flops = data.training if row.work.training else data.forward if row.work.task == "infer" else 0.0
    return {"flops": flops, "bytes": data.moved}


def write(path: Path, figures: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
