"""Sampled replies depend on model, prompt and number alone, and are sampled only once."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.pipeline.comparison import samples
from chatwright.pipeline.comparison.kept_results import KeptResults
from chatwright.pipeline.comparison.samples import sample_replies
from tests.pipeline.comparison.small_models import CONFIG, prompts, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("samples") / "model", seed=0)


def test_replies_differ_between_prompts_and_samples_and_repeat_with_the_seed(model: Path) -> None:
    rows = prompts(6)
    replies = sample_replies(model, rows, CONFIG, {})
    assert len({reply.message for by_prompt in replies for reply in by_prompt}) > 5
    assert replies == sample_replies(model, rows, CONFIG, {})
    assert replies != sample_replies(model, rows, replace(CONFIG, seed=1), {})


def test_a_reply_does_not_depend_on_the_other_prompts_and_samples(model: Path) -> None:
    rows = prompts(6)
    replies = sample_replies(model, rows, CONFIG, {})
    some = sample_replies(model, [rows[4], rows[1]], CONFIG, {})
    assert some == [replies[4], replies[1]]
    more = sample_replies(model, rows[:2], replace(CONFIG, samples=3), {})
    assert [by_prompt[:2] for by_prompt in more] == replies[:2]


def test_a_copy_of_a_model_gives_equal_replies_without_sampling(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptResults(tmp_path / "kept.jsonl")
    replies = sample_replies(model, prompts(3), CONFIG, kept)
    copy = shutil.copytree(model, tmp_path / "copy")
    monkeypatch.setattr(model_directory, "load", lambda *_: pytest.fail("nothing is missing"))
    again = KeptResults(tmp_path / "kept.jsonl")
    assert sample_replies(copy, prompts(3), CONFIG, again) == replies


def test_an_interrupted_sampling_continues_to_the_same_replies(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "N_KEPT_TOGETHER", 4)
    rows = prompts(6)
    whole = KeptResults(tmp_path / "whole.jsonl")
    replies = sample_replies(model, rows, CONFIG, whole)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    for n_line in (0, 1, 5, 12):
        path = tmp_path / f"{n_line}.jsonl"
        path.write_bytes(b"".join(lines[:n_line]) + b'{"key": "to')
        assert sample_replies(model, rows, CONFIG, KeptResults(path)) == replies
        assert path.read_bytes() == b"".join(lines)


def test_other_weights_or_another_tokenizer_have_other_keys(model: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", seed=1)
    kept: dict[str, object] = {}
    sample_replies(model, prompts(2), CONFIG, kept)
    sample_replies(other, prompts(2), CONFIG, kept)
    assert len(kept) == 8
