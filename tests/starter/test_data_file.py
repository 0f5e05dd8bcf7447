"""Data files: fragments, repeated entries, and every pattern of the package."""

import random
import re
from pathlib import Path

import pytest

from chatwright.starter import data_file
from chatwright.starter.data_file import DataFile, compose_request
from chatwright.starter.phrasing import as_sentence, expand

PACKAGE = Path(data_file.__file__).parent
FILES = sorted(
    str(path.relative_to(PACKAGE))
    for folder in ("patterns", "words")
    for path in (PACKAGE / folder).rglob("*.toml")
)


@pytest.fixture
def file(tmp_path: Path) -> DataFile:
    path = tmp_path / "example.toml"
    path.write_text(
        """
        questions = ["Is it <time>?", "<greetings>", "Is it <time>?"]
        reply = "It is <time>."
        [fragments]
        time = "[late|early]"
        greetings = ["Hi <name>.", "Bye."]
        name = "Pip"
        [animals.cow]
        sound = "moo"
        """
    )
    return DataFile(str(path))


def test_fragments_are_inserted_into_texts_and_lists(file: DataFile) -> None:
    expected = ("Is it [late|early]?", "Hi Pip.", "Bye.", "Is it [late|early]?")
    assert file["questions"] == expected
    assert file.text("reply") == "It is [late|early]."


def test_tables_are_named_by_dotted_paths(file: DataFile) -> None:
    assert file.names() == ["fragments", "animals"]
    assert file.names("animals") == ["cow"]
    assert file.table("animals.cow") == {"sound": "moo"}
    assert file.text("animals.cow.sound") == "moo"
    assert file.get("no_such_list") == ()
    with pytest.raises(KeyError):
        file["no_such_list"]


def test_expanding_draws_every_alternative_of_nested_brackets() -> None:
    rng = random.Random(0)
    drawn = {expand("[a|b [c|d]] {slot}", rng) for _ in range(200)}
    assert drawn == {"a {slot}", "b c {slot}", "b d {slot}"}


def test_a_sentence_has_a_capital_and_no_space_before_punctuation() -> None:
    assert as_sentence("tell me , please .") == "Tell me, please."


def test_a_phrase_is_inserted_into_a_request_pattern() -> None:
    request_patterns, phrases = ("can you {it}?",), ("[count|add]",)
    requests = {compose_request(request_patterns, phrases, random.Random(i)) for i in range(20)}
    assert requests == {"Can you count?", "Can you add?"}


@pytest.mark.parametrize("path", FILES)
def test_every_pattern_has_balanced_brackets_and_known_fragments(path: str) -> None:
    file = DataFile(path)
    texts = [text for patterns in file._lists.values() for text in patterns]
    texts += [file.text(name) for name, value in file._entries.items() if isinstance(value, str)]
    assert texts
    for text in texts:
        expanded = expand(text, random.Random(0))
        assert not re.search(r"[\[\]|<>]", expanded), text
        assert expanded.count("{") == expanded.count("}"), text
