"""Skip-gram with negative sampling: learn word vectors (Mikolov et al. 2013, eq. 4).

    -log sigmoid(w . c) - k x mean over sampled n of log sigmoid(-w . n)

for every word w and neighbor c. A step reads consecutive words of the text, not shuffled pairs. The
vectors of neighbors are then the same rows, shifted, and all words of the step share the sampled
negatives. Frequent words are mostly skipped, and the window is drawn for each word (both as in the
paper). All draws depend on the seed and the step alone, so a resumed run repeats them.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.data.batches import Windows
from chatwright.data.encoded.corpus import EncodedCorpus
from chatwright.devices import generator
from chatwright.model.skip_gram import SkipGram
from chatwright.training.batches.windows import describe_corpus
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch, Loss
from chatwright.training.stages.supervised import SupervisedStage

N_SAMPLE = 6
"""Words whose nearest words are shown at an evaluation."""
N_NEAREST = 5
"""Nearest words shown for each of them."""


@dataclass(frozen=True, kw_only=True)
class SkipGramBatchConfig:
    """Settings of a step of word-vector training."""

    words: int = 4096
    """Consecutive words of text in a step."""
    window: int = 5
    """Largest distance of a neighbor, in words."""
    negatives: float = 5.0
    """Weight of the mean over the sampled words, relative to one neighbor (k in the formula)."""
    drawn: int = 512
    """Words sampled as negatives in a step, shared by all words of the step."""
    keep: float = 1e-4
    """Words above this frequency are skipped at random, frequent ones more often; 1: never."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "batches")
        for name in ("words", "window", "drawn"):
            require(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ("negatives", "keep"):
            require(name, getattr(self, name) > 0, "must be above 0")


@dataclass(frozen=True)
class SkipGramMicroBatch:
    """Words of a step: words (n,) left after skipping, their windows (n,), negatives (N,)."""

    words: Tensor
    windows: Tensor
    negatives: Tensor


class SkipGramBatches:
    """Consecutive words of a text, with windows and negatives drawn for every step."""

    def __init__(
        self,
        corpus: EncodedCorpus,
        vocab_size: int,
        config: SkipGramBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.corpus = corpus
        self.config = config
        self.seed = seed
        self.device = device
        counts = torch.bincount(corpus.stream.long(), minlength=vocab_size).double()
        share = counts / counts.sum()
        # word2vec keeps the share sqrt(t / f) + t / f of a word with frequency f, where t is the
        # setting `keep`. We leave out the second term.
        keep = (config.keep / share.clamp(min=1e-12)).sqrt()
        self.keep_probability = keep.clamp(max=1.0).float()
        self.negative_weights = (share**0.75).float()
        self.windows = Windows(corpus.stream, config.words, seed)
        self.n_step = 0

    def next_batch(self) -> Batch[SkipGramMicroBatch]:
        """Return the next words of the text."""
        draws = generator(self.seed, f"words of step {self.n_step}")
        self.n_step += 1
        micro = self.sample(self.windows.take(1)[0], draws)
        return Batch([micro], n_pair(micro.windows))

    def sample(self, text: Tensor, draws: torch.Generator) -> SkipGramMicroBatch:
        """Skip frequent words of `text` (n,) and draw windows and negatives."""
        is_kept = torch.rand(len(text), generator=draws) < self.keep_probability[text]
        words = text[is_kept]
        windows = torch.randint(1, self.config.window + 1, (len(words),), generator=draws)
        negatives = torch.multinomial(
            self.negative_weights, self.config.drawn, replacement=True, generator=draws
        )
        return SkipGramMicroBatch(
            words.to(self.device), windows.to(self.device), negatives.to(self.device)
        )

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the text."""
        return describe_corpus(self.corpus)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the text and the number of steps drawn."""
        return {"windows": self.windows.state_dict(), "n_step": self.n_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.windows.load_state_dict(state["windows"])
        self.n_step = state["n_step"]


class SkipGramStage(SupervisedStage[SkipGram, SkipGramMicroBatch]):
    """Learn a vector for every word."""

    name = "word-vectors"
    batches: SkipGramBatches

    def __init__(
        self, batches: SkipGramBatches, validation: EncodedCorpus, spellings: list[str]
    ) -> None:
        """Set up the stage; `spellings` holds the text of every token, "" for control tokens."""
        super().__init__(batches, validation, torch.float32)
        self.spellings = spellings

    def loss(self, model: SkipGram, micro_batch: SkipGramMicroBatch) -> Loss:
        """Return the summed loss of all (word, neighbor) pairs."""
        return skip_gram_loss(model, micro_batch, self.batches.config.negatives)

    def fresh_loss(self, model: SkipGram) -> float:
        """Return the loss of an untrained model, whose scores are all zero: (1 + k) ln 2."""
        return (1 + self.batches.config.negatives) * math.log(2)

    def evaluate(self, model: SkipGram) -> dict[str, float]:
        """Return the validation loss, with the same draws every time."""
        total = 0.0
        count = 0
        batches = self.batches
        for number, text in enumerate(self.validation.stream.long().split(batches.config.words)):
            draws = generator(batches.seed, f"validation {number}")
            loss = self.loss(model, batches.sample(text, draws))
            total += float(loss.sum)
            count += loss.count
        return {"validation_loss": total / count} if count else {}

    def samples(self, model: SkipGram) -> list[tuple[str, str]]:
        """Return the nearest words of the words at 1 % to 6 % of the frequency ranking."""
        # Tokens are sorted by frequency; the control tokens, which spell nothing, are the last ids.
        n_word = sum(map(bool, self.spellings))
        matrix = F.normalize(model.embedding.weight[:n_word])
        words = [n_word * percent // 100 for percent in range(1, 1 + N_SAMPLE)]
        similarity = matrix[words] @ matrix.T
        nearest = similarity.topk(min(n_word, N_NEAREST + 1)).indices.tolist()
        return [
            (self.spellings[word], ", ".join(self.spellings[i] for i in ids if i != word))
            for word, ids in zip(words, nearest, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of training and validation text."""
        return {
            "train": self.batches.describe(),
            "validation": describe_corpus(self.validation),
            "batches": vars(self.batches.config),
        }


def n_pair(windows: Tensor) -> int:
    """Count (word, neighbor) pairs: `windows` neighbors on either side, within the text."""
    n = len(windows)
    positions = torch.arange(n, device=windows.device)
    before = torch.minimum(windows, positions)
    after = torch.minimum(windows, n - 1 - positions)
    return int((before + after).sum())


def skip_gram_loss(model: SkipGram, batch: SkipGramMicroBatch, k: float) -> Loss:
    """Return the summed loss of all (word, neighbor) pairs of a step."""
    n = len(batch.words)
    words = model.embedding(batch.words)  # (n, D)
    contexts = model.context(batch.words)  # (n, D)
    total = words.new_zeros(())
    pairs = torch.zeros(n, device=words.device)
    for distance in range(1, int(batch.windows.max()) + 1 if n else 0):
        is_inside = (batch.windows >= distance).float()  # (n,)
        left = slice(0, n - distance)
        right = slice(distance, n)
        for word, neighbor in ((right, left), (left, right)):
            score = (words[word] * contexts[neighbor]).sum(dim=1)
            total -= (is_inside[word] * F.logsigmoid(score)).sum()
            pairs[word] += is_inside[word]
    negatives = F.logsigmoid(-words @ model.context(batch.negatives).T).mean(dim=1)  # (n,)
    return Loss(total - k * (pairs * negatives).sum(), int(pairs.sum()))
