"""Random numbers, from streams of graphnn: the same distributions as elsewhere, but other numbers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import Size
from graphnn.ir.dtype import DType, float32
from graphnn.ir.node import Node


def stream_of(call: Call) -> Node:
    """The stream of an ONNX node: by its seed, or else by its name, so that it differs from node to node."""
    if "seed" in call.attributes:
        return gn.stream(struct.unpack("<Q", struct.pack("<d", call.number("seed")))[0])
    return gn.stream(zlib.crc32(call.name.encode()))


def _floating(call: Call, default: DType) -> DType:
    dtype = call.dtype("dtype", default)
    if not dtype.is_floating:
        raise call.error(f"random numbers of the data type {dtype}")
    return dtype


def _uniform(call: Call, shape: Sequence[Size], default: DType) -> Node:
    low, high = call.number("low", 0.0), call.number("high", 1.0)
    return low + (high - low) * gn.uniform(stream_of(call), tuple(shape), dtype=_floating(call, default))


def _normal(call: Call, shape: Sequence[Size], default: DType) -> Node:
    mean, scale = call.number("mean", 0.0), call.number("scale", 1.0)
    return gn.normal(stream_of(call), tuple(shape), loc=mean, scale=scale, dtype=_floating(call, default))


@onnx_op("RandomUniform")
def random_uniform(call: Call) -> Node:
    """Equally likely from low to high."""
    call.afford(call.integers("shape"))
    return _uniform(call, call.integers("shape"), float32)


@onnx_op("RandomNormal")
def random_normal(call: Call) -> Node:
    """Normally distributed."""
    call.afford(call.integers("shape"))
    return _normal(call, call.integers("shape"), float32)


@onnx_op("RandomUniformLike")
def random_uniform_like(call: Call, x: Node) -> Node:
    """Equally likely from low to high, in the shape of x."""
    return _uniform(call, x.shape, x.dtype)


@onnx_op("RandomNormalLike")
def random_normal_like(call: Call, x: Node) -> Node:
    """Normally distributed, in the shape of x."""
    return _normal(call, x.shape, x.dtype)


@onnx_op("Bernoulli", since=15)
def bernoulli(call: Call, p: Node) -> Node:
    """1 with the probability p, else 0."""
    drawn = gn.uniform(stream_of(call), p.shape, dtype="float64") < p.astype("float64")
    return drawn.astype(call.dtype("dtype", p.dtype))


@onnx_op("Multinomial", since=7)
def multinomial(call: Call, logits: Node) -> Node:
    """Classes with the probabilities softmax(logits), several for each row."""
    if logits.ndim != 2:
        raise call.error(f"the logarithms of probabilities are a matrix, not {logits.spec}")
    count = call.integer("sample_size", 1)
    call.afford(count, *logits.shape)
    drawn = gn.categorical(stream_of(call), gn.expand_dims(logits, axis=1), (logits.shape[0], count))
    return drawn.astype(call.dtype("dtype", gn.int32))
