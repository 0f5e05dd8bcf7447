"""Arithmetic on a matrix made by hand, where the answers are known."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app
from chatwright.inspection.embeddings import Embeddings
from chatwright.model.skip_gram import SkipGram, SkipGramConfig
from chatwright.tokenizer.words import WordTokenizer

# royal, male, female, food
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
    matrix[5:] = torch.tensor(
        [1.0, 0.0, 1.0, 0.0]
    )  # control tokens spell nothing, so they are never an answer, whatever stands there
    return Embeddings(matrix, WordTokenizer(list(VECTORS)))


def test_king_minus_man_plus_woman_is_queen(embeddings: Embeddings) -> None:
    vector, words = embeddings.combined(["king", "-", "man", "+", "woman"])
    assert words == ["king", "man", "woman"]
    assert embeddings.nearest(vector, 2, without=words)[0].word == "queen"
    # king / sqrt 2 - man + woman by hand
    torch.testing.assert_close(vector, torch.tensor([0.5**0.5, 0.5**0.5 - 1, 1.0, 0.0]))


def test_nearest_words_come_in_order_of_their_cosine(embeddings: Embeddings) -> None:
    found = embeddings.nearest(embeddings.combined(["king"])[0], 10)
    assert [n.word for n in found[:3]] == ["king", "man", "queen"]
    assert [n.similarity for n in found] == pytest.approx([1.0, 0.5**0.5, 0.5, 0.0, 0.0], abs=1e-6)


def test_what_is_no_word_or_no_sum_is_refused_by_name(embeddings: Embeddings) -> None:
    with pytest.raises(ValueError, match="'emperor' is not in the vocabulary"):
        embeddings.combined(["emperor"])
    with pytest.raises(ValueError, match=r"'king queen' is several tokens here \(king \+ queen\)"):
        embeddings.combined(["king queen"])
    for expression in ("king queen", "- - king", "king -", "king - - man", "-", ""):
        with pytest.raises(ValueError, match="for example,? king - man"):
            embeddings.combined(expression.split())


def test_the_command_prints_the_nearest_words(embeddings: Embeddings, tmp_path: Path) -> None:
    model = SkipGram(SkipGramConfig(vocab_size=15, d_model=4))
    model.embedding.weight.data.copy_(embeddings.matrix)
    model.context.weight.data.zero_()
    model_directory.save(tmp_path / "m", model, embeddings.tokenizer)
    result = CliRunner().invoke(
        app,
        [
            "inspect",
            "embeddings",
            str(tmp_path / "m"),
            "king",
            "-",
            "man",
            "+",
            "woman",
            "--top",
            "2",
        ],
    )
    assert result.output.split()[1] == "queen", result.output
    as_json = CliRunner().invoke(
        app, ["inspect", "embeddings", str(tmp_path / "m"), "king", "--json"]
    )
    assert '"word": "man"' in as_json.output
