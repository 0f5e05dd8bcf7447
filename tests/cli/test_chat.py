"""`chatwright chat` without a model: the error says what is there and what to do."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from tests.cli.conftest import Command


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_an_argument_and_a_starter_model_the_command_that_builds_it_is_named(
    command: Command,
) -> None:
    outcome = command("chat")
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert "chatwright up" in outcome.error.remedy


def test_a_directory_that_does_not_exist_is_named(command: Command) -> None:
    outcome = command("chat", "nosuch")
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.problem.startswith("nosuch: ")
    assert "chatwright up" not in outcome.last_line


def test_a_new_folder_whose_model_is_not_built_is_answered_with_its_own_command(
    command: Command,
) -> None:
    command("new", "bakery", "--yes")
    outcome = command("chat", "bakery")
    assert outcome.status == 2
    assert outcome.last_line.endswith("chatwright up bakery")
