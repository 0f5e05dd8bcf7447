"""Skills and bits per byte of two models: equal to the suites of `chatwright eval`, and paired."""

from pathlib import Path

import pytest

from chatwright import starter
from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.evaluation.starter import score_exam
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.comparison.capabilities import compare_bits_per_byte, compare_skills
from chatwright.pipeline.evaluate import reply_greedily
from chatwright.tokenizer.byte_bpe import ByteBPE

N_PER_SKILL = 2
SHAPE = {"n_layer": 1, "d_model": 32, "d_ff": 64, "n_head": 2, "context_length": 512}


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two untrained models with different vocabularies."""
    folder = tmp_path_factory.mktemp("models")
    for number, vocab_size in enumerate((300, 310)):
        tokenizer = ByteBPE.train(
            ["the cat sat on the mat, the dog sat on the log. " * 20], vocab_size
        )
        model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, **SHAPE))
        init_weights(model, generator(number, "weights"))
        model_directory.save(folder / str(number), model, tokenizer)
    return folder / "0", folder / "1"


def test_scores_of_skills_equal_those_of_the_exam(models: tuple[Path, Path]) -> None:
    kept: dict[str, object] = {}
    skills = compare_skills(models[0], models[1], N_PER_SKILL, kept, silent)
    items = starter.exam_items(n_per_skill=N_PER_SKILL)
    model, tokenizer = model_directory.load(models[1])
    expected = score_exam(lambda prompts: reply_greedily(model, tokenizer, prompts), items)
    assert {name: scores.after for name, scores in skills.items()} == {
        name: entry["score"] for name, entry in expected["skills"].items()
    }
    assert len(kept) == 2, "each model is tested once"
    assert compare_skills(models[0], models[1], N_PER_SKILL, kept, silent) == skills


def test_bits_per_byte_equal_those_of_the_evaluation_across_vocabularies(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    texts = [f"{i} cats sat on the mat. " * (i + 20) for i in range(3)]
    (tmp_path / "texts").mkdir()
    for i, text in enumerate(texts):
        (tmp_path / "texts" / f"{i}.txt").write_text(text)
    measured = compare_bits_per_byte(models[0], models[1], tmp_path / "texts", {}, silent)
    for value, path in zip((measured.before, measured.after), models, strict=True):
        model, tokenizer = model_directory.load(path)
        expected = bits_per_byte(model, tokenizer, texts, 512).bits_per_byte
        assert value == pytest.approx(expected)
    assert measured.change.value == pytest.approx(measured.after / measured.before - 1)
    assert measured.change.low <= measured.change.value <= measured.change.high
