"""Line charts as SVG, such as the history of a training."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from graphnn.errors import GraphError
from graphnn.ir.node import printable
from graphnn.view.palette import CURVES, FAINT, FONT, INK, PAPER, QUIET
from graphnn.view.render import write
from graphnn.view.svg import SVG, WIDTH, Svg, serialize

_WIDTH, _HEIGHT = 520.0, 300.0  # of one panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 64.0, 46.0  # margins of the plot inside its panel
_MARKED = 40  # up to so many points each one has a dot


class Panel(NamedTuple):
    """One plot of a chart: curves over the numbers 1, 2, 3 ..., or over `x`."""

    title: str
    series: Mapping[str, Sequence[float]]
    x_label: str = ""
    x: Sequence[float] | None = None


def chart(
    series: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    x_label: str = "",
    x: Sequence[float] | None = None,
) -> Svg | Path:
    """A line chart of some series of numbers, as SVG.

    The i-th number of a series stands over i + 1, or over ``x[i]``. NaN and infinite values leave gaps. Curves differ in
    colour and in dashes. The same numbers give the same bytes.

    Parameters
    ----------
    series : the numbers by name
    path : the file to write; without it the SVG text is returned
    title, x_label : texts
    x : the places of the numbers on the x axis

    Returns
    -------
    The path; or the SVG, a `str` that notebooks show as a picture.

    Raises
    ------
    GraphError
        If a series is longer than `x`, or something in it is not a number.
    RenderError
        If the file cannot be written.

    >>> gn.chart({"loss": [0.9, 0.4, 0.2]}, title="training")[:4]
    '<svg'
    """
    return _finish(_draw([Panel(title, series, x_label, x)], title or "Line chart"), path)


def history_chart(
    history: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "Training history",
) -> Svg | Path:
    """The history of a training: losses in one panel, metrics in another, with their values on the validation data.

    Parameters
    ----------
    history : numbers by name, one for each epoch, such as `Trainer.fit` returns
    path : the file to write; without it the SVG text is returned
    title : for readers of the page

    >>> from graphnn.view.chart import history_chart
    >>> "accuracy" in history_chart(
    ...     {"loss": [0.9, 0.4], "accuracy": [0.5, 0.8], "val_accuracy": [0.4, 0.7]}
    ... )
    True
    """
    losses = {name: values for name, values in history.items() if name.removeprefix("val_").endswith("loss")}
    rest = {name: values for name, values in history.items() if name not in losses}
    # Metrics of other sizes than accuracy's 0 to 1 would flatten it, so every metric has a panel of its own.
    metrics: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in rest.items():
        metrics.setdefault(name.removeprefix("val_"), {})[name] = values
    panels = [Panel("loss", losses, "epoch")] if losses or not metrics else []
    panels += [Panel(name, curves, "epoch") for name, curves in metrics.items()]
    return _finish(_draw(panels, title), path)


def _finish(drawn: Svg, path: str | os.PathLike[str] | None) -> Svg | Path:
    if path is None:
        return drawn
    target = Path(path)
    write(target, drawn.encode("utf-8"))
    return target


def _draw(panels: Sequence[Panel], title: str) -> Svg:
    width, height = _WIDTH * len(panels), _HEIGHT
    root = Element(
        f"{{{SVG}}}svg",
        {
            "width": f"{width:g}",
            "height": f"{height:g}",
            "viewBox": f"0 0 {width:g} {height:g}",
            "role": "img",
            "style": WIDTH,
            "font-family": FONT,
        },
    )
    descriptions = []
    SubElement(root, f"{{{SVG}}}rect", {"width": f"{width:g}", "height": f"{height:g}", "fill": PAPER})
    for i, panel in enumerate(panels):
        group = SubElement(root, f"{{{SVG}}}g", {"transform": f"translate({_WIDTH * i:g} 0)"})
        descriptions.append(_draw_panel(group, panel))
    heading, about = Element(f"{{{SVG}}}title"), Element(f"{{{SVG}}}desc")
    heading.text, about.text = printable(title, 200), " ".join(filter(None, descriptions))
    root[:0] = [heading, about]
    # Several pictures may stand on one page, which shares the ids.
    prefix = "c" + hashlib.sha256(serialize(root).encode("utf-8")).hexdigest()[:8]
    heading.set("id", f"{prefix}-title")
    about.set("id", f"{prefix}-desc")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    return serialize(root)


def _draw_panel(group: Element, panel: Panel) -> str:
    """Draw one plot; gives its description in words."""
    points = {printable(str(name), 40): _points(name, values, panel.x) for name, values in panel.series.items()}
    finite = [point for curve in points.values() for point in curve if point is not None]
    if panel.title:
        _text(group, _LEFT, 22, panel.title, size=14, weight="bold")
    if not finite:
        _text(group, _WIDTH / 2, _HEIGHT / 2, "no values", anchor="middle", fill=QUIET)
        return f"{printable(panel.title, 80) or 'The chart'} has no values."
    x_low, x_high = min(x for x, _ in finite), max(x for x, _ in finite)
    whole = all(x == int(x) for x, _ in finite)
    x_ticks = [tick for tick in ticks(x_low, x_high) if x_low <= tick <= x_high and (not whole or tick == int(tick))]
    y_ticks = ticks(min(y for _, y in finite), max(y for _, y in finite))
    x_ends = (x_low, x_high) if x_high > x_low else (x_low - 1, x_high + 1)
    y_ends = (y_ticks[0], y_ticks[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        # Halved first: the whole range of floating-point numbers does not fit into one.
        right = (x / 2 - x_ends[0] / 2) / (x_ends[1] / 2 - x_ends[0] / 2)
        up = (y / 2 - y_ends[0] / 2) / (y_ends[1] / 2 - y_ends[0] / 2)
        return (
            _LEFT + right * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    _axes(group, panel, x_ticks or [x_low], y_ticks, place)
    left = _LEFT
    for i, (name, curve) in enumerate(points.items()):
        colour, dashes = CURVES[i % len(CURVES)]
        _curve(group, curve, place, colour, dashes)
        left = _legend(group, left, name, colour, dashes)
    return _words(panel.title, points)


def _points(name: Any, values: Sequence[float], x: Sequence[float] | None) -> list[tuple[float, float] | None]:
    try:
        numbers = [float(value) for value in values]
        places = [float(value) for value in x] if x is not None else [float(i + 1) for i in range(len(numbers))]
    except (TypeError, ValueError):
        raise GraphError(f"chart: {name!r} is not a sequence of numbers", "Give lists of floats by name.") from None
    if len(places) < len(numbers):
        raise GraphError(f"chart: {name!r} has {len(numbers)} numbers, x has {len(places)}")
    return [
        (place, number) if math.isfinite(number) and math.isfinite(place) else None
        for place, number in zip(places, numbers, strict=False)
    ]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, that reach over a range.

    >>> ticks(0.03, 0.97)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(7, 7)
    [6.0, 6.5, 7.0, 7.5, 8.0]
    """
    if not high > low:
        room = abs(low) * 0.1 or 1.0
        low, high = (low - 1, low + 1) if 1 <= abs(low) < 1e6 else (low - room, low + room)
    rough = high / count - low / count
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 1e-300 else rough
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= rough * 0.999), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if last - first > 4 * count:  # the range is narrower than floating-point numbers are apart
        return [low, high]
    digits = max(0, -math.floor(math.log10(step))) + 1
    return [round(i * step, digits) if digits < 300 else i * step for i in range(first, last + 1)]


def _axes(group: Element, panel: Panel, x_ticks: list[float], y_ticks: list[float], place: Any) -> None:
    left, right, bottom = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for tick in y_ticks:
        y = place(x_ticks[0], tick)[1]
        _line(group, left, y, right, y, FAINT)
        _text(group, left - 8, y + 4, f"{tick:.6g}", size=11, anchor="end", fill=QUIET)
    _line(group, left, bottom, right, bottom, QUIET)
    for tick in x_ticks:
        x = place(tick, y_ticks[0])[0]
        _line(group, x, bottom, x, bottom + 4, QUIET)
        _text(group, x, bottom + 17, f"{tick:.6g}", size=11, anchor="middle", fill=QUIET)
    if panel.x_label:
        _text(group, (left + right) / 2, bottom + 36, panel.x_label, size=12, anchor="middle", fill=QUIET)


def _curve(group: Element, curve: list[tuple[float, float] | None], place: Any, colour: str, dashes: str) -> None:
    runs: list[list[tuple[float, float]]] = [[]]
    for point in curve:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(place(*point))
    style = {"fill": "none", "stroke": colour, "stroke-width": "2", "stroke-linejoin": "round"}
    if dashes:
        style["stroke-dasharray"] = dashes
    for run in runs:
        if len(run) > 1:
            path = "M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in run)
            SubElement(group, f"{{{SVG}}}path", {"d": path, **style})
    every = sum(map(len, runs)) <= _MARKED
    for run in runs:
        for x, y in run if every or len(run) == 1 else ():
            SubElement(group, f"{{{SVG}}}circle", {"cx": f"{x:.2f}", "cy": f"{y:.2f}", "r": "2.6", "fill": colour})


def _legend(group: Element, left: float, name: str, colour: str, dashes: str) -> float:
    """An entry of the legend; gives where the next one may stand."""
    entry = _line(group, left, 42, left + 28, 42, colour, width=2)
    if dashes:
        entry.set("stroke-dasharray", dashes)
    _text(group, left + 34, 46, name, size=12)
    return left + 34 + 7.2 * len(name) + 18


def _line(group: Element, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> Element:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    attributes = {key: f"{value:.2f}" for key, value in ends.items()}
    return SubElement(group, f"{{{SVG}}}line", {**attributes, "stroke": colour, "stroke-width": f"{width:g}"})


def _text(
    group: Element,
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    anchor: str = "start",
    fill: str = INK,
    weight: str = "normal",
) -> None:
    attributes = {"x": f"{x:.2f}", "y": f"{y:.2f}", "font-size": str(size), "text-anchor": anchor, "fill": fill}
    if weight != "normal":
        attributes["font-weight"] = weight
    SubElement(group, f"{{{SVG}}}text", attributes).text = printable(text, 80)


def _words(title: str, points: Mapping[str, list[tuple[float, float] | None]]) -> str:
    told = []
    for name, curve in points.items():
        finite = [point for point in curve if point is not None]
        if not finite:
            told.append(f"{name} has no values")
        elif len(finite) == 1:
            told.append(f"{name} is {finite[0][1]:.4g}")
        else:
            told.append(f"{name} goes from {finite[0][1]:.4g} to {finite[-1][1]:.4g} over {len(finite)} points")
    return f"{printable(title, 80) + ': ' if title else ''}{'; '.join(told)}."
