"""Nearest words and sums of words on a small matrix with known answers."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app
from chatwright.errors import InputError
from chatwright.inspection.embeddings import Embeddings
from chatwright.model.skip_gram import SkipGram, SkipGramConfig
from chatwright.tokenizer.words import WordTokenizer

# The dimensions are royal, male, female and food.
VECTORS = {
    "king": (1, 1, 0, 0),
    "queen": (1, 0, 1, 0),
    "man": (0, 1, 0, 0),
    "woman": (0, 0, 1, 0),
    "apple": (0, 0, 0, 1),
}


@pytest.fixture
def embeddings() -> Embeddings:
    matrix = torch.zeros(15, 4)
    matrix[:5] = torch.tensor(list(VECTORS.values()), dtype=torch.float)
    # Control tokens have the vector of queen here. They are not words, so never an answer.
    matrix[5:] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    return Embeddings(matrix, WordTokenizer(list(VECTORS)))


def test_king_minus_man_plus_woman_is_queen(embeddings: Embeddings) -> None:
    vector, words = embeddings.combined(["king", "-", "man", "+", "woman"])
    assert words == ["king", "man", "woman"]
    assert embeddings.nearest(vector, 2, without=words)[0].word == "queen"
    # king / sqrt(2) - man + woman
    torch.testing.assert_close(vector, torch.tensor([0.5**0.5, 0.5**0.5 - 1, 1.0, 0.0]))


def test_nearest_words_are_ordered_by_cosine(embeddings: Embeddings) -> None:
    nearest = embeddings.nearest(embeddings.combined(["king"])[0], 10)
    assert [n.word for n in nearest[:3]] == ["king", "man", "queen"]
    similarities = [n.similarity for n in nearest]
    assert similarities == pytest.approx([1.0, 0.5**0.5, 0.5, 0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("word", ["emperor", "king queen"])
def test_a_word_that_is_not_one_token_is_refused(embeddings: Embeddings, word: str) -> None:
    with pytest.raises(InputError) as caught:
        embeddings.combined([word])
    assert (caught.value.field, caught.value.value) == ("word", word)


@pytest.mark.parametrize(
    "expression", ["king queen", "- - king", "king -", "king - - man", "-", ""]
)
def test_an_expression_that_does_not_alternate_words_and_signs_is_refused(
    embeddings: Embeddings, expression: str
) -> None:
    with pytest.raises(InputError) as caught:
        embeddings.combined(expression.split())
    assert (caught.value.field, caught.value.value) == ("expression", expression)


def test_the_command_prints_the_nearest_words(embeddings: Embeddings, tmp_path: Path) -> None:
    model = SkipGram(SkipGramConfig(vocab_size=15, d_model=4))
    model.embedding.weight.data.copy_(embeddings.matrix)
    model.context.weight.data.zero_()
    model_directory.save(tmp_path / "m", model, embeddings.tokenizer)
    command = ["inspect", "embeddings", str(tmp_path / "m")]
    result = CliRunner().invoke(app, [*command, "king", "-", "man", "+", "woman", "--top", "2"])
    assert result.output.split()[1] == "queen", result.output
    as_json = CliRunner().invoke(app, [*command, "king", "--json"])
    assert '"word": "man"' in as_json.output
