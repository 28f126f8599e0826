"""The colours and shapes of all pictures: the palette of Okabe and Ito, and a second channel beside each colour.

Source: Okabe, Ito, "Color universal design: how to make figures and presentations that are friendly to colorblind
people", 2008. Nothing is told by colour alone: kinds of nodes differ in shape too, curves in their dashes.
"""

from __future__ import annotations

from typing import NamedTuple

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, PAPER, QUIET, FAINT = "#1B1F24", "#FFFFFF", "#57606A", "#D0D7DE"

FONT = "Helvetica,Arial,sans-serif"


class Look(NamedTuple):
    """How one kind of node is drawn: Graphviz's shape and style, fill and outline."""

    shape: str
    style: str
    fill: str
    line: str


def mix(colour: str, other: str, share: float) -> str:
    """A colour with a share of another one.

    >>> mix("#000000", "#FFFFFF", 0.5)
    '#808080'
    """
    parts = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in parts)


def contrast(a: str, b: str) -> float:
    """The contrast of two colours, from 1 to 21. Text needs 4.5, lines need 3.

    Source: W3C, "Web content accessibility guidelines 2.2", relative luminance.

    >>> round(contrast("#000000", "#FFFFFF"))
    21
    """
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _look(shape: str, style: str, colour: str, tint: float) -> Look:
    return Look(shape, style, mix(colour, PAPER, tint), mix(colour, BLACK, 0.35))


LOOKS = {
    "input": _look("box", "rounded,filled", SKY, 0.55),
    "parameter": _look("cylinder", "filled", ORANGE, 0.55),
    "state": _look("octagon", "filled", PURPLE, 0.6),
    "constant": Look("note", "filled", "#EEF0F2", QUIET),
    "op": Look("ellipse", "filled", PAPER, QUIET),
    "composite": _look("box", "filled", BLUE, 0.82),
    "output": _look("box", "filled", GREEN, 0.7),
    "reverse": Look("ellipse", "filled,dashed", mix(VERMILLION, PAPER, 0.86), VERMILLION),
    "update": Look("hexagon", "filled,dashed", mix(PURPLE, PAPER, 0.8), mix(PURPLE, BLACK, 0.35)),
}
"""How each kind of node is drawn."""

CURVES = (
    (BLUE, ""),
    (VERMILLION, "6 3"),
    (GREEN, "2 3"),
    (mix(PURPLE, BLACK, 0.2), "8 3 2 3"),
    (mix(ORANGE, BLACK, 0.25), "12 4"),
)
"""Colour and dashes of each curve of a chart."""
