"""Long texts are split at the ends of sentences, clauses or words; pieces are joined again."""

import pytest

from chatwright.errors import InputError
from chatwright.tasks.split_text import join_texts, split_text


def at_most(n: int):  # type: ignore[no-untyped-def]
    return lambda text: len(text) <= n


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        ("Short enough.", 20, ["Short enough."]),
        ("One is here. Two is there. Three.", 16, ["One is here.", "Two is there.", "Three."]),
        ('He said: "No!" Then he left.', 16, ['He said: "No!"', "Then he left."]),
        ("one clause here, another one there", 20, ["one clause here,", "another one there"]),
        ("seven words and no mark at all", 16, ["seven words and", "no mark at all"]),
        ("abcdefgh", 4, ["abcd", "efgh"]),
        ("今天天气很好。我喜欢喝茶。", 8, ["今天天气很好。", "我喜欢喝茶。"]),
        ("今天天气很好，我喜欢喝茶。", 8, ["今天天气很好，", "我喜欢喝茶。"]),
    ],
)
def test_texts_are_split_at_the_best_boundary(text: str, limit: int, pieces: list[str]) -> None:
    assert split_text(text, at_most(limit)) == pieces


def test_every_piece_fits_and_no_word_is_lost() -> None:
    text = "A sentence of seven words is here. " * 9 + "word " * 40
    pieces = split_text(text, at_most(50))
    assert all(len(piece) <= 50 for piece in pieces)
    assert " ".join(pieces).split() == text.split()


def test_a_character_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        split_text("ab", lambda _: False)
    assert caught.value.field == "text"


def test_pieces_are_joined_with_spaces_except_in_scripts_without_them() -> None:
    assert join_texts(["One.", "", "Two."]) == "One. Two."
    assert join_texts(["今天天气很好。", "我喜欢喝茶。"]) == "今天天气很好。我喜欢喝茶。"
    assert join_texts(["茶", "tea"]) == "茶 tea"
