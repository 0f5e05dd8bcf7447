"""Analogies on vectors made by hand: right, wrong, unknown; and the coverage beside the score."""

import lzma
from pathlib import Path

import pytest
import torch

from chatwright.evaluation.analogies import analogies, read_questions

WORDS = ["king", "queen", "man", "woman", "Oslo", "norway"]
MATRIX = torch.tensor(
    [[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 1.0]]
)
ROW_OF = {word: i for i, word in enumerate(WORDS)}
QUESTIONS = """: family
man king woman queen
king man queen woman
man woman queen king
: places
oslo norway man woman
Oslo Norway man emperor
Oslo Norway king woman
"""


def test_right_wrong_and_unknown_are_counted_by_section(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(QUESTIONS)
    result = analogies(MATRIX, ROW_OF, read_questions(tmp_path / "q.txt"))
    family, places = result.by_section["family"], result.by_section["places"]
    # woman - man + queen has no "male" left in it: woman's own direction wins over king's; the words of the question are no answers
    assert (family.successes, family.n) == (2, 3)
    assert (places.successes, places.n) == (
        0,
        1,
    )  # "oslo" has no vector (only "Oslo" has), "Norway" has one in lower case
    assert result.n_question == 6
    assert result.coverage.value == pytest.approx(4 / 6)
    assert result.overall.value == pytest.approx(2 / 4)


def test_a_row_that_is_no_word_is_never_an_answer() -> None:
    matrix = torch.cat(
        [MATRIX, torch.tensor([[2.0, 0.0, 2.0, 0.0]])]
    )  # queen's direction, under no word
    assert analogies(matrix, ROW_OF, {"": [("man", "king", "woman", "queen")]}).overall.value == 1.0


def test_a_packed_file_is_read_and_a_broken_line_is_named(tmp_path: Path) -> None:
    with lzma.open(tmp_path / "q.txt.xz", "wt") as file:
        file.write(QUESTIONS)
    assert {name: len(some) for name, some in read_questions(tmp_path / "q.txt.xz").items()} == {
        "family": 3,
        "places": 3,
    }
    (tmp_path / "bad.txt").write_text(": a\none two three\n")
    with pytest.raises(ValueError, match=r"bad.txt, line 2: 3 words, where an analogy has four"):
        read_questions(tmp_path / "bad.txt")


def test_the_public_questions_are_19544_in_14_sections(shared_data: Path) -> None:
    sections = read_questions(shared_data / "word-analogies" / "questions-words.txt.xz")
    assert (len(sections), sum(map(len, sections.values()))) == (14, 19544)
