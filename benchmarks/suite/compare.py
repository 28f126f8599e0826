"""Does a contestant compute the same as graphnn?"""

from .work import Work

CLOSE = 1e-3  # of the largest values
CLOSE_DECREASE = 0.03  # of what training has taken off the loss, which tells whether all gradients are there


def disagreement(work: Work, ours: list[list[float]], theirs: list[list[float]]) -> str:
    """What differs between two series of results, in words; empty where they agree."""
    if len(ours) != len(theirs):
        return f"{len(theirs)} results for {len(ours)}"
    if [len(step) for step in ours] != [len(step) for step in theirs]:
        return f"{len(theirs[0])} numbers for {len(ours[0])}"
    if work.training:
        losses = [(a[0], b[0]) for a, b in zip(ours, theirs, strict=True)]
        for i, (a, b) in enumerate(losses):
            # Beside the first loss: near zero a loss is the difference of almost equal numbers, and has few digits.
            if not abs(a - b) <= CLOSE * max(abs(a), abs(losses[0][0])):
                return f"loss {b:.6g} for {a:.6g} at step {i}"
        a, b = (losses[0][i] - losses[-1][i] for i in (0, 1))
        if not abs(a - b) <= CLOSE_DECREASE * abs(a) + 1e-5 * abs(losses[0][0]):
            return f"the loss fell by {b:.4g}, not by {a:.4g}"
        return ""
    for i, (step, other) in enumerate(zip(ours, theirs, strict=True)):
        size = (sum(x * x for x in step) / len(step)) ** 0.5
        for a, b in zip(step, other, strict=True):
            if not abs(a - b) <= CLOSE * max(abs(a), size):
                return f"{b:.6g} for {a:.6g} at call {i}"
    return ""
