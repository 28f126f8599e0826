"""`make fuzz`: loads, calls and saves thousands of damaged models in a process with limits: 5 seconds each, and 3 GB.

A mutant is right if it works, or ends with an error of graphnn. A process that dies, is silent for 5 seconds, or raises
any other exception is a finding, which is printed with the seed; ``onnx_fuzz.py --seed N`` runs that mutant alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import time
import traceback
import warnings
from collections import Counter

import numpy as np
import onnx_mutations
import onnx_suite

from graphnn.errors import GraphnnError
from graphnn.interop.onnx import load, save

SECONDS, BYTES, BUDGET = 5.0, 3 << 30, 1 << 22


def attempt(cases, seed: int) -> str:
    """What one mutant ends with; raises what is no error of graphnn."""
    case = cases[random.Random(seed).randrange(len(cases))]
    data, done = onnx_mutations.mutate(case.model, seed)
    inputs = onnx_mutations.mutate_feeds(case.data_sets[0][0], seed)
    try:
        function = load(data, backend="numpy", budget=BUDGET)
        inputs = inputs[: len(function.input_names)]
        function(*inputs)
    except GraphnnError as error:
        return type(error).__name__
    except Exception as error:
        error.add_note(f"case {case.name}, seed {seed}, mutations {done}")
        raise
    try:
        given = dict(zip(function.input_names, inputs, strict=True))
        static = {name: given[name] for name in function.static_inputs}
        save(function.specialise(**static) if static else function)
    except GraphnnError as error:
        return f"runs, {type(error).__name__} when saved"
    return "runs"


def plain_cases(cases=None):
    """The cases that are fed with arrays of numbers."""
    found = []
    for case in onnx_suite.cases() if cases is None else cases:
        inputs, _ = case.data_sets[0]
        if all(isinstance(value, np.ndarray) and value.dtype.kind in "biuf" for value in inputs):
            found.append(case)
    return found


def work(pipe, seeds) -> None:
    """A worker: tells of each mutant when it begins and how it ends."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    cases = plain_cases()
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for seed in seeds:
        pipe.send((seed, None))
        try:
            pipe.send((seed, attempt(cases, seed)))
        except BaseException:
            pipe.send((seed, "UNTYPED " + traceback.format_exc(limit=-6)))
    pipe.send((None, None))


def campaign(first: int, count: int) -> tuple[Counter, list[tuple[int, str]]]:
    """All mutants, with a new worker after each crash or hang."""
    outcomes: Counter = Counter()
    findings: list[tuple[int, str]] = []
    context = multiprocessing.get_context("spawn")
    seed, last = first, first + count
    while seed < last:
        ours, theirs = context.Pipe()
        worker = context.Process(target=work, args=(theirs, range(seed, last)))
        worker.start()
        theirs.close()
        began, ready = None, False
        while True:
            # Making the cases takes a while before the first mutant.
            if not ours.poll(SECONDS if ready else 120):
                findings.append((seed, f"HANG: no answer for {SECONDS} s"))
                worker.kill()
                break
            try:
                began, outcome = ours.recv()
            except EOFError:
                worker.join()
                findings.append((seed, f"CRASH: the process ended with {worker.exitcode}"))
                break
            ready = True
            if began is None:
                seed = last
                break
            seed = began
            if outcome is not None:
                if outcome.startswith("UNTYPED"):
                    findings.append((seed, outcome))
                outcomes[outcome.split(" ")[0] if outcome.startswith("UNTYPED") else outcome] += 1
        worker.join()
        if seed < last:
            seed += 1
    return outcomes, findings


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=3000)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--seed", type=int, help="only this mutant, in this process")
    chosen = options.parse_args()
    if chosen.seed is not None:
        print(attempt(plain_cases(), chosen.seed))
        return 0
    start = time.perf_counter()
    outcomes, findings = campaign(chosen.first, chosen.count)
    for outcome, number in outcomes.most_common():
        print(f"{number:6} {outcome}")
    for seed, finding in findings:
        print(f"\nseed {seed}: {finding}")
    print(f"\n{chosen.count} mutants in {time.perf_counter() - start:.0f} s, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
