"""One stage without a recipe: which vocabulary it uses."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.training.watcher import Watcher

SETTINGS = [
    "model.size=nano",
    "model.context_length=32",
    "loop.steps=2",
    "loop.warmup=1",
    "loop.evaluate_every=2",
    "batches.rows=2",
    "sample_tokens=2",
    "validation_share=0.2",
    "loop.precision=float32",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory of small texts."""
    directory = tmp_path / "texts"
    directory.mkdir()
    for number in range(10):
        text = f"cat {number} sat on mat {number}, and dog {number} ran home. " * 8
        (directory / f"{number}.txt").write_text(text, encoding="utf-8")
    return directory


def prepare(data: Path, out: Path, vocab_size: int):
    """Prepare pretraining as `chatwright train pretrain` does."""
    options = StageOptions(data=str(data), out=out, overrides=SETTINGS, vocab_size=vocab_size)
    return prepare_stage(stage_kind("pretrain"), options, Watcher())


def test_the_vocabulary_is_learned_again_if_data_or_size_changed_before_training(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = prepare(data, out, 272).tokenizer
    assert prepare(data, out, 272).tokenizer.vocab_size == first.vocab_size
    larger = prepare(data, out, 284).tokenizer
    assert larger.vocab_size > first.vocab_size
    (data / "new.txt").write_text("zebra quagga okapi " * 2000, encoding="utf-8")
    changed = prepare(data, out, 284).tokenizer
    assert len(changed.encode("zebra quagga")) < len(larger.encode("zebra quagga"))


def test_a_run_refuses_another_vocabulary_size(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(data, out, 272).run(out, Watcher())
    with pytest.raises(InputError) as refused:
        prepare(data, out, 284)
    assert refused.value.field == "--vocab-size"
    assert refused.value.value == 284
