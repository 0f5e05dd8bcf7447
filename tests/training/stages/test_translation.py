"""The translation stage: its loss is the formula, its runs resume to the bit, and what it learns is the task."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_run import state_bytes
from translation_run import BATCHES, CPU, LOOP, PAIRS, TOKENIZER, model, run, stage

from chatwright.checkpoint import model_directory
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.tasks.translate import Translator
from chatwright.training.batches.pairs import PairBatchConfig, PairBatches
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.watcher import Stopped, Watcher


def test_loss_and_validation_are_those_of_each_pair_alone() -> None:
    """Unbatched and unpadded, with torch's own cross-entropy; smoothed in training, plain in validation."""
    made, of = model().eval(), stage()
    encoded = of.validation.pairs
    plain = smoothed = right = count = 0.0
    with torch.no_grad():
        for source, target in zip(encoded.sources, encoded.targets, strict=True):
            logits, wanted = (
                made(torch.tensor([source]), torch.tensor([target[:-1]]))[0],
                torch.tensor(target[1:]),
            )
            plain += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
            smoothed += float(
                torch.nn.functional.cross_entropy(
                    logits, wanted, reduction="sum", label_smoothing=0.1
                )
            )
            right += int((logits.argmax(-1) == wanted).sum())
            count += len(wanted)
        losses = [of.loss(made, micro) for micro in of.validation.all_pairs()]
        figures = of.evaluate(made)
    assert sum(loss.count for loss in losses) == count
    assert sum(float(loss.sum) for loss in losses) == pytest.approx(smoothed, rel=1e-5)
    assert figures == {
        "validation_loss": pytest.approx(plain / count, rel=1e-5),
        "validation_accuracy": right / count,
    }


def test_two_runs_are_identical_and_stopped_and_resumed_equals_uninterrupted(
    tmp_path: Path,
) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "again")
    assert state_bytes(tmp_path / "again") == state_bytes(tmp_path / "whole")
    for asked in (1, 3, 4):
        calls = iter(range(1, 100))
        with pytest.raises(Stopped):
            run(
                tmp_path / "parts",
                watcher=Watcher(should_stop=lambda asked=asked, calls=calls: next(calls) >= asked),
            )
    run(tmp_path / "parts")
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")


def test_in_one_piece_equals_row_by_row(tmp_path: Path) -> None:
    """The gradient of a step does not depend on how its pairs are cut into micro-batches."""
    made, of = model(dropout=0.0, embedding_dropout=0.0), stage()
    indices = [3, 40, 41, 90, 91, 92, 150]

    def gradients(groups: list[list[int]]) -> list[torch.Tensor]:
        made.zero_grad()
        for group in groups:
            of.loss(made, of.batches.micro_batch(group)).sum.backward()
        return [p.grad.clone() for p in made.parameters() if p.grad is not None]

    for a, b in zip(gradients([indices]), gradients([[i] for i in indices]), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


MODERN = {
    "norm": "rms",
    "position": "rotary",
    "activation": "swiglu",
    "qk_norm": True,
    "bias": False,
    "init": "zero",
}


@pytest.mark.parametrize("changes", [{}, MODERN], ids=["2017, pre-norm", "modern"])
def test_it_learns_to_translate_what_it_has_never_seen(tmp_path: Path, changes: dict) -> None:
    """Each word has a translation and the order is turned round: cross-attention has to find both. Half of the triples are held out."""
    triples = [pair for pair in PAIRS if len(pair.source.split()) == 3]
    train, unseen = [pair for pair in PAIRS if pair not in triples[::4]], triples[::4]
    loop = replace(
        LOOP,
        steps=250,
        evaluate_every=250,
        save_every=250,
        average_decay=0.0,
        optimizer=OptimizerConfig(learning_rate=0.01),
    )
    finished = run(
        tmp_path / "out",
        loop,
        model(dropout=0.0, embedding_dropout=0.0, n_decoder_layer=2, **changes),
        stage(PairBatchConfig(tokens=256, accumulate=2), train, smoothing=0.0),
    )
    loaded, tokenizer = model_directory.load(finished, kind=EncoderDecoder)
    with EncoderDecoderForward(loaded) as forward:
        for width in (1, 4):
            found = Translator(forward, tokenizer).translate(
                [pair.source for pair in unseen], BeamConfig(width=width)
            )
            right = sum(
                best.text == pair.target for (best, *_), pair in zip(found, unseen, strict=True)
            )
            assert right >= 0.9 * len(unseen), f"{right} of {len(unseen)} at width {width}"


def test_the_optimizer_knows_the_matrices_of_both_sides() -> None:
    from chatwright.training.optim.muon import Muon
    from chatwright.training.optim.optimizer import Optimizer

    made = model()
    [muon] = [
        part
        for part in Optimizer(made, OptimizerConfig(), torch.float32).parts
        if isinstance(part, Muon)
    ]
    given = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {name for name, p in made.named_parameters() if id(p) in given}
    assert names == {
        name for name, p in made.named_parameters() if ".blocks." in name and p.ndim == 2
    }
    assert any("cross_attention" in name for name in names)


def test_the_description_tells_one_run_from_another() -> None:
    described = stage().describe()
    assert described["train"]["pairs"] == len(PAIRS)
    assert described["label_smoothing"] == 0.1
    other = PairBatches(
        stage(pairs=PAIRS[:50]).batches.pairs, TOKENIZER.control.pad, BATCHES, 1, CPU
    )
    assert other.describe()["sha256"] != described["train"]["sha256"]
