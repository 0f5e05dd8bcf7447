"""`chatwright compare`: from two directories and a file of prompts to a verdict."""

import json
from pathlib import Path

import pytest

from chatwright.errors import InputError
from tests.pipeline.comparison.small_models import prompts, save_model
from tests.pipeline.run_command import chatwright

QUICK = ("--samples", 2, "--max-tokens", 6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    save_model(folder / "a", 0)
    save_model(folder / "b", 1)
    rows = [
        {"prompt": row.messages[0].text, "answer": row.answer, "kind": row.kind}
        for row in prompts(12)
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def compare(folder: Path, *options: object, second: str = "b") -> str:
    return chatwright(
        "compare", folder / "a", folder / second, "--prompts", folder / "prompts.jsonl",
        "--out", folder / "out", *QUICK, *options,
    )  # fmt: skip


def test_it_prints_and_writes_the_win_rate_and_the_verdict(folder: Path) -> None:
    output = compare(folder, "--rules", "right_number,exact")
    result = json.loads((folder / "out" / "comparison.json").read_text())
    assert (result["prompts"], result["comparisons"]) == (12, 24)
    assert result["verdict"] in output
    assert f"{result['win_rate']:.1%}" in output
    assert set(result["by_kind"]) == {"even", "odd"}
    assert set(result["without_rule"]) == {"right_number", "exact"}
    assert (folder / "out" / "report.html").exists()


def test_a_model_against_itself_is_even(folder: Path) -> None:
    compare(folder, "--rules", "right_number", second="a")
    result = json.loads((folder / "out" / "comparison.json").read_text())
    assert (result["win_rate"], result["tie_rate"]) == (0.5, 1.0)


def test_blind_pairs_need_no_judge(folder: Path) -> None:
    compare(folder, "--votes-out", folder / "pairs.jsonl")
    for line in (folder / "pairs.jsonl").read_text().splitlines():
        pair = json.loads(line)
        assert len({reply["weights"] for reply in pair["replies"]}) == 2


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ((), "judge"),
        (("--rules", "exact", "--votes", "x.jsonl"), "judge"),
        (("--rules", "kind_words"), "rules"),
        (("--judge-url", "http://127.0.0.1:9/v1"), "--judge-model"),
        (("--judge-model", "m"), "--judge-url"),
    ],
)
def test_a_missing_or_unknown_judge_is_refused(
    folder: Path, options: tuple[str, ...], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        compare(folder, *options)
    assert caught.value.field == field
