"""A transformer learns to turn words round: what attention is for, and where it looks.

The model reads a word, then a bar, and must go on with the same letters in reverse: ``abcd|dcba``. No step-by-step program
tells it how to. Attention lets every place ask all places before it, and take a mean of what they hold; training finds the
questions. Afterwards the weights of that mean can be looked at: the place that is to write the third letter looks at the
second one.

    python examples/transformer.py
"""

import math

import numpy as np

import graphnn as gn
from graphnn import losses, nn, optim

LETTERS = "|abcdef"
LENGTH = 4
PLACES = 2 * LENGTH  # the letters, the bar, and all letters of the answer but the last, which nothing follows


class Reverser(nn.Module):
    """One block of a transformer: attention, then a small network at each place, each added to what is there."""

    def __init__(self, size: int = 32) -> None:
        # A letter and a place are vectors that are learned; their sum says which letter stands where.
        self.letters, self.places = nn.Embedding(len(LETTERS), size), nn.Embedding(PLACES, size)
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = nn.MultiheadAttention(size, num_heads=1)
        self.network = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))
        self.out = nn.Linear(size, len(LETTERS))

    def embed(self, text: gn.Node) -> gn.Node:
        return self.letters(text) + self.places(gn.arange(PLACES))

    def forward(self, text: gn.Node) -> gn.Node:
        x = self.embed(text)
        x = x + self.attention(self.norm1(x), causal=True)  # causal: nobody may look at what comes later
        x = x + self.network(self.norm2(x))
        return self.out(x)

    def looks(self, text: gn.Node) -> gn.Node:
        """The weights of the attention: how much each place (row) takes from each other one (column)."""
        x = self.norm1(self.embed(text))
        layer = self.attention
        scores = layer.q_proj(x) @ gn.matrix_transpose(layer.k_proj(x)) / math.sqrt(layer.head_dim)
        return gn.masked_softmax(scores, gn.tril(gn.ones((PLACES, PLACES), dtype="int8")) == 1)


def words(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts ``abcd|dcb`` as numbers, and what follows each place: -1 where that cannot be known."""
    word = np.random.default_rng(seed).integers(1, len(LETTERS), (count, LENGTH))
    back = word[:, ::-1]
    text = np.concatenate([word, np.zeros((count, 1), int), back[:, :-1]], axis=1)
    unknown = np.full((count, LENGTH), -1)
    return text, np.concatenate([unknown, back], axis=1)


def main() -> dict[str, float]:
    model = Reverser()
    model.seed = 0
    trainer = gn.Trainer(
        model,
        # Nobody can know the next letter of the word itself: these places do not count.
        loss=lambda logits, following: losses.cross_entropy(logits, following, ignore_index=-1),
        optimizer=optim.Adam(0.02),
    )
    text, following = words(512, seed=1)
    history = trainer.fit(text, following, epochs=4, batch_size=64, verbose="lines")

    unseen, answers = words(200, seed=2)
    found = trainer.predict(unseen).argmax(-1)[:, LENGTH:]
    right = float((found == answers[:, LENGTH:]).all(axis=1).mean())
    print(f"\n{right:.0%} of 200 new words are turned round without a mistake, such as")
    for row, answer in zip(unseen[:3, :LENGTH], found[:3], strict=True):
        print("   ", "".join(LETTERS[i] for i in row), "->", "".join(LETTERS[i] for i in answer))

    weights = gn.evaluate(model.looks(gn.constant(unseen[:1])))[0]
    shown = "".join(LETTERS[i] for i in unseen[0])
    print("\nWhere each place looks (row by row; # more than 3/4, + more than 1/4):\n")
    print("       ", " ".join(shown))
    for place in range(LENGTH, PLACES):
        marks = ["#" if w > 0.75 else "+" if w > 0.25 else "." for w in weights[place]]
        print(f"   {shown[place]} -> {' '.join(marks)}")
    # The place that writes letter number i of the answer should look at letter number LENGTH - 1 - i of the word.
    wanted = [weights[LENGTH + i, LENGTH - 1 - i] for i in range(LENGTH)]
    return {"right": right, "looks": float(np.mean(wanted)), "loss": history["loss"][-1]}


if __name__ == "__main__":
    main()
