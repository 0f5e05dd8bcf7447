"""Scripts without spaces between words are recognized by their characters."""

import pytest

from chatwright.tasks.writing_systems import is_unspaced, unspaced_share


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("茶", True),
        ("お", True),
        ("ア", True),
        ("ช", True),
        ("。", True),
        ("a", False),
        ("한", False),
    ],
)
def test_characters_of_unspaced_scripts_are_recognized(character: str, expected: bool) -> None:
    assert is_unspaced(character) == expected


def test_the_share_of_unspaced_scripts_counts_only_letters() -> None:
    assert unspaced_share(["茶 1 2 3 !", "abc"]) == pytest.approx(1 / 4)
    assert unspaced_share(["", "123"]) == 0.0
