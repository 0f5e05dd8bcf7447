"""Answers to the questions of `chatwright new` are accepted, or rejected with the option's name."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline import own_answers


@pytest.mark.parametrize(
    "name", ["", " ", "..", ".b", "../x", "a/b", "a\\b", "a\nb", " a", "-a", "a" * 61, "a:b"]
)
def test_a_folder_name_that_some_operating_system_forbids_is_rejected(name: str) -> None:
    with pytest.raises(InputError) as caught:
        own_answers.folder_name(name)
    assert caught.value.value == name


@pytest.mark.parametrize("name", ["starter", "finetune-lora", "smollm2-135m-instruct"])
def test_a_name_that_chatwright_up_knows_already_is_rejected(name: str) -> None:
    with pytest.raises(InputError) as caught:
        own_answers.folder_name(name)
    assert (caught.value.field, caught.value.value) == ("NAME", name)


@pytest.mark.parametrize("name", ["b", "my bakery", "Ö-1_2", "a" * 60])
def test_an_allowed_folder_name_is_returned_unchanged(name: str) -> None:
    assert own_answers.folder_name(name) == name


@pytest.mark.parametrize(
    ("answer", "purpose"),
    [
        ("count ships", "count ships"),
        ("I am here to count ships.", "count ships"),
        ("to count ships!", "count ships"),
    ],
)
def test_the_purpose_may_be_given_as_the_whole_sentence(answer: str, purpose: str) -> None:
    assert own_answers.purpose(answer) == purpose


@pytest.mark.parametrize(
    ("answer", "budget"),
    [("minutes", "minutes"), ("ten minutes", "minutes"), ("an hour", "hour"), ("Night", "night")],
)
def test_the_training_time_may_be_given_in_words(answer: str, budget: str) -> None:
    assert own_answers.budget_name(answer) == budget


@pytest.mark.parametrize(
    ("check", "answer", "field"),
    [
        (own_answers.budget_name, "week", "--time"),
        (own_answers.assistant_name, "a\nb", "--assistant"),
        (own_answers.assistant_name, " ", "--assistant"),
        (own_answers.purpose, "to ", "--about"),
        (own_answers.purpose, "a" * 301, "--about"),
    ],
)
def test_an_invalid_answer_is_rejected_with_the_name_of_its_option(
    check: object, answer: str, field: str
) -> None:
    assert callable(check)
    with pytest.raises(InputError) as caught:
        check(answer)
    assert (caught.value.field, caught.value.value) == (field, answer)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "only.pdf").write_bytes(b"%PDF")
    preferences = '{"prompt": "hi", "chosen": "hello", "rejected": "go away"}\n'
    (tmp_path / "it's preferences.jsonl").write_text(preferences)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("A boat leaves.\n")
    return tmp_path


@pytest.mark.parametrize("answer", ["nowhere", ".", "only.pdf", "it's preferences.jsonl"])
def test_data_without_texts_or_conversations_are_rejected(folder: Path, answer: str) -> None:
    with pytest.raises(InputError) as caught:
        own_answers.data_report(answer, Path("b"))
    assert (caught.value.field, caught.value.value) == ("--data", answer)


@pytest.mark.parametrize("answer", ["texts", "'texts'", '"texts"'])
def test_the_path_of_the_data_may_have_quotation_marks(folder: Path, answer: str) -> None:
    report = own_answers.data_report(answer, Path("b"))
    assert report is not None
    assert (report.path, report.n_rows["text"]) == ("texts", 1)


def test_no_path_means_no_data() -> None:
    assert own_answers.data_report("", Path("b")) is None
