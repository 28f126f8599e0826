"""Discrete Fourier transforms, and the windows that go with them.

A complex array has a last axis of two numbers, the real and the imaginary part.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import graphnn as gn
from graphnn.interop.onnx.handlers.convolution import number
from graphnn.interop.onnx.registry import Array, Call, onnx_op
from graphnn.ir.dtype import float32
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axis

Complex = tuple[Node, Node | None]
"""The real and the imaginary part; None for an imaginary part of 0."""

SMALL = 8
"""Up to so many elements, and for prime numbers of them, a transform is a product with a matrix."""


def _waves(call: Call, rows: int, columns: int, n: int, sign: int) -> tuple[Array, Array]:
    """cos and sin of ``sign * 2 pi i j / n``; the product is reduced first, so that all angles are exact."""
    call.afford(rows, columns)
    angles = np.outer(np.arange(rows), np.arange(columns)) % n * (sign * 2 * math.pi / n)
    return np.cos(angles), np.sin(angles)


def _times(x: Complex, cos: Array, sin: Array, product: Callable[[Array, Node], Node]) -> Complex:
    """The product with ``cos + i sin``."""
    real, imaginary = x
    if imaginary is None:
        return product(cos, real), product(sin, real)
    return product(cos, real) - product(sin, imaginary), product(cos, imaginary) + product(sin, real)


def _matrix_times(matrix: Array, x: Node) -> Node:
    return gn.matmul(matrix.astype(x.dtype.numpy), x)


def _elements_times(factors: Array, x: Node) -> Node:
    return x * factors.astype(x.dtype.numpy)


def _radix(n: int) -> int:
    """By which factor a transform of n elements is divided: a small one, or n itself."""
    if n <= SMALL:
        return n
    for factor in (8, 4, 2):
        if n % factor == 0:
            return factor
    return next((factor for factor in range(3, math.isqrt(n) + 1, 2) if n % factor == 0), n)


def _fourier(call: Call, x: Complex, n: int, sign: int) -> Complex:
    """``sum over t of x[t] * exp(sign * 2 pi i k t / n)`` along the last axis.

    For ``n = r m``, ``t = a m + b`` and ``k = q + r p`` it is a transform of r elements over a, a rotation by the angle of
    ``b q / n``, and a transform of m elements over b. Source: Cooley, Tukey, "An algorithm for the machine calculation of
    complex Fourier series", 1965; this order of the steps: Gentleman, Sande, 1966.
    """
    r = _radix(n)
    m = n // r
    outer = x[0].shape[:-1]
    parted = _each(x, lambda part: gn.reshape(part, (*outer, r, m)))
    parted = _times(parted, *_waves(call, r, r, r, sign), _matrix_times)
    if m > 1:
        parted = _times(parted, *_waves(call, r, m, n, sign), _elements_times)
        parted = _fourier(call, parted, m, sign)
    return _each(parted, lambda part: gn.reshape(gn.matrix_transpose(part), (*outer, n)))


def _each(x: Complex, function: Callable[[Node], Node]) -> Complex:
    real, imaginary = x
    return function(real), None if imaginary is None else function(imaginary)


def _parts(call: Call, x: Node, axis: int, length: int) -> Complex:
    """Real and imaginary part of x ``[..., 1 or 2]`` with the axis moved to the end, of so many elements along it."""
    there = number(call, x, axis)
    call.afford(length)

    def fitted(part: Node) -> Node:
        part = gn.moveaxis(part, axis, -1)
        if there < length:
            return gn.pad(part, [*[(0, 0)] * (part.ndim - 1), (0, length - there)])
        return part[..., :length] if there > length else part

    return fitted(x[..., 0]), fitted(x[..., 1]) if x.shape[-1] == 2 else None


def transform(call: Call, x: Node, axis: int, n: int, onesided: bool) -> Node:
    """The transform of n elements of x ``[..., 1 or 2]``; its first half where the rest follows from that."""
    if onesided and x.shape[-1] != 1:
        raise call.error("a complex input has no one-sided transform")
    signal = _parts(call, x, axis, n)
    real, imaginary = _fourier(call, signal, n, -1)
    assert imaginary is not None
    if (
        signal[1] is None
    ):  # the sum of real numbers is real, and so is that with alternating signs: without any rounding
        imaginary = _elements_times(np.array([2 * k % n != 0 for k in range(n)], np.float64), imaginary)
    found = [part[..., : n // 2 + 1] if onesided else part for part in (real, imaginary)]
    return gn.stack([gn.moveaxis(part, -1, axis) for part in found], axis=real.ndim)


def inverse(call: Call, x: Node, axis: int, n: int, onesided: bool) -> Node:
    """The inverse of `transform`; from the first half a real array ``[..., 1]``."""
    spectrum = _parts(call, x, axis, n // 2 + 1 if onesided else n)
    if onesided:  # the second half is the conjugate of the first, in reverse
        half, other = spectrum
        other = gn.zeros_like(half) if other is None else other
        rest = slice(1, (n + 1) // 2)
        spectrum = (
            gn.concat([half, gn.flip(half[..., rest], axis=-1)], axis=half.ndim - 1),
            gn.concat([other, -gn.flip(other[..., rest], axis=-1)], axis=half.ndim - 1),
        )
    real, imaginary = _fourier(call, spectrum, n, 1)
    assert imaginary is not None
    found = [real / n] if onesided else [real / n, imaginary / n]
    return gn.stack([gn.moveaxis(part, -1, axis) for part in found], axis=real.ndim)


def _whole(call: Call, i: int) -> int:
    """Input i as one whole number."""
    values = call.integers_at(i)
    if len(values) != 1:
        raise call.error(f"input {i} is one number, not {len(values)}")
    return values[0]


def _dft(call: Call, x: Node, axis: int) -> Node:
    if x.ndim < 2 or x.shape[-1] not in (1, 2):
        raise call.error(f"the last axis holds the real part, or real and imaginary part, not {x.spec}")
    place = normalize_axis("DFT", axis, x.ndim)
    if place == x.ndim - 1:
        raise call.error("the axis is that of real and imaginary parts")
    back, onesided = call.flag("inverse"), call.flag("onesided")
    if call.given(1):
        n = _whole(call, 1)
    else:
        n = number(call, x, place)
        n = 2 * (n - 1) if back and onesided else n
    if n < 1:
        raise call.error(f"a transform of {n} elements")
    return (inverse if back else transform)(call, x, place, n, onesided)


@onnx_op("DFT", since=17)
def dft_by_attribute(call: Call, x: Node, length: Node | None = None) -> Node:
    """The discrete Fourier transform along an axis, told by an attribute."""
    return _dft(call, x, call.integer("axis", 1))


@onnx_op("DFT", since=20)
def dft(call: Call, x: Node, length: Node | None = None, axis: Node | None = None) -> Node:
    """The discrete Fourier transform along an axis, told by an input."""
    return _dft(call, x, -2 if axis is None else _whole(call, 2))


@onnx_op("STFT", since=17)
def stft(call: Call, x: Node, step: Node, window: Node | None = None, length: Node | None = None) -> Node:
    """The transforms of windows of a signal ``[batch, length, 1 or 2]``: ``[batch, windows, frequencies, 2]``."""
    if x.ndim != 3 or x.shape[-1] not in (1, 2):
        raise call.error(f"a signal [batch, length, 1 or 2] is needed, not {x.spec}")
    by = _whole(call, 1)
    if length is not None:
        n = _whole(call, 3)
    elif window is not None:
        n = number(call, window, 0)
    else:
        n = number(call, x, 1)
    if by < 1 or n < 1:
        raise call.error(f"windows of {n} elements, at every {by}")
    if window is not None and window.shape != (n,):
        raise call.error(f"the window {window.spec} has not the {n} elements of a frame")
    frames = gn.windows(x, n, axis=1, stride=by)  # [batch, windows, parts, elements]
    if window is not None:
        frames = frames * window.astype(x.dtype)
    return transform(call, gn.permute_dims(frames, (0, 1, 3, 2)), 2, n, call.flag("onesided", True))


def _window(call: Call, *weights: float) -> Node:
    """A sum of cosines, ``weights[k] * cos(2 pi k i / n)``."""
    n = _whole(call, 0)
    call.afford(n)
    steps = n if call.flag("periodic", True) else n - 1
    number_ = np.arange(n)
    values = sum(weight * np.cos(2 * math.pi * k * number_ / max(steps, 1)) for k, weight in enumerate(weights))
    return gn.constant(np.asarray(values, np.float64), call.dtype("output_datatype", float32))


@onnx_op("HannWindow", since=17)
def hann_window(call: Call, size: Node) -> Node:
    """1/2 - 1/2 cos"""
    return _window(call, 0.5, -0.5)


@onnx_op("HammingWindow", since=17)
def hamming_window(call: Call, size: Node) -> Node:
    """25/46 - 21/46 cos"""
    return _window(call, 25 / 46, -21 / 46)


@onnx_op("BlackmanWindow", since=17)
def blackman_window(call: Call, size: Node) -> Node:
    """0.42 - 0.5 cos + 0.08 cos of twice the angle"""
    return _window(call, 0.42, -0.5, 0.08)


@onnx_op("MelWeightMatrix", since=17)
def mel_weight_matrix(call: Call, bins: Node, length: Node, rate: Node, low: Node, high: Node) -> Node:
    """Triangles on the mel scale, ``2595 log10(1 + f / 700)``, by which the frequencies of a spectrum are joined to bins."""
    count, n, per_second = (_whole(call, i) for i in range(3))
    edges = [float(call.static(i).reshape(-1)[0]) for i in (3, 4)]
    if count < 1 or n < 1 or per_second < 1 or not 0 <= edges[0] < edges[1] <= per_second / 2:
        raise call.error(f"{count} bins from {edges[0]} to {edges[1]} Hz of {n} samples at {per_second} Hz")
    call.afford(n // 2 + 1, count)
    mel = 2595 * np.log10(1 + np.array(edges) / 700)
    steps = mel[0] + np.arange(count + 2) * (mel[1] - mel[0]) / (count + 2)
    places = ((n + 1) * 700 * (10 ** (steps / 2595) - 1) // per_second).astype(np.int64)
    matrix = np.zeros((n // 2 + 1, count))
    for i in range(count):
        left, center, right = places[i : i + 3]
        matrix[left : center + 1, i] = 1.0 if left == center else (np.arange(left, center + 1) - left) / (center - left)
        if right > center:
            matrix[center:right, i] = (right - np.arange(center, right)) / (right - center)
    return gn.constant(matrix, call.dtype("output_datatype", float32))
