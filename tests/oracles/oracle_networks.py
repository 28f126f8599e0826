"""The table of oracles for what networks are made of, by SciPy (values), PyTorch and JAX (values and gradients)."""

import numpy as np
import scipy.signal
import scipy.special
from oracle_row import Late, Row, jax, jnp, labels, lax, plain, small, torch

import graphnn as gn

F = Late("torch.nn.functional")

# --- convolution: ours has channels last; the weights are [height, width, channels / groups, out] ---


def scipy_conv2d(x, w):
    """Without strides and padding: one correlation for each image, channel and kernel."""
    out = [
        [
            sum(scipy.signal.correlate2d(image[..., c], w[..., c, o], "valid") for c in range(w.shape[2]))
            for o in range(w.shape[3])
        ]
        for image in x
    ]
    return np.moveaxis(np.array(out), 1, -1)


def conv_row(name, shape, kernel, stride=1, dilation=1, padding=0, groups=1, scipy=None):
    def by_torch(x, w):
        y = F.conv2d(
            x.permute(0, 3, 1, 2),
            w.permute(3, 2, 0, 1),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        return y.permute(0, 2, 3, 1)

    def by_jax(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            (stride, stride),
            [(padding, padding)] * 2,
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    return Row(
        f"conv2d, {name}",
        lambda x, w: gn.conv2d(x, w, stride=stride, dilation=dilation, padding=padding, groups=groups),
        [(plain, shape), (plain, kernel)],
        scipy=scipy,
        torch=by_torch,
        jax=by_jax,
    )


def transposed_row(name, kernel, stride, dilation=1, padding=0, output_padding=0, groups=1, jax_function=None):
    def by_torch(x, w):
        y = F.conv_transpose2d(
            x.permute(0, 3, 1, 2),
            w.permute(3, 2, 0, 1),
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            groups=groups,
            dilation=dilation,
        )
        return y.permute(0, 2, 3, 1)

    return Row(
        f"conv_transpose2d, {name}",
        lambda x, w: gn.conv_transpose2d(
            x, w, stride=stride, dilation=dilation, padding=padding, output_padding=output_padding, groups=groups
        ),
        [(plain, (2, 5, 6, 4)), (plain, kernel)],
        torch=by_torch,
        jax=jax_function,
    )


def jax_transposed(x, w):
    return lax.conv_transpose(x, w, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), transpose_kernel=True)


def conv1d_by_torch(x, w):
    return F.conv1d(x.mT, w.permute(2, 1, 0), stride=2, padding=1).mT


def conv3d_by_torch(x, w):
    return F.conv3d(x.permute(0, 4, 1, 2, 3), w.permute(4, 3, 0, 1, 2), padding=1).permute(0, 2, 3, 4, 1)


# --- attention: softmax(q k' / sqrt(d)) v ---


def attention(q, k, v, causal=False):
    scores = q @ gn.matrix_transpose(k) / q.shape[-1] ** 0.5
    if causal:
        size = q.shape[-2]
        rows = gn.expand_dims(gn.arange(size), axis=1)
        scores = gn.where(gn.arange(size) <= rows, scores, -np.inf)
    return gn.softmax(scores) @ v


def array_attention(xp, softmax, q, k, v, causal=False):
    scores = q @ xp.swapaxes(k, -1, -2) / q.shape[-1] ** 0.5
    if causal:
        scores = xp.where(np.tri(q.shape[-2], dtype=bool), scores, -np.inf)
    return softmax(scores, axis=-1) @ v


def attention_row(causal):
    return Row(
        f"attention{', causal' if causal else ''}",
        lambda q, k, v: attention(q, k, v, causal),
        [(plain, (2, 3, 7, 4)), (plain, (2, 3, 7, 4)), (plain, (2, 3, 7, 5))],
        scipy=lambda q, k, v: array_attention(np, scipy.special.softmax, q, k, v, causal),
        torch=lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        jax=lambda q, k, v: array_attention(jnp, jax.nn.softmax, q, k, v, causal),
    )


# --- an LSTM of 64 steps: gates in the order input, forget, cell, output ---

STEPS, BATCH, INPUTS, HIDDEN = 64, 3, 4, 5


def lstm(x, h, c, by_input, by_hidden, bias):
    def step(carry, x):
        h, c = carry
        gates = x @ gn.matrix_transpose(by_input) + h @ gn.matrix_transpose(by_hidden) + bias
        i, f, g, o = (gates[:, n * HIDDEN : (n + 1) * HIDDEN] for n in range(4))
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(g)
        h = gn.sigmoid(o) * gn.tanh(c)
        return (h, c), h

    (h, c), hs = gn.scan(step, (h, c), x)
    return hs, h, c


def array_step(xp, sigmoid, carry, x, by_input, by_hidden, bias):
    h, c = carry
    gates = x @ by_input.T + h @ by_hidden.T + bias
    i, f, g, o = (gates[:, n * HIDDEN : (n + 1) * HIDDEN] for n in range(4))
    c = sigmoid(f) * c + sigmoid(i) * xp.tanh(g)
    h = sigmoid(o) * xp.tanh(c)
    return (h, c), h


def scipy_lstm(x, h, c, *weights):
    hs, carry = [], (h, c)
    for row in x:
        carry, h = array_step(np, scipy.special.expit, carry, row, *weights)
        hs.append(h)
    return np.stack(hs), *carry


def torch_lstm(x, h, c, by_input, by_hidden, bias):
    weights = [by_input, by_hidden, bias, torch.zeros_like(bias)]
    hs, h, c = torch.lstm(x, (h[None], c[None]), weights, True, 1, 0.0, False, False, False)
    return hs, h[0], c[0]


def jax_lstm(x, h, c, *weights):
    (h, c), hs = lax.scan(lambda carry, row: array_step(jnp, jax.nn.sigmoid, carry, row, *weights), (h, c), x)
    return hs, h, c


# --- losses and normalisation ---


def scipy_cross_entropy(logits, classes):
    return -np.mean(np.take_along_axis(scipy.special.log_softmax(logits, axis=-1), classes[:, None], axis=-1))


def jax_cross_entropy(logits, classes):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), classes[:, None], axis=-1))


def layer_norm(x, scale, shift):
    centred = x - gn.mean(x, axis=-1, keepdims=True)
    return centred / gn.sqrt(gn.var(x, axis=-1, keepdims=True) + 1e-5) * scale + shift


def array_layer_norm(xp, x, scale, shift):
    return (x - x.mean(-1, keepdims=True)) / xp.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + shift


IMAGES, KERNEL = (2, 7, 8, 4), (3, 2, 4, 6)

ROWS = [
    conv_row("plain", IMAGES, KERNEL, scipy=scipy_conv2d),
    conv_row("padded", IMAGES, KERNEL, padding=1),
    conv_row("strided", IMAGES, KERNEL, stride=2, padding=1),
    conv_row("dilated", IMAGES, KERNEL, dilation=2, padding=2),
    conv_row("grouped", IMAGES, (3, 2, 2, 6), groups=2),
    conv_row("depthwise, strided, dilated", IMAGES, (2, 3, 1, 8), stride=2, dilation=2, padding=1, groups=4),
    transposed_row("strided", (3, 2, 6, 4), stride=2, jax_function=jax_transposed),
    transposed_row("padded", (3, 3, 6, 4), stride=2, padding=1, output_padding=1),
    transposed_row("dilated, grouped", (3, 2, 3, 4), stride=1, dilation=2, padding=1, groups=2),
    Row(
        "conv1d",
        lambda x, w: gn.conv1d(x, w, stride=2, padding=1),
        [(plain, (2, 9, 3)), (plain, (4, 3, 5))],
        torch=conv1d_by_torch,
    ),
    Row(
        "conv3d",
        lambda x, w: gn.conv3d(x, w, padding=1),
        [(plain, (1, 4, 5, 3, 2)), (plain, (3, 3, 3, 2, 3))],
        torch=conv3d_by_torch,
    ),
    Row(
        "max_pool",
        lambda x: gn.max_pool(x, (3, 2), stride=2),
        [(plain, IMAGES)],
        torch=lambda x: F.max_pool2d(x.permute(0, 3, 1, 2), (3, 2), stride=2).permute(0, 2, 3, 1),
    ),
    attention_row(False),
    attention_row(True),
    Row(
        "lstm, 64 steps",
        lstm,
        [
            (plain, (STEPS, BATCH, INPUTS)),
            (small, (BATCH, HIDDEN)),
            (small, (BATCH, HIDDEN)),
            (plain, (4 * HIDDEN, INPUTS)),
            (plain, (4 * HIDDEN, HIDDEN)),
            (plain, (4 * HIDDEN,)),
        ],
        scipy=scipy_lstm,
        torch=torch_lstm,
        jax=jax_lstm,
    ),
    Row(
        "cross-entropy",
        gn.losses.cross_entropy,
        [(plain, (6, 5)), (labels(5), (6,))],
        scipy=scipy_cross_entropy,
        torch=lambda x, classes: F.cross_entropy(x, classes),
        jax=jax_cross_entropy,
    ),
    Row(
        "cross-entropy, smoothed",
        lambda x, classes: gn.losses.cross_entropy(x, classes, label_smoothing=0.1),
        [(plain, (6, 5)), (labels(5), (6,))],
        torch=lambda x, classes: F.cross_entropy(x, classes, label_smoothing=0.1),
    ),
    Row(
        "layer normalisation",
        layer_norm,
        [(plain, (4, 3, 6)), (plain, (6,)), (plain, (6,))],
        scipy=lambda x, scale, shift: array_layer_norm(np, x, scale, shift),
        torch=lambda x, scale, shift: F.layer_norm(x, (6,), scale, shift),
        jax=lambda x, scale, shift: array_layer_norm(jnp, x, scale, shift),
    ),
    Row(
        "softmax",
        lambda x: gn.softmax(x, axis=0),
        [(plain, (5, 4))],
        scipy=lambda x: scipy.special.softmax(x, axis=0),
        torch=lambda x: torch.softmax(x, 0),
        jax=lambda x: jax.nn.softmax(x, axis=0),
    ),
    Row(
        "gelu",
        gn.gelu,
        [(plain, (20,))],
        scipy=lambda x: x * scipy.special.ndtr(x),
        torch=lambda x: F.gelu(x),
        jax=lambda x: jax.nn.gelu(x, approximate=False),
    ),
    Row(
        "cumulative_logsumexp",
        lambda x: gn.cumulative_logsumexp(x, axis=1),
        [(plain, (3, 9))],
        scipy=lambda x: np.logaddexp.accumulate(x, axis=1),
        torch=lambda x: torch.logcumsumexp(x, 1),
        jax=lambda x: lax.cumlogsumexp(x, axis=1),
    ),
]
