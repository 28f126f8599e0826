"""A graph of 10,000 operations on single numbers (the world of micrograd): its value, and the gradient by 16 inputs.

Operations come by threes, `t = tanh(op2(op1(last, a), b))`, where op1 and op2 are +, - or *, and a and b are among the last 16
values of tanh (at first each input in turn). So nothing grows without bound, and nothing is left unused.
"""

import numpy as np

from ..work import Data, Work

INPUTS = 16


def data(work: Work) -> Data:
    return Data({}, (np.random.default_rng(1).uniform(-1, 1, INPUTS).astype(work.dtype),))


def program(work: Work) -> list[tuple[str, int, int]]:
    """Operations in order, as (kind, operand, operand); inputs have the first 16 numbers, results those that follow."""
    rng = np.random.default_rng(0)
    recent = list(range(INPUTS))  # the numbers of values that may be read
    steps: list[tuple[str, int, int]] = []
    reads = 0
    for _ in range(INPUTS if work.small else 3333):
        last = recent[-1]
        for _ in range(2):
            kind = ("add", "subtract", "multiply")[rng.integers(3)]
            read = reads if reads < INPUTS else recent[rng.integers(INPUTS)]
            steps.append((kind, last, read))
            reads += 1
            last = INPUTS + len(steps) - 1
        steps.append(("tanh", last, last))
        recent = [*recent[1:], INPUTS + len(steps) - 1]
    return steps


def result(steps, values, functions):
    """Run the program on numbers, nodes or tensors: `functions` are those of add, subtract, multiply and tanh by name."""
    values = list(values)
    for kind, i, j in steps:
        f = functions[kind]
        values.append(f(values[i]) if kind == "tanh" else f(values[i], values[j]))
    return values[-1]
