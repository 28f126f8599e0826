"""From the rounds to medians, spreads and ratios; and the table."""

import statistics
from typing import Any

from .rows import Row

UNITS = {"us": ((1e6, "s"), (1e3, "ms"), (1.0, "us")), "s": ((1.0, "s"),), "MB": ((1.0, "MB"),)}


def own(name: str) -> bool:
    return name.startswith("graphnn-")


def digest(row: Row, found: dict[str, Any]) -> dict[str, Any]:
    """The entry of a row in the file of results."""
    results: dict[str, Any] = {}
    for name, values in found["rounds"].items():
        median = statistics.median(values)
        spread = (max(values) - min(values)) / median if median else 0.0
        results[name] = {"median": median, "spread": spread, "rounds": values, **found["first"].get(name, {})}
    # Where the time to begin is measured, NumPy has nothing to build, and is no peer of those that have.
    others = [
        name for name in results if not own(name) and not (name == "numpy" and row.kind == "fresh" and row.unit == "s")
    ]
    peers = [results[name]["median"] for name in others]
    best = {name: statistics.median(values) for name, values in found["rates"].items()}
    amount = found["flops"] or found["bytes"]
    for figures in results.values():
        # A step that needs no memory of its own, as far as the system counts, can be compared with nothing.
        if peers and min(peers) > 0 and figures["median"] > 0:
            figures["ahead"] = min(peers) / figures["median"]
        if best and amount:
            figures["of_machine"] = amount / figures["median"] / 1e3 / max(best.values())
    entry = {"unit": row.unit, "kind": row.kind, "results": results, "left_out": found["left_out"]}
    return entry | {"flops": found["flops"], "bytes": found["bytes"], "machine": best}


def quiet_ratios(rows: dict[str, Any]) -> None:
    """Beside each busy row: how many times as long as the quiet one it took."""
    for name, entry in rows.items():
        quiet = rows.get(name.replace("/busy", "/sgd"), {}).get("results", {}) if entry["kind"] == "busy" else {}
        for contestant, figures in entry["results"].items():
            if contestant in quiet:
                figures["times_quiet"] = figures["median"] / quiet[contestant]["median"]


def table(rows: dict[str, Any], contestants: list[str]) -> str:
    """A line for each row: medians with spreads, how far graphnn is ahead of the fastest peer, and its share of the machine."""
    head = ["", "unit", *contestants, "ahead", "machine"]
    lines = [head]
    for name, entry in rows.items():
        results = entry["results"]
        smallest = min((figures["median"] for figures in results.values()), default=1.0)
        size, unit = next(((s, u) for s, u in UNITS[entry["unit"]] if smallest >= s), UNITS[entry["unit"]][-1])
        cells = [_cell(results[c], size) if c in results else "-" for c in contestants]
        mine = min((f for c, f in results.items() if own(c)), key=lambda f: f["median"], default={})
        ahead = f"{mine['ahead']:.2f}x" if "ahead" in mine else ""
        share = f"{mine['of_machine']:.0%}" if "of_machine" in mine else ""
        lines.append([name, unit, *cells, ahead, share])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    aligned = [[cell.rjust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *cells[1:]]) for line, cells in zip(lines, aligned, strict=True)
    )


def _cell(figures: dict[str, Any], size: float) -> str:
    value = figures["median"] / size
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    quiet = f" ({figures['times_quiet']:.1f}q)" if "times_quiet" in figures else ""
    return f"{text} ±{50 * figures['spread']:.0f}%{quiet}"


def notes(rows: dict[str, Any]) -> list[str]:
    """Who is missing where, and why; the same reason is told once."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, entry in rows.items():
        for contestant, reason in entry["left_out"].items():
            found.setdefault((contestant, reason), []).append(name)
    return [f"{contestant}: {reason} ({', '.join(names)})" for (contestant, reason), names in found.items()]
