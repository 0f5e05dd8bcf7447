"""Skip-gram with negative sampling: tell the words that stand around a word from words drawn at random (Mikolov et al. 2013, eq. 4).

    -log sigmoid(w . c) - k x mean over drawn n of log sigmoid(-w . n)          for every word w and each neighbour c

A step reads some words of the running text, not shuffled pairs: neighbours are sums over shifted rows, and the drawn words are shared by
the whole step, so that all of it is two lookups and one product. Frequent words are mostly passed over, and the window's width is drawn for
every word (both from the paper). All draws are functions of the seed and the step alone, so a resumed run draws the same.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.data.batches import Windows
from chatwright.data.corpus import EncodedCorpus
from chatwright.devices import generator
from chatwright.model.skip_gram import SkipGram
from chatwright.training.batches.windows import described
from chatwright.training.stage import Batch, Loss, Stage

SAMPLED_WORDS, NEIGHBOURS_SHOWN = 6, 5


@dataclass(frozen=True, kw_only=True)
class SkipGramBatchConfig:
    words: int = 4096  # of running text a step
    window: int = 5  # neighbours at most this far away
    negatives: float = 5.0  # k: how much words drawn at random count beside one neighbour
    drawn: int = 512  # of them a step, shared by all its words
    keep: float = 1e-4  # words that make up more of the text than this are passed over, the more the oftener; 1 keeps all

    def __post_init__(self) -> None:
        for name in ("words", "window", "drawn"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if not (self.negatives > 0 and self.keep > 0):
            raise ValueError(f"negatives ({self.negatives}) and keep ({self.keep}) must be above 0")


@dataclass(frozen=True)
class SkipGramMicroBatch:
    words: Tensor  # (n,) running text, thinned out
    windows: Tensor  # (n,) how far each looks
    negatives: Tensor  # (N,) words drawn at random


class SkipGramStage(Stage[SkipGram, SkipGramMicroBatch]):
    name = "word-vectors"

    def __init__(
        self,
        text: EncodedCorpus,
        validation: EncodedCorpus,
        vocab_size: int,
        spellings: list[str],
        config: SkipGramBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.text, self.validation, self.spellings, self.config, self.seed, self.device = (
            text,
            validation,
            spellings,
            config,
            seed,
            device,
        )
        counts = torch.bincount(text.stream.long(), minlength=vocab_size).double()
        share = counts / counts.sum()
        self.kept_share = (
            (config.keep / share.clamp(min=1e-12)).sqrt().clamp(max=1.0).float()
        )  # word2vec's, without its second term
        self.drawn_share = (share**0.75).float()
        self.windows = Windows(text.stream, config.words, seed)
        self.n_step = 0

    def next_batch(self) -> Batch[SkipGramMicroBatch]:
        draws = generator(self.seed, f"words of step {self.n_step}")
        self.n_step += 1
        micro = self._drawn(self.windows.take(1)[0], draws)
        return Batch([micro], n_pair(micro.windows))

    def _drawn(self, text: Tensor, draws: torch.Generator) -> SkipGramMicroBatch:
        words = text[torch.rand(len(text), generator=draws) < self.kept_share[text]]
        windows = torch.randint(1, self.config.window + 1, (len(words),), generator=draws)
        negatives = torch.multinomial(
            self.drawn_share, self.config.drawn, replacement=True, generator=draws
        )
        return SkipGramMicroBatch(
            words.to(self.device), windows.to(self.device), negatives.to(self.device)
        )

    def loss(self, model: SkipGram, micro_batch: SkipGramMicroBatch) -> Loss:
        return skip_gram_loss(model, micro_batch, self.config.negatives)

    def fresh_loss(self, model: SkipGram) -> float:
        """Every score is zero: one neighbour and k drawn words, each an even guess."""
        return (1 + self.config.negatives) * math.log(2)

    def evaluate(self, model: SkipGram) -> dict[str, float]:
        """On text kept out of training, with the same draws every time."""
        total, count = 0.0, 0
        for number, text in enumerate(self.validation.stream.long().split(self.config.words)):
            loss = self.loss(model, self._drawn(text, generator(self.seed, f"validation {number}")))
            total, count = total + float(loss.sum), count + loss.count
        return {"validation_loss": total / count} if count else {}

    def samples(self, model: SkipGram) -> list[tuple[str, str]]:
        """The nearest words of some that are neither common nor rare."""
        n_word = sum(
            map(bool, self.spellings)
        )  # the most frequent first; control tokens, which spell nothing, are the last ids
        matrix = F.normalize(model.embedding.weight[:n_word])
        words = [n_word * place // 100 for place in range(1, 1 + SAMPLED_WORDS)]
        nearest = (
            (matrix[words] @ matrix.T).topk(min(n_word, NEIGHBOURS_SHOWN + 1)).indices.tolist()
        )
        return [
            (self.spellings[word], ", ".join(self.spellings[i] for i in found if i != word))
            for word, found in zip(words, nearest, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        return {
            "train": described(self.text),
            "validation": described(self.validation),
            "batches": vars(self.config),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"windows": self.windows.state_dict(), "n_step": self.n_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.windows.load_state_dict(state["windows"])
        self.n_step = state["n_step"]


def n_pair(windows: Tensor) -> int:
    """(word, neighbour) pairs: each word has `windows` neighbours on either side, as far as the text goes."""
    n = len(windows)
    places = torch.arange(n, device=windows.device)
    return int((torch.minimum(windows, places) + torch.minimum(windows, n - 1 - places)).sum())


def skip_gram_loss(model: SkipGram, batch: SkipGramMicroBatch, k: float) -> Loss:
    words, around = model.embedding(batch.words), model.context(batch.words)  # (n, D) twice
    total, n = words.new_zeros(()), len(batch.words)
    pairs = torch.zeros(n, device=words.device)
    for distance in range(1, int(batch.windows.max()) + 1 if n else 0):
        looks = (batch.windows >= distance).float()  # (n,) whether a word looks so far
        for word, neighbour in (
            (slice(distance, n), slice(0, n - distance)),
            (slice(0, n - distance), slice(distance, n)),
        ):
            total -= (
                looks[word] * F.logsigmoid((words[word] * around[neighbour]).sum(dim=1))
            ).sum()
            pairs[word] += looks[word]
    drawn = F.logsigmoid(-words @ model.context(batch.negatives).T).mean(dim=1)  # (n,)
    return Loss(total - k * (pairs * drawn).sum(), int(pairs.sum()))
