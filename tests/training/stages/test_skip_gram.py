"""The loss is its formula pair by pair; only touched rows move; a run resumes to the bit and learns which words go together."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_run import LOOP, run, state_bytes
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.data.encoded_corpus import EncodedCorpus, encode_texts
from chatwright.devices import generator
from chatwright.model.skip_gram import SkipGram, SkipGramConfig, init_weights
from chatwright.tokenizer.word_lookup import token_texts
from chatwright.tokenizer.words import WordTokenizer
from chatwright.training.loop import train
from chatwright.training.stage import Stage
from chatwright.training.stages.skip_gram import (
    SkipGramBatchConfig,
    SkipGramMicroBatch,
    SkipGramStage,
    n_pair,
    skip_gram_loss,
)
from chatwright.training.watcher import Stopped

# Cats are where milk is, dogs where bones are, and nothing else tells them apart.
TEXTS = [
    "the cat drinks milk . the kitten drinks milk . a cat likes milk . a kitten likes milk . " * 30,
    "the dog eats bones . the puppy eats bones . a dog likes bones . a puppy likes bones . " * 30,
]
TOKENIZER = WordTokenizer.train(TEXTS, 50)
SMALL = SkipGramBatchConfig(words=64, window=3, drawn=16, keep=1.0)


def model(width: int = 8) -> SkipGram:
    made = SkipGram(SkipGramConfig(vocab_size=TOKENIZER.vocab_size, d_model=width))
    init_weights(made, generator(0, "weights"))
    return made


def stage(config: SkipGramBatchConfig = SMALL, seed: int = 1) -> SkipGramStage:
    text: EncodedCorpus = encode_texts(TEXTS, TOKENIZER, False)
    return SkipGramStage(
        text,
        encode_texts([TEXTS[0][:200]], TOKENIZER, False),
        TOKENIZER.vocab_size,
        token_texts(TOKENIZER),
        config,
        seed,
        torch.device("cpu"),
    )


def slow_loss(made: SkipGram, batch: SkipGramMicroBatch, k: float) -> tuple[Tensor, int]:
    """Pair by pair, as eq. 4 says it."""
    total, count = torch.zeros(()), 0
    words, windows = batch.words.tolist(), batch.windows.tolist()
    for i, word in enumerate(words):
        for j in range(max(0, i - windows[i]), min(len(words), i + windows[i] + 1)):
            if i == j:
                continue
            w = made.embedding.weight[word]
            total = total - F.logsigmoid(w @ made.context.weight[words[j]])
            total = (
                total
                - k
                * torch.stack(
                    [F.logsigmoid(-w @ made.context.weight[n]) for n in batch.negatives.tolist()]
                ).mean()
            )
            count += 1
    return total, count


def test_the_loss_is_its_formula_pair_by_pair() -> None:
    made, [micro] = model(), stage(replace(SMALL, words=20, keep=0.05)).next_batch().micro_batches
    assert len(micro.words) < 21, "some words are passed over"
    made.context.weight.data.normal_(generator=generator(0, "context"))
    expected, count = slow_loss(made, micro, 2.5)
    loss = skip_gram_loss(made, micro, 2.5)
    torch.testing.assert_close(loss.sum, expected, atol=1e-3, rtol=1e-5)
    assert loss.count == count == n_pair(micro.windows)
    for p in (made.embedding.weight, made.context.weight):
        torch.testing.assert_close(
            torch.autograd.grad(loss.sum, p, retain_graph=True)[0].to_dense(),
            torch.autograd.grad(expected, p, retain_graph=True)[0],
            atol=1e-4,
            rtol=1e-4,
        )


def test_a_fresh_model_guesses_evenly() -> None:
    made, [micro] = model(), stage().next_batch(None).micro_batches
    loss = skip_gram_loss(made, micro, 5.0)
    assert float(loss.sum.detach()) / loss.count == pytest.approx(6 * math.log(2), rel=1e-4)
    assert stage().fresh_loss(made) == pytest.approx(6 * math.log(2))


def test_only_rows_that_were_touched_move(tmp_path: Path) -> None:
    made, text = model(), stage()
    before = made.embedding.weight.detach().clone()
    finished = train_small(tmp_path / "out", made, text)
    untouched = [i for i in range(TOKENIZER.vocab_size) if i not in set(text.text.stream.tolist())]
    assert untouched == list(TOKENIZER.control.all())
    assert torch.equal(made.embedding.weight[untouched], before[untouched])
    loaded, tokenizer = model_directory.load(finished, kind=SkipGram)
    assert isinstance(tokenizer, WordTokenizer)
    assert torch.equal(loaded.embedding.weight, made.embedding.weight)


def train_small(out: Path, made: SkipGram, what: Stage, steps: int = 12) -> Path:
    return train(
        out,
        made,
        what,
        TOKENIZER,
        replace(LOOP, steps=steps, average_decay=0.0, evaluate_every=1000, save_every=1000),
    )


def test_words_that_stand_in_the_same_places_come_together(tmp_path: Path) -> None:
    made = model()
    train_small(tmp_path / "out", made, stage(), steps=150)
    unit = F.normalize(made.embedding.weight)
    cat, kitten, dog, puppy = (
        unit[TOKENIZER.encode(word)[0]] for word in ("cat", "kitten", "dog", "puppy")
    )
    assert (
        min(cat @ kitten, dog @ puppy)
        > max(cat @ dog, cat @ puppy, kitten @ dog, kitten @ puppy) + 0.3
    )


def test_stopped_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("small_run.tokenizer", lambda: TOKENIZER)
    loop = replace(LOOP, average_decay=0.0)
    run(tmp_path / "whole", loop, stage(), model())
    for asked in (3, 4):
        calls = iter(range(1, 100))
        with pytest.raises(Stopped):
            run(
                tmp_path / "parts",
                loop,
                stage(),
                model(),
                should_stop=lambda asked=asked, calls=calls: next(calls) >= asked,
            )
    run(tmp_path / "parts", loop, stage(), model())
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")


@pytest.mark.parametrize(
    "changes",
    [{"words": 32}, {"window": 1}, {"negatives": 1.0}, {"drawn": 4}, {"keep": 0.01}],
    ids=str,
)
def test_every_option_has_an_effect(changes: dict) -> None:
    made = model()
    made.context.weight.data.normal_(generator=generator(0, "context"))
    losses = []
    for config in (SMALL, replace(SMALL, **changes)):
        own = stage(config)
        losses.append(float(own.loss(made, own.next_batch().micro_batches[0]).sum.detach()))
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("field", "value"),
    [("words", 0), ("window", 0), ("drawn", 0), ("negatives", 0.0), ("keep", 0.0)],
)
def test_settings_outside_their_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        SkipGramBatchConfig(**{field: value})
