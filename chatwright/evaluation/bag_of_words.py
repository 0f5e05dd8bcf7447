"""A baseline of preferences that knows only which words a reply has: logistic regression.

The probability that a reply is preferred to another one is sigmoid(w (x - y)), where x and y hold
log(1 + number of occurrences) of each word. The weights minimize the negative log-likelihood of the
pairs plus PENALTY |w|^2 / 2, by L-BFGS (Liu & Nocedal 1989). The prompt does not count: it is the
same on both sides.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

WORD = re.compile(r"\w+|[^\w\s]")
MOST_WORDS = 5000
"""The most frequent words of the training data are used."""
PENALTY = 1.0
N_ITERATION = 100


class BagOfWords:
    """Scores replies by their words."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Learn from pairs of a preferred and another reply."""
        counts: Counter[str] = Counter()
        for pair in pairs:
            for text in pair:
                counts.update(set(words_of(text)))
        # Frequent words first, then in alphabetical order: equal data give an equal vocabulary.
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        self.index = {word: i for i, (word, _) in enumerate(ranked[:MOST_WORDS])}
        features = self._features([text for pair in pairs for text in pair])
        self.weights = fit(features, len(self.index))

    def score(self, text: str) -> float:
        """Return the score of a reply; words that training did not see count nothing."""
        return sum(
            float(self.weights[self.index[word]]) * math.log1p(count)
            for word, count in Counter(words_of(text)).items()
            if word in self.index
        )

    def _features(self, texts: Sequence[str]) -> Tensor:
        """Return the features of each first text minus those of its second, (N, V) sparse."""
        rows, columns, values = [], [], []
        for number, text in enumerate(texts):
            for word, count in Counter(words_of(text)).items():
                if word in self.index:
                    rows.append(number // 2)
                    columns.append(self.index[word])
                    values.append(math.log1p(count) * (1 if number % 2 == 0 else -1))
        size = (len(texts) // 2, max(1, len(self.index)))
        table = torch.sparse_coo_tensor(
            torch.tensor([rows, columns], dtype=torch.long),
            torch.tensor(values, dtype=torch.double),
            size,
            check_invariants=True,
        )
        return table.coalesce()


def words_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case."""
    return WORD.findall(text.lower())


def fit(differences: Tensor, n_word: int) -> Tensor:
    """Return the weights that minimize the penalized loss. (N, V) sparse -> (V,) float64."""
    transposed = differences.t().coalesce()
    weights = torch.zeros(max(1, n_word), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=N_ITERATION,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        with torch.no_grad():
            margins = (differences @ weights[:, None])[:, 0]
            # d/dw of sum -log sigmoid(w d) + PENALTY |w|^2 / 2
            weights.grad = PENALTY * weights - (transposed @ torch.sigmoid(-margins)[:, None])[:, 0]
            loss = torch.nn.functional.softplus(-margins).sum()
            return loss + PENALTY * weights.square().sum() / 2

    optimizer.step(closure)
    return weights.detach()
