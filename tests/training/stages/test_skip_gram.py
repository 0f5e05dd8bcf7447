"""Skip-gram: its loss equals the formula, runs resume exactly, similar words are close."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_run import CPU, LOOP, state_bytes, stop_after
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.data.encoded.corpus import encode_texts
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.skip_gram import SkipGram, SkipGramConfig, init_weights
from chatwright.tokenizer.word_lookup import token_texts
from chatwright.tokenizer.words import WordTokenizer
from chatwright.training.loop import train
from chatwright.training.stages.skip_gram import (
    SkipGramBatchConfig,
    SkipGramBatches,
    SkipGramMicroBatch,
    SkipGramStage,
    n_pair,
    skip_gram_loss,
)
from chatwright.training.watcher import Stopped, Watcher

# Cats have milk as a neighbor and dogs have bones; all other neighbors are the same.
TEXTS = [
    "the cat drinks milk . the kitten drinks milk . a cat likes milk . a kitten likes milk . " * 30,
    "the dog eats bones . the puppy eats bones . a dog likes bones . a puppy likes bones . " * 30,
]
TOKENIZER = WordTokenizer.train(TEXTS, 50)
CONFIG = SkipGramBatchConfig(words=64, window=3, drawn=16, keep=1.0)


def small_model() -> SkipGram:
    model = SkipGram(SkipGramConfig(vocab_size=TOKENIZER.vocab_size, d_model=8))
    init_weights(model, generator(0, "weights"))
    return model


def random_model() -> SkipGram:
    """Return a model whose context vectors are random; those of an untrained model are zero."""
    model = small_model()
    model.context.weight.data.normal_(generator=generator(0, "context"))
    return model


def skip_gram_stage(config: SkipGramBatchConfig = CONFIG, seed: int = 1) -> SkipGramStage:
    corpus = encode_texts(TEXTS, TOKENIZER, False)
    validation = encode_texts([TEXTS[0][:200]], TOKENIZER, False)
    batches = SkipGramBatches(corpus, TOKENIZER.vocab_size, config, seed, CPU)
    return SkipGramStage(batches, validation, token_texts(TOKENIZER))


def loss_pair_by_pair(model: SkipGram, batch: SkipGramMicroBatch, k: float) -> tuple[Tensor, int]:
    """Return the summed loss and the number of pairs, as eq. 4 of the paper defines them."""
    total = torch.zeros(())
    count = 0
    words = batch.words.tolist()
    negatives = model.context.weight[batch.negatives]  # (N, D)
    for i, word in enumerate(words):
        window = int(batch.windows[i])
        vector = model.embedding.weight[word]
        negative_term = F.logsigmoid(-negatives @ vector).mean()
        for j in range(max(0, i - window), min(len(words), i + window + 1)):
            if i != j:
                neighbor = model.context.weight[words[j]]
                total = total - F.logsigmoid(vector @ neighbor) - k * negative_term
                count += 1
    return total, count


def test_loss_and_gradients_equal_the_formula_pair_by_pair() -> None:
    model = random_model()
    stage = skip_gram_stage(replace(CONFIG, words=20, keep=0.05))
    [micro] = stage.next_batch(model).micro_batches
    assert len(micro.words) < 21, "none of the 21 words was skipped, so skipping is not tested"
    expected, count = loss_pair_by_pair(model, micro, 2.5)
    loss = skip_gram_loss(model, micro, 2.5)
    torch.testing.assert_close(loss.sum, expected, atol=1e-3, rtol=1e-5)
    assert loss.count == count == n_pair(micro.windows)
    weights = (model.embedding.weight, model.context.weight)
    for gradient, expected_gradient in zip(
        torch.autograd.grad(loss.sum, weights), torch.autograd.grad(expected, weights), strict=True
    ):
        torch.testing.assert_close(gradient.to_dense(), expected_gradient, atol=1e-4, rtol=1e-4)


def test_untrained_model_has_the_loss_of_scores_of_zero() -> None:
    """(1 + k) ln 2, with k = 5 negatives."""
    model = small_model()
    stage = skip_gram_stage()
    [micro] = stage.next_batch(model).micro_batches
    loss = skip_gram_loss(model, micro, 5.0)
    assert float(loss.sum.detach()) / loss.count == pytest.approx(6 * math.log(2), rel=1e-4)
    assert stage.fresh_loss(model) == pytest.approx(6 * math.log(2))


def run(out: Path, model: SkipGram, steps: int = 12, watcher: Watcher = Watcher()) -> Path:
    loop = replace(LOOP, steps=steps, average_decay=0.0)
    return train(out, model, skip_gram_stage(), TOKENIZER, loop, watcher)


def test_vectors_of_tokens_that_are_not_in_the_text_do_not_move(tmp_path: Path) -> None:
    model = small_model()
    before = model.embedding.weight.detach().clone()
    run(tmp_path / "out", model)
    in_text = set(encode_texts(TEXTS, TOKENIZER, False).stream.tolist())
    not_in_text = [i for i in range(TOKENIZER.vocab_size) if i not in in_text]
    assert not_in_text == list(TOKENIZER.control.all())
    assert torch.equal(model.embedding.weight[not_in_text], before[not_in_text])
    assert not torch.equal(model.embedding.weight, before)


def test_finished_model_can_be_loaded(tmp_path: Path) -> None:
    model = small_model()
    loaded, tokenizer = model_directory.load(run(tmp_path / "out", model), kind=SkipGram)
    assert isinstance(tokenizer, WordTokenizer)
    assert torch.equal(loaded.embedding.weight, model.embedding.weight)


def test_words_with_the_same_neighbors_get_similar_vectors(tmp_path: Path) -> None:
    model = small_model()
    run(tmp_path / "out", model, steps=150)
    unit = F.normalize(model.embedding.weight.detach())
    vectors = {word: unit[TOKENIZER.encode(word)[0]] for word in ("cat", "kitten", "dog", "puppy")}

    def similarity(first: str, second: str) -> float:
        return float(vectors[first] @ vectors[second])

    related = min(similarity("cat", "kitten"), similarity("dog", "puppy"))
    unrelated = max(similarity(c, d) for c in ("cat", "kitten") for d in ("dog", "puppy"))
    assert related > unrelated + 0.3


def test_samples_are_words_with_their_nearest_words() -> None:
    """Compared with a sort of all similarities."""
    stage = skip_gram_stage()
    model = random_model()
    n_word = sum(map(bool, stage.spellings))
    unit = F.normalize(model.embedding.weight[:n_word])
    for word, nearest in stage.samples(model):
        i = stage.spellings.index(word)
        order = (unit @ unit[i]).argsort(descending=True).tolist()
        expected = [stage.spellings[j] for j in order if j != i][:5]
        assert nearest.split(", ") == expected


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path) -> None:
    run(tmp_path / "uninterrupted", small_model())
    for steps in (3, 4):
        with pytest.raises(Stopped):
            run(tmp_path / "resumed", small_model(), watcher=Watcher(should_stop=stop_after(steps)))
    run(tmp_path / "resumed", small_model())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


@pytest.mark.parametrize(
    "changes",
    [{"words": 32}, {"window": 1}, {"negatives": 1.0}, {"drawn": 4}, {"keep": 0.01}],
    ids=str,
)
def test_every_setting_has_an_effect(changes: dict[str, Any]) -> None:
    model = random_model()
    losses = []
    for config in (CONFIG, replace(CONFIG, **changes)):
        stage = skip_gram_stage(config)
        [micro] = stage.next_batch(model).micro_batches
        losses.append(float(stage.loss(model, micro).sum.detach()))
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("words", 0), ("window", 0), ("drawn", 0), ("negatives", 0.0), ("keep", 0.0)],
)
def test_setting_out_of_range_is_an_error(name: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        SkipGramBatchConfig(**{name: value})
    assert caught.value.field == f"batches.{name}"
    assert caught.value.value == value
