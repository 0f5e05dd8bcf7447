"""Public preferences become snapshots: faults are dropped and counted, sides share no question."""

import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import feedback_data
import feedback_sets
import pytest
from chat_real_sets import held_out
from feedback_sets import readers

from chatwright.data.preferences import Ranking, Thumb
from chatwright.data.snapshot import read_snapshot
from chatwright.evaluation.feedback_quality.quality import assess
from tests.recipes.test_held_out import AS_IN_WIKITEXT, SENTENCE


def pandalm_row(number: int, answers: tuple[int, int, int], **changes: Any) -> dict[str, Any]:
    row = {"instruction": f"Task {number}.", "input": "x", "response1": "one", "response2": "two"}
    row |= {f"annotator{i}": answer for i, answer in enumerate(answers, 1)}
    return row | changes


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small PandaLM with each fault once, and one evaluation set."""
    data = tmp_path / "data"
    for folder in ("pandalm", "wikitext-2"):
        (data / folder).mkdir(parents=True)
    (data / "wikitext-2" / "valid.txt").write_text(AS_IN_WIKITEXT, encoding="utf-8")
    rows = [pandalm_row(number % 40, (1, 2, 0)) for number in range(80)]
    rows += [
        pandalm_row(50, (1, 1, 1), response1=False),
        pandalm_row(51, (1, 1, 1), response1=" "),
        pandalm_row(52, (1, 1, 1), response2="Oh shit."),
        pandalm_row(53, (1, 1, 1), response2=SENTENCE),
        pandalm_row(54, (1, 1, 1), response2="caf\ufffd"),
        pandalm_row(55, (1, 1, 1), response2="word " * 2000),
    ]
    with lzma.open(data / "pandalm" / "testset-v1.json.xz", "wt", encoding="utf-8") as file:
        json.dump(rows, file)
    monkeypatch.setattr(held_out, "FILES", {"wikitext-2": ["wikitext-2/valid.txt"]})
    unclear = feedback_sets.sets.FeedbackSet(
        "unclear", readers.pandalm, "pandalm", "not stated", is_unclear=True
    )
    monkeypatch.setattr(feedback_data, "SETS", (feedback_data.SETS[0], unclear))
    return data


def test_faults_are_dropped_and_counted(small: Path, tmp_path: Path) -> None:
    manifest = feedback_data.convert(small, tmp_path / "out")
    entry = manifest["pandalm"]
    assert entry["dropped"] == {
        "a reply is not text": 3,
        "broken characters": 3,
        "empty turn": 3,
        "offensive word": 3,
        "over 8,000 characters": 3,
        "shares 13 words with wikitext-2": 3,
    }
    assert entry["train"]["rows"] + entry["test"]["rows"] == 240
    assert not (tmp_path / "out" / "unclear").exists()


def test_no_instruction_is_on_both_sides(small: Path, tmp_path: Path) -> None:
    feedback_data.convert(small, tmp_path)
    sides = [
        {item.prompt[0].text for item in read_snapshot(tmp_path / "pandalm" / name).feedback}
        for name in ("train.jsonl", "test.jsonl")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert feedback_data.is_test("Task  1.\n") == feedback_data.is_test("task 1.")
    share = sum(feedback_data.is_test(f"question {i}") for i in range(5000)) / 5000
    assert share == pytest.approx(feedback_data.TEST_SHARE, abs=0.02)


def test_the_same_data_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        feedback_data.convert(small, tmp_path / name, include_unclear=True)
        feedback_data.convert(small, tmp_path / name, include_unclear=True)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.json*"))
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    feedback_data.convert(small, tmp_path / "a")
    assert not (tmp_path / "a" / "unclear" / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("preferences", "ranks"),
    [
        ([1, 1, 1, 1, 1, 1], (1, 2, 3, 4)),
        ([2, 2, 2, 2, 2, 2], (4, 3, 2, 1)),
        ([0, 0, 0, 0, 0, 0], (1, 1, 1, 1)),
        ([0, 1, 2, 1, 2, 2], (2, 2, 3, 1)),
        ([1, 2, 1, 1, 1, 1], None),  # 1 before 2, 2 before 3, 3 before 1
    ],
)
def test_six_pairs_become_the_order_of_four(
    preferences: list[int], ranks: tuple[int, ...] | None
) -> None:
    assert readers.ranks_of_pairs(preferences) == ranks


def test_every_public_set_can_be_read(shared_data: Path) -> None:
    kinds: Counter[str] = Counter()
    for feedback_set in feedback_sets.sets.SETS:
        dropped: Counter[str] = Counter()
        for _, item in feedback_set.read(shared_data, dropped):
            assert item.prompt[0].role == "user"
            kinds[type(item).__name__] += 1
            replies = item.replies if isinstance(item, Ranking) else (item.reply,)
            assert all(reply.message.role == "assistant" for reply in replies)
            if isinstance(item, Thumb):
                turns = [message.role for message in item.prompt]
                assert turns == (["user", "assistant"] * 4)[: len(turns)]
                assert turns[-1] == "user"
    assert kinds["Thumb"] > 20_000
    assert kinds["Ranking"] > 8_000


def test_the_annotators_of_pandalm_agree(shared_data: Path) -> None:
    report = assess([item for _, item in readers.pandalm(shared_data, Counter())]).report
    assert report.two_raters.value > 0.9
    assert report.alpha > 0.8
    assert report.one_rater.value > 0.98
    # The file repeats pairs; no annotator is left out.
    assert set(report.n_left_out()) == {"duplicate", "the rater contradicts an own answer"}
