"""`make conformance`: all node cases of onnx.backend.test on each backend, their derivatives, and the way back to ONNX.

Writes docs/onnx-conformance.md, or the file after --out: every case that did not pass, and the reason. Ends with the status 1
if a count is below its promise, a value differs, or an error is not typed.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_suite as suite

from graphnn.compile.function import BACKENDS
from graphnn.testing import all_cases

LEAST_CORE, LEAST_GRADIENTS, LEAST_TRIPS = 1000, 400, 900


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--backend", action="append", help="only this one; all unless told")
    options.add_argument("--only", default="", help="only cases with this in their name")
    options.add_argument("--skip-gradients", action="store_true")
    options.add_argument("--skip-round-trip", action="store_true")
    options.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "docs" / "onnx-conformance.md")
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    report, good = Report(), True
    cases = [case for case in suite.cases() if chosen.only in case.name]
    passed: list[suite.Case] = []
    for backend in chosen.backend or BACKENDS:
        outcomes = {case.name: suite.run(case, backend) for case in timed(cases, f"values on {backend}")}
        good &= report.values(backend, cases, outcomes) or bool(chosen.only)
        passed = passed or [case for case in cases if case.core and outcomes[case.name].kind == "pass"]
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        models = [case for case in suite.cases(kind) if chosen.only in case.name]
        good &= report.models(kind, {case.name: suite.run(case) for case in timed(models, kind)})
    if not chosen.skip_gradients:
        outcomes = {case.name: suite.check_derivatives(case) for case in timed(passed, "derivatives")}
        good &= report.gradients(outcomes) or bool(chosen.only)
    if not chosen.skip_round_trip:
        outcomes = {case.name: suite.round_trip(case, single_thread()) for case in timed(passed, "round trip")}
        good &= report.trips(outcomes) or bool(chosen.only)
        operations = [case for case in all_cases() if chosen.only in case.name]
        outcomes = {case.name: suite.operation(case, single_thread()) for case in timed(operations, "operations")}
        good &= report.operations(outcomes)
    text = report.text()
    print(text.split("\n## ")[0])
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(text)
    print(f"The table: {chosen.out}")
    return 0 if good else 1


def timed(cases, what):
    start = time.perf_counter()
    yield from cases
    print(f"{what}: {len(cases)} cases in {time.perf_counter() - start:.0f} s", file=sys.stderr)


def single_thread():
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


class Report:
    """The text of the table."""

    def __init__(self) -> None:
        self._summary: list[str] = []
        self._sections: list[str] = []

    def values(self, backend: str, cases, outcomes) -> bool:
        core = Counter(outcomes[case.name].kind for case in cases if case.core)
        every = Counter(outcome.kind for outcome in outcomes.values())
        self._summary.append(
            f"| values on the {backend} backend | {core['pass']} of {core.total()} core cases, "
            f"{every['pass']} of {every.total()} of all | {_counts(core)} | {_counts(every)} |"
        )
        rows = [
            (case.name, "yes" if case.core else "", outcomes[case.name])
            for case in cases
            if outcomes[case.name].kind != "pass"
        ]
        self._table(f"Not passed on the {backend} backend", rows)
        wrong = sum(every[kind] for kind in ("mismatch", "error", "crash"))
        return core["pass"] >= LEAST_CORE and not wrong

    def models(self, kind: str, outcomes) -> bool:
        counts = Counter(outcome.kind for outcome in outcomes.values())
        self._summary.append(f"| whole models: {kind} | {counts['pass']} of {counts.total()} | | {_counts(counts)} |")
        self._table(
            f"Models of {kind}", [(n, "", outcome) for n, outcome in outcomes.items() if outcome.kind != "pass"]
        )
        return not sum(counts[wrong] for wrong in ("mismatch", "error", "crash"))

    def gradients(self, outcomes) -> bool:
        counts = Counter(outcome.kind for outcome in outcomes.values())
        self._summary.append(
            f"| vector-Jacobian products against finite differences | {counts['pass']} core cases | {_counts(counts)} | |"
        )
        rows = [(name, "yes", outcome) for name, outcome in outcomes.items() if outcome.kind not in ("pass",)]
        self._table("Derivatives not checked", rows)
        return counts["pass"] >= LEAST_GRADIENTS and not counts["wrong"]

    def trips(self, outcomes) -> bool:
        counts = Counter(outcome.kind for outcome in outcomes.values())
        self._summary.append(
            f"| loaded, saved, and run by onnxruntime with equal results | {counts['pass']} core cases | {_counts(counts)} | |"
        )
        rows = [(name, "yes", outcome) for name, outcome in outcomes.items() if outcome.kind != "pass"]
        self._table("Not equal after the round trip", rows)
        return counts["pass"] >= LEAST_TRIPS and not counts["mismatch"]

    def operations(self, outcomes) -> bool:
        counts = Counter(outcome.kind for outcome in outcomes.values())
        self._summary.append(
            f"| operations of graphnn, saved and run by onnxruntime | {counts['pass']} of {counts.total()} | | "
            f"{_counts(counts)} |"
        )
        rows = [(name, "", outcome) for name, outcome in outcomes.items() if outcome.kind != "pass"]
        self._table("Operations that are not written as ONNX, or that onnxruntime does not run", rows)
        return not counts["mismatch"]

    def _table(self, title: str, rows) -> None:
        lines = [f"## {title}", "", "| case | core | outcome | reason |", "|---|---|---|---|"]
        for name, core, outcome in sorted(rows):
            reason = outcome.reason.replace("|", r"\|")
            lines.append(f"| {name} | {core} | {outcome.kind} | {reason} |")
        if not rows:
            lines = [f"## {title}", "", "None."]
        self._sections.append("\n".join(lines))

    def text(self) -> str:
        head = [
            "# ONNX conformance",
            "",
            f"Written by `make conformance` with the cases of onnx.backend.test, onnx {onnx.__version__}; values are compared",
            "by the suite's own function with its own tolerances. Core cases are single nodes on plain tensors, listed in",
            "`tests/conformance/core_cases.json`. Cases whose expected result is random count as `random`, not as passed.",
            "",
            "| what | passed | core | all |",
            "|---|---|---|---|",
            *self._summary,
        ]
        return "\n".join(head) + "\n\n" + "\n\n".join(self._sections) + "\n"


def _counts(counts: Counter) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
