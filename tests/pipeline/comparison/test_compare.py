"""Comparing two models: planted differences are found, equal models tie, results add up."""

import json
from pathlib import Path

import pytest

from chatwright.conversation import Message
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import Location, PromptRow, RankedRow
from chatwright.errors import InputError
from chatwright.evaluation.judges import RuleJudge, ScoreJudge
from chatwright.evaluation.vote_judge import VoteJudge
from chatwright.pipeline.compare import CompareConfig, compare, write_pairs_to_rate
from chatwright.pipeline.comparison.result import Comparison
from tests.pipeline.comparison.small_models import CONFIG, keep_replies, prompts, save_model

N_PROMPT = 40
COMPARED = CompareConfig(samples=CONFIG.samples, max_tokens=CONFIG.max_tokens)


def right_number(prompt: PromptRow, reply: Message) -> float:
    return float(prompt.answer in reply.text.split())


def short(_: PromptRow, reply: Message) -> float:
    return float(len(reply.text) < 6)


JUDGE = RuleJudge({"right_number": right_number, "short": short})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return save_model(folder / "a", seed=0), save_model(folder / "b", seed=1)


def kept_model_replies(models: tuple[Path, Path], out: Path) -> None:
    """The baseline is correct in 1 of 4 prompts, the candidate in 3 of 4 and never short."""
    rows = prompts(N_PROMPT)
    is_right = (lambda p: int(p.answer) % 8 == 0, lambda p: int(p.answer) % 8 != 0)
    for model, right, ending in zip(models, is_right, ("", " = abcdefgh"), strict=True):
        keep_replies(
            out,
            model,
            rows,
            lambda p, _, right=right, ending=ending: f"{p.answer if right(p) else 'abc'}{ending}",
        )


def run(models: tuple[Path, Path], out: Path) -> Comparison:
    return compare(*models, prompts(N_PROMPT), JUDGE, out, COMPARED)


def test_a_planted_difference_is_found_with_all_its_parts(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    """By correctness the candidate wins 30 of 40 prompts; shortness turns wins into ties."""
    kept_model_replies(models, tmp_path)
    c = run(models, tmp_path)
    assert c.correctness is not None
    assert c.correctness.value == 0.75
    assert c.without_rule["short"] == c.correctness
    assert c.without_rule["right_number"].value == 0.0
    assert c.win_rate.value == pytest.approx(0.5 * 0.75)
    assert (c.win_rate.n_prompt, c.win_rate.n_comparison) == (40, 80)
    assert c.verdict == "worse"
    # 2 i % 8 == 0 needs an even i, so prompts with an odd i are all won by correctness.
    assert c.by_kind["even"].value == 0.5
    assert c.by_kind["odd"].value == 0.25
    assert c.length_controlled is None, "the candidate is always longer"
    assert c.lengths[1].characters > c.lengths[0].characters + 10


def test_swapped_models_give_the_complement(models: tuple[Path, Path], tmp_path: Path) -> None:
    kept_model_replies(models, tmp_path)
    forward = run(models, tmp_path)
    backward = run((models[1], models[0]), tmp_path)
    assert backward.win_rate.value == 1 - forward.win_rate.value
    assert backward.verdict == "better"


def test_a_model_against_itself_has_exactly_50_percent(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    c = run((models[0], models[0]), tmp_path)
    assert (c.win_rate.value, c.win_rate.tie_rate, c.n_equal) == (0.5, 1.0, 80)
    assert c.verdict == "no difference shown"


def test_few_prompts_decide_nothing(models: tuple[Path, Path], tmp_path: Path) -> None:
    kept_model_replies(models, tmp_path)
    c = compare(*models, prompts(20), JUDGE.only("short"), tmp_path, COMPARED)
    assert c.win_rate.value == 0.0
    assert c.verdict == "no difference shown"


def test_the_result_file_holds_the_figures_and_no_text(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    kept_model_replies(models, tmp_path)
    c = run(models, tmp_path)
    text = (tmp_path / "comparison.json").read_text()
    result = json.loads(text)
    assert result["win_rate"] == c.win_rate.value
    assert result["correctness"]["low"] == c.correctness.low
    assert len(result["outcomes"]) == N_PROMPT
    assert "abcdefgh" not in text
    page = (tmp_path / "report.html").read_text()
    assert "0+0=?" in page, "the first prompts are shown, with their replies"
    assert "9+9=?" in page
    assert "10+10=?" not in page
    before = result
    run(models, tmp_path)
    assert json.loads((tmp_path / "comparison.json").read_text()) == before


def test_prompts_in_the_training_data_are_left_out(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = [{"prompt": f"{i}+{i}=?", "completion": "abc"} for i in range(5)]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = CompareConfig(samples=1, max_tokens=4, training_data=(data,))
    c = compare(*models, prompts(8), JUDGE, tmp_path, config)
    assert (c.n_overlap, c.win_rate.n_prompt) == (5, 3)
    with pytest.raises(InputError) as caught:
        compare(*models, prompts(5), JUDGE, tmp_path, config)
    assert caught.value.field == "--prompts"


def test_prompts_that_a_model_cannot_read_are_left_out_and_counted(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    long = PromptRow((Message("user", "1+1" * 30),), Location("prompts", 99), "2")
    config = CompareConfig(samples=2, max_tokens=4)
    c = compare(*models, [long, *prompts(3)], JUDGE, tmp_path, config)
    assert (c.n_too_long, c.win_rate.n_prompt) == (1, 3)
    again = compare(*models, [long, *prompts(3)], JUDGE, tmp_path, config)
    assert again.win_rate == c.win_rate
    with pytest.raises(InputError) as caught:
        compare(*models, [long], JUDGE, tmp_path, config)
    assert caught.value.field == "--prompts"


def test_bits_per_byte_are_paired(models: tuple[Path, Path], tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("abc def 0123456789. " * 40)
    config = CompareConfig(samples=1, max_tokens=4, texts=texts)
    equal = compare(models[0], models[0], prompts(3), JUDGE, tmp_path, config).bits_per_byte
    assert equal is not None
    assert (equal.change.value, equal.change.low, equal.change.high) == (0, 0, 0)
    other = compare(*models, prompts(3), JUDGE, tmp_path, config).bits_per_byte
    assert other is not None
    assert other.before == equal.before
    assert other.change.value == pytest.approx(other.after / other.before - 1)


def test_pairs_to_rate_are_blind_and_their_votes_are_a_judge(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    """A rater who votes for the longer reply of each pair makes the candidate win everywhere."""
    kept_model_replies(models, tmp_path)
    file = tmp_path / "pairs.jsonl"
    n_pair = write_pairs_to_rate(*models, prompts(N_PROMPT), file, tmp_path, COMPARED)
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(pairs) == n_pair == 80
    is_longer_first = [
        len(pair["replies"][0]["message"]["content"])
        > len(pair["replies"][1]["message"]["content"])
        for pair in pairs
    ]
    assert 25 < sum(is_longer_first) < 55, "the order is random"
    votes = tmp_path / "votes.jsonl"
    rated = {"feedback": "ranking", "rater": "ann", "time": "2026-01-31T12:00:00+00:00"}
    lines = [
        json.dumps({**rated, **pair, "ranks": [1, 2] if is_first else [2, 1]}) + "\n"
        for pair, is_first in zip(pairs, is_longer_first, strict=True)
    ]
    votes.write_text("".join(lines))
    rankings = [row for row in read_rows(votes) if isinstance(row, RankedRow)]
    c = compare(*models, prompts(N_PROMPT), VoteJudge(rankings), tmp_path, COMPARED)
    assert c.win_rate.value == 1.0
    some = compare(*models, prompts(N_PROMPT), VoteJudge(rankings[:10]), tmp_path, COMPARED)
    # Both samples of a prompt are equal here, so a vote counts for both.
    assert (some.n_unjudged, some.win_rate.n_prompt) == (60, 10)


def test_a_judge_without_any_verdict_is_an_error(models: tuple[Path, Path], tmp_path: Path) -> None:
    kept_model_replies(models, tmp_path)
    with pytest.raises(InputError) as caught:
        compare(*models, prompts(3), VoteJudge([]), tmp_path, COMPARED)
    assert caught.value.field == "judge"


def test_a_judge_of_length_alone_gives_50_percent_length_controlled(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    """The candidate is longer in 3 of 4 comparisons."""
    rows = prompts(N_PROMPT)
    keep_replies(tmp_path, models[0], rows, lambda p, k: "a" * (10 + int(p.answer) % 7))
    keep_replies(
        tmp_path,
        models[1],
        rows,
        lambda p, k: "b" * (10 + int(p.answer) % 7 + (int(p.answer) * 5 + k) % 9 - 2),
    )
    judge = ScoreJudge("length", lambda _, replies: [float(len(r.text)) for r in replies])
    c = compare(*models, rows, judge, tmp_path, COMPARED)
    assert c.win_rate.low > 0.5
    assert c.length_controlled is not None
    assert c.length_controlled.low < 0.5 < c.length_controlled.high
