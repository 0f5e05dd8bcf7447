"""The held-out win rate of a model in training: even at the start, and equal after a resume."""

from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.evaluation.judges import ScoreJudge
from chatwright.pipeline.held_out_win_rate import HeldOutWinRate
from tests.pipeline.comparison.small_models import CONFIG, prompts, save_model

SHORTER = ScoreJudge("shorter", lambda _, replies: [-float(len(r.text)) for r in replies])


def test_it_is_even_at_the_start_and_compares_with_kept_replies(tmp_path: Path) -> None:
    start, later = save_model(tmp_path / "start", 0), save_model(tmp_path / "later", 1)
    model, tokenizer = model_directory.load(start)
    changed, _ = model_directory.load(later)
    file = tmp_path / "held_out.jsonl"

    def measure() -> HeldOutWinRate:
        return HeldOutWinRate(start, tokenizer, prompts(12), SHORTER, file, CONFIG)

    first = measure()
    assert first(model) == 0.5
    value = first(changed)
    assert value != 0.5
    backward = HeldOutWinRate(
        later, tokenizer, prompts(12), SHORTER, tmp_path / "other.jsonl", CONFIG
    )
    assert backward(model) == pytest.approx(1 - value)
    assert file.read_bytes().count(b"\n") == 12 * CONFIG.samples
    assert measure()(changed) == value, "a resumed run compares with the same replies"
