"""How names and numbers are written in LaTeX, whatever a name contains."""

from __future__ import annotations

import re
from typing import Any

from graphnn.ir.dims import Size
from graphnn.ir.node import printable

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_LETTERS = {letter: rf"\{word}" for word, letter in _GREEK.items()}
_ACCENTS = {"hat": r"\hat", "bar": r"\bar", "tilde": r"\tilde", "dot": r"\dot"}
_ESCAPES = {
    "\\": r"\backslash ", "{": r"\{", "}": r"\}", "_": r"\_", "#": r"\#", "$": r"\$", "%": r"\%", "&": r"\&",
    "^": r"\wedge ", "~": r"\sim ", " ": r"\ ", "`": r"\grave{}", "'": r"{'}", "-": r"\text{-}",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_PATH = re.compile(r"\w+(\.\w+)*")
_PARTS = re.compile(r"([^\W\d_]+?)_?(\d+)?((?:_[^\W_]+)*)")


def latex_name(name: str, limit: int = 40) -> str:
    r"""A name as LaTeX: a number, a part behind an underscore and a path in front become a subscript; Greek letters as such.

    >>> print(
    ...     latex_name("W1"),
    ...     latex_name("w_1"),
    ...     latex_name("y_hat"),
    ...     latex_name("gamma3"),
    ...     latex_name("loss"),
    ... )
    W_{1} w_{1} \hat{y} \gamma_{3} \mathrm{loss}
    >>> print(latex_name("100 %"), latex_name("encoder.0.weight"))
    \mathrm{100\ \%} \mathrm{weight}_{\mathrm{encoder.0}}
    """
    text = printable(name, limit)
    path, _, last = text.rpartition(".")
    if _PATH.fullmatch(path) and _WORD.fullmatch(last):
        return f"{_symbol(last)}_{{{path if path.isdecimal() else _symbol(path)}}}"
    match = _PARTS.fullmatch(text)
    if match is None:
        return rf"\mathrm{{{_escaped(text)}}}"
    stem, number, rest = match.groups()
    parts = [part for part in rest.split("_") if part]
    out = _symbol(stem)
    if parts and parts[0] in _ACCENTS and (len(stem) == 1 or stem in _GREEK):
        out = f"{_ACCENTS[parts.pop(0)]}{{{out}}}"
    below = ([number] if number else []) + [part if part.isdecimal() else _symbol(part) for part in parts]
    return f"{out}_{{{', '.join(below)}}}" if below else out


def _symbol(word: str) -> str:
    if word in _GREEK:
        return rf"\{word}"
    if word in _LETTERS:
        return _LETTERS[word]
    if len(word) == 1:
        return word
    return rf"\mathrm{{{_escaped(word)}}}"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def latex_number(value: Any) -> str:
    r"""A number as LaTeX, in the fewest digits that tell it from its neighbours of the same data type.

    >>> print(latex_number(3.0), latex_number(1.5e-8), latex_number(float("-inf")))
    3 1.5 \cdot 10^{-8} -\infty
    """
    text = str(value)
    if text.lstrip("-") in ("inf", "infinity"):
        return text.replace("infinity", r"\infty").replace("inf", r"\infty")
    if text in ("nan", "True", "False"):
        return rf"\mathrm{{{'NaN' if text == 'nan' else text}}}"
    digits, _, power = text.partition("e")
    if digits.endswith(".0"):
        digits = digits[:-2]
    if not power:
        return digits
    ten = f"10^{{{int(power)}}}"
    return ten if digits == "1" else "-" + ten if digits == "-1" else rf"{digits} \cdot {ten}"


def latex_size(size: Size) -> str:
    r"""A size as LaTeX.

    >>> from graphnn.ir.dims import Dim
    >>> print(latex_size(2 * Dim("batch") + 1))
    2\, \mathrm{batch} + 1
    """
    text = str(size).replace("**", "^").replace("//", "/").replace("*", r"\, ")
    return re.sub(r"(?<!\\)\b[^\W\d]\w*", lambda match: latex_name(match[0]), text)
