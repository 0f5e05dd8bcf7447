"""Analogies on six vectors: right and wrong answers, words without vectors, the coverage."""

import lzma
from pathlib import Path

import pytest
import torch

from chatwright.errors import InputError
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


def test_right_answers_and_questions_with_vectors_are_counted_by_section(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(QUESTIONS)
    result = analogies(MATRIX, ROW_OF, read_questions(tmp_path / "q.txt"))
    family, places = result.by_section["family"], result.by_section["places"]
    # The third question is wrong: woman - man + queen is not nearest to king.
    assert (family.successes, family.n) == (2, 3)
    # "oslo" has no vector, since only "Oslo" has one. "Norway" has the vector of "norway".
    assert (places.successes, places.n) == (0, 1)
    assert result.n_question == 6
    assert result.coverage.value == pytest.approx(4 / 6)
    assert result.overall.value == pytest.approx(2 / 4)


def test_a_matrix_row_without_a_word_is_never_an_answer() -> None:
    # The last row has queen's direction, but belongs to no word.
    matrix = torch.cat([MATRIX, torch.tensor([[2.0, 0.0, 2.0, 0.0]])])
    questions = {"": [("man", "king", "woman", "queen")]}
    assert analogies(matrix, ROW_OF, questions).overall.value == 1.0


def test_questions_are_read_from_an_xz_file(tmp_path: Path) -> None:
    with lzma.open(tmp_path / "q.txt.xz", "wt") as file:
        file.write(QUESTIONS)
    sections = read_questions(tmp_path / "q.txt.xz")
    assert {name: len(questions) for name, questions in sections.items()} == {
        "family": 3,
        "places": 3,
    }


def test_a_line_without_four_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text(": a\none two three\n")
    with pytest.raises(InputError) as caught:
        read_questions(tmp_path / "bad.txt")
    assert caught.value.field == f"{tmp_path / 'bad.txt'}, line 2"


def test_the_published_file_has_19544_questions_in_14_sections(shared_data: Path) -> None:
    sections = read_questions(shared_data / "word-analogies" / "questions-words.txt.xz")
    assert (len(sections), sum(map(len, sections.values()))) == (14, 19544)
