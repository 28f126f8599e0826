"""The process of one contestant: `python -m suite.worker MODULE VARIANT`. A request is a JSON object in a line.

    {"do": "prepare", "work": [...], "steps": 5}    build, run once, run the steps that are compared   -> first_s, numbers ...
    {"do": "measure", "seconds": 0.5}               time of one call, in microseconds                  -> us, calls
    {"do": "memory", "steps": 5}                    memory at the peak of some more steps              -> step_mb, peak_mb
    {"do": "release"}                               let go of all that was prepared

The first line it writes tells the version of the library and how long its import took. An answer may also be {"skip": reason}
or {"error": text}. What libraries print goes to the error stream.
"""

import gc
import importlib
import json
import os
import statistics
import sys
import time
import warnings

from .clock import START
from .memory import high_water, reset_high_water, resident
from .work import Unsupported, Work
from .workloads import FAMILIES

BATCH = 0.002  # seconds: shorter calls are timed several at once
WARM_UP = 0.2  # seconds of calls before anything is timed


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")

    def answer(**told):
        answers.write(json.dumps(told) + "\n")
        answers.flush()

    try:
        module = importlib.import_module(f"suite.contestants.{sys.argv[1]}")
        version = module.load(sys.argv[2])
    except Exception as error:  # whatever it is, this contestant is not there, and the reason is told
        answer(missing=text_of(error))
        return
    answer(version=str(version), import_s=time.perf_counter() - START)
    contestant = Worker(module)
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        try:
            answer(**getattr(contestant, do)(**request))
        except Exception as error:
            answer(**({"skip": str(error)} if isinstance(error, Unsupported) else {"error": text_of(error)}))


def text_of(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]


class Worker:
    """Answers the requests."""

    def __init__(self, module):
        self.module, self.run = module, None
        self.warm = False
        self.before = resident()

    def prepare(self, work, steps):
        self.run, self.warm = None, False
        gc.collect()
        work = Work(*work)
        family = FAMILIES.get(work.workload)
        data = family.data(work) if family else None
        start = time.perf_counter()
        run = self.module.prepare(work, data)
        del data
        result = run()
        first = time.perf_counter() - start
        used = os.times()
        numbers = [summary(self.module.fetch(result))]
        for _ in range(steps):
            numbers.append(summary(self.module.fetch(run())))
        self.run = run
        cpu = used.user + used.system + used.children_user + used.children_system
        return {"first_s": first, "cpu_s": cpu, "numbers": numbers}

    def measure(self, seconds):
        run, clock = self.run, time.perf_counter
        gc.collect()
        if not self.warm:
            start, calls = clock(), 0
            while calls < 3 or clock() - start < min(WARM_UP, seconds):
                run()
                calls += 1
            self.warm = True
        start = clock()
        run()
        count = max(1, int(BATCH / max(clock() - start, 1e-9)))
        times, end = [], clock() + seconds
        while len(times) < 3 or clock() < end:
            start = clock()
            for _ in range(count):
                run()
            times.append((clock() - start) / count)
        return {"us": statistics.median(times) * 1e6, "calls": count * len(times)}

    def memory(self, steps):
        gc.collect()
        peak = high_water()
        reset_high_water()
        for _ in range(steps):
            self.run()
        after = high_water()
        return {"step_mb": (after - self.before) / 1e6, "peak_mb": max(peak, after) / 1e6}

    def release(self):
        self.run = None
        gc.collect()
        return {}


def summary(arrays) -> list[float]:
    """A few numbers that tell arrays from others: all of small ones, else mean, root mean square and eight elements."""
    out: list[float] = []
    for array in arrays:
        flat = array.astype("float64").reshape(-1)
        if flat.size <= 16:
            out += flat.tolist()
        else:
            out += [float(flat.mean()), float((flat**2).mean() ** 0.5), *flat[:: max(1, flat.size // 8)][:8].tolist()]
    return out


if __name__ == "__main__":
    main()
