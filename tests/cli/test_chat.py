"""`chatwright chat` without a model: the error says what is there and what to do."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from tests.cli.conftest import Command


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_chat_without_a_starter_model_names_the_command_that_builds_it(
    command: Command,
) -> None:
    outcome = command("chat")
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert "chatwright up" in outcome.error.remedy


def test_chat_with_a_missing_directory_names_it(command: Command) -> None:
    outcome = command("chat", "nosuch")
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.problem.startswith("nosuch: ")
    assert "chatwright up" not in outcome.last_line


def test_chat_with_an_unbuilt_folder_names_the_command_that_builds_it(
    command: Command,
) -> None:
    command("new", "bakery", "--yes")
    outcome = command("chat", "bakery")
    assert outcome.status == 2
    assert outcome.last_line.endswith("chatwright up bakery")
