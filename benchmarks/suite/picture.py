"""The results as one SVG: how many times as fast as the fastest peer each contestant is in each row, on a logarithmic scale."""

import math
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

COLOURS = ("#D55E00", "#0072B2", "#1B1F24", "#009E73", "#CC79A7", "#8A6100", "#56B4E9", "#57606A")
INK, QUIET, FAINT = "#1B1F24", "#57606A", "#D0D7DE"
LEFT, RIGHT, TOP, LINE, WIDTH = 150, 30, 78, 20, 900
SHAPES = ("circle", "square", "diamond", "up", "down")


def picture(rows: dict[str, Any], contestants: list[str], title: str) -> str:
    """SVG text. Marks differ in shape and colour; those beyond the ends of the scale stand at its ends."""
    shown = {name: entry for name, entry in rows.items() if any("ahead" in f for f in entry["results"].values())}
    ratios = [f["ahead"] for entry in shown.values() for f in entry["results"].values() if "ahead" in f]
    exponents = [min(max(math.log2(ratio), -7), 7) for ratio in ratios]
    low, high = math.floor(min([-1, *exponents])), math.ceil(max([1, *exponents]))
    height = TOP + LINE * len(shown) + 40
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height}", "role": "img"})
    root.attrib |= {"width": str(WIDTH), "height": str(height), "font-family": "Helvetica,Arial,sans-serif"}
    SubElement(root, "title").text = title
    SubElement(root, "rect", {"width": str(WIDTH), "height": str(height), "fill": "#FFFFFF"})
    _text(root, 10, 22, title, size=15, weight="bold")
    x = 10.0
    for i, name in enumerate(contestants):
        _mark(root, x + 6, 44, i, name)
        _text(root, x + 16, 48, name, size=12)
        x += 40 + 7 * len(name)

    def place(ratio: float) -> float:
        exponent = min(max(math.log2(ratio), low), high)
        return LEFT + (exponent - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    bottom = TOP + LINE * len(shown)
    for exponent in range(low, high + 1):
        at = place(2.0**exponent)
        _line(root, at, TOP - 8, at, bottom, INK if exponent == 0 else FAINT)
        _text(
            root,
            at,
            bottom + 16,
            f"{2**exponent}x" if exponent >= 0 else f"1/{2**-exponent}",
            size=11,
            anchor="middle",
            fill=QUIET,
        )
    _text(root, LEFT, bottom + 34, "times as fast as the fastest peer (further right is faster)", size=12, fill=QUIET)
    for row, (name, entry) in enumerate(shown.items()):
        y = TOP + LINE * row + LINE / 2
        _text(root, LEFT - 10, y + 4, name, size=12, anchor="end")
        _line(root, LEFT, y, WIDTH - RIGHT, y, FAINT)
        for i, contestant in enumerate(contestants):
            figures = entry["results"].get(contestant, {})
            if "ahead" in figures:
                _mark(root, place(figures["ahead"]), y, i, f"{contestant}, {name}: {figures['ahead']:.2f}x")
    indent(root, " ")
    return tostring(root, encoding="unicode") + "\n"


def _mark(root: Element, x: float, y: float, number: int, words: str) -> None:
    colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
    r = 5.0
    if shape == "circle":
        mark = SubElement(root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{r:g}"})
    else:
        corners = {
            "square": [(-r, -r), (r, -r), (r, r), (-r, r)],
            "diamond": [(0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)],
            "up": [(0, -r), (r, r), (-r, r)],
            "down": [(0, r), (r, -r), (-r, -r)],
        }[shape]
        mark = SubElement(root, "polygon", {"points": " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)})
    mark.set("fill", colour)
    SubElement(mark, "title").text = words


def _line(root: Element, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    SubElement(root, "line", {**ends, "stroke": colour})


def _text(root, x, y, text, *, size, anchor="start", fill=INK, weight="normal") -> None:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": str(size), "text-anchor": anchor, "fill": fill}
    SubElement(root, "text", attributes | ({"font-weight": weight} if weight != "normal" else {})).text = text
