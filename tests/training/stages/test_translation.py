"""Translation: the loss equals torch's for each pair, runs resume exactly, the task is learned."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_run import state_bytes, stop_after
from small_translation import LOOP, PAIRS, run, small_model, translation_stage
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.tasks.translate import Translator
from chatwright.training.batches.pairs import PairBatchConfig
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.stages.translation import Translation
from chatwright.training.watcher import Stopped, Watcher


@torch.no_grad()
def logits_and_targets(model: EncoderDecoder, stage: Translation) -> list[tuple[Tensor, Tensor]]:
    """Return logits (T, V) and targets (T,) of every validation pair, unbatched and unpadded."""
    pairs = stage.validation.pairs
    results = []
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        logits = model(torch.tensor([source]), torch.tensor([target[:-1]]))[0]
        results.append((logits, torch.tensor(target[1:])))
    return results


def test_validation_figures_equal_those_of_each_pair_alone() -> None:
    model = small_model().eval()
    stage = translation_stage()
    pairs = logits_and_targets(model, stage)
    loss = sum(float(F.cross_entropy(logits, t, reduction="sum")) for logits, t in pairs)
    n_right = sum(int((logits.argmax(-1) == t).sum()) for logits, t in pairs)
    count = sum(len(targets) for _, targets in pairs)
    with torch.no_grad():
        figures = stage.evaluate(model)
    assert figures == {
        "validation_loss": pytest.approx(loss / count, rel=1e-5),
        "validation_accuracy": n_right / count,
    }


def test_training_loss_equals_the_smoothed_loss_of_each_pair_alone() -> None:
    model = small_model().eval()
    stage = translation_stage(smoothing=0.1)
    pairs = logits_and_targets(model, stage)
    expected = sum(
        float(F.cross_entropy(logits, targets, reduction="sum", label_smoothing=0.1))
        for logits, targets in pairs
    )
    with torch.no_grad():
        losses = [stage.loss(model, micro) for micro in stage.validation.all_pairs()]
    assert sum(float(loss.sum) for loss in losses) == pytest.approx(expected, rel=1e-5)
    assert sum(loss.count for loss in losses) == sum(len(targets) for _, targets in pairs)


def test_two_runs_are_bit_identical(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b")
    assert state_bytes(tmp_path / "a") == state_bytes(tmp_path / "b")


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path) -> None:
    run(tmp_path / "uninterrupted")
    for steps in (1, 3, 4):
        with pytest.raises(Stopped):
            run(tmp_path / "resumed", watcher=Watcher(should_stop=stop_after(steps)))
    run(tmp_path / "resumed")
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_gradient_does_not_depend_on_the_micro_batches() -> None:
    model = small_model(dropout=0.0, embedding_dropout=0.0)
    stage = translation_stage()
    indices = [3, 40, 41, 90, 91, 92, 150]

    def gradients(groups: list[list[int]]) -> list[Tensor]:
        model.zero_grad()
        for group in groups:
            stage.loss(model, stage.batches.micro_batch(group)).sum.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    together = gradients([indices])
    row_by_row = gradients([[i] for i in indices])
    torch.testing.assert_close(together, row_by_row, atol=1e-4, rtol=1e-4)


PRE_NORM: dict[str, Any] = {}
MODERN = {
    "norm": "rms",
    "position": "rotary",
    "activation": "swiglu",
    "qk_norm": True,
    "bias": False,
    "init": "zero",
}


@pytest.mark.parametrize("changes", [PRE_NORM, MODERN], ids=["2017, pre-norm", "modern"])
def test_unseen_sentences_are_translated(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A quarter of the sentences of three words are held out.

    Each word has one translation and the target reverses the order, so cross-attention has to learn
    both.
    """
    unseen = [pair for pair in PAIRS if len(pair.source.split()) == 3][::4]
    seen = [pair for pair in PAIRS if pair not in unseen]
    loop = replace(
        LOOP,
        steps=250,
        evaluate_every=250,
        save_every=250,
        average_decay=0.0,
        optimizer=OptimizerConfig(learning_rate=0.01),
    )
    model = small_model(dropout=0.0, embedding_dropout=0.0, n_decoder_layer=2, **changes)
    stage = translation_stage(PairBatchConfig(tokens=256, accumulate=2), seen, smoothing=0.0)
    finished = run(tmp_path / "out", loop, model, stage)
    loaded, tokenizer = model_directory.load(finished, kind=EncoderDecoder)
    with EncoderDecoderForward(loaded) as forward:
        translator = Translator(forward, tokenizer)
        for width in (1, 4):
            translations = translator.translate([p.source for p in unseen], BeamConfig(width=width))
            texts = [best.text for best, *_ in translations]
            n_right = sum(text == pair.target for text, pair in zip(texts, unseen, strict=True))
            assert n_right >= 0.9 * len(unseen), f"beam width {width}"


def test_description_distinguishes_runs_with_other_pairs_or_smoothing() -> None:
    description = translation_stage().describe()
    assert description["train"]["pairs"] == len(PAIRS)
    assert description["label_smoothing"] == 0.1
    other = translation_stage(pairs=PAIRS[:50]).describe()
    assert other["train"]["sha256"] != description["train"]["sha256"]
