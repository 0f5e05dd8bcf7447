"""The suite "similarity": words of any model, lists of a folder, and what they leave out."""

from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.data.rows import DataError
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.skip_gram import SkipGram, SkipGramConfig, init_weights
from chatwright.pipeline.evaluate import evaluate
from chatwright.tokenizer.words import WordTokenizer

# Cosines: cat-dog 0.8, cat-car 0, dog-car 0.6.
VECTORS = {"cat": (1.0, 0.0), "dog": (4.0, 3.0), "car": (0.0, 2.0), "bus": (-1.0, 9.0)}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = WordTokenizer(list(VECTORS))
    model = SkipGram(SkipGramConfig(vocab_size=tokenizer.vocab_size, d_model=2))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        model.embedding.weight[: len(VECTORS)] = torch.tensor(list(VECTORS.values()))
    path = tmp_path_factory.mktemp("words") / "m"
    model_directory.save(path, model, tokenizer)
    return path


def test_cosines_are_ranked_against_the_scores(words: Path, tmp_path: Path) -> None:
    """Scores (1, 2, 3) against cosines (0.8, 0, 0.6): 1 - 6 * (4 + 1 + 1) / (3 * 8) = -0.5."""
    (tmp_path / "a.txt").write_text("cat\tdog\t1\ncat\tcar\t2\ndog\tcar\t3\n")
    figures = evaluate(words, "similarity", tmp_path / "a.txt")
    assert figures["spearman"] == pytest.approx(-0.5)
    assert (figures["pairs"], figures["coverage"]) == (3, 1.0)


def test_pairs_with_an_unknown_word_are_left_out_and_counted(words: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("cat\tdog\t9\nCat\tcar\t1\ncat\tzebra\t5\nred car\tcar\t5\n")
    figures = evaluate(words, "similarity", tmp_path / "a.txt")
    assert (figures["pairs"], figures["coverage"]) == (2, 0.5)
    assert figures["spearman"] == pytest.approx(1.0)


def test_the_lists_of_a_folder_are_scored_one_by_one(words: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "a.txt").write_text("cat\tdog\t3\ncat\tcar\t1\ndog\tcar\t2\n")
    (folder / "b.txt").write_text("cat\tdog\t100\ncat\tcar\t200\n")
    lists = evaluate(words, "similarity", folder)["lists"]
    assert {name: round(entry["spearman"], 6) for name, entry in lists.items()} == {
        "a.txt": 1.0,
        "b.txt": -1.0,
    }


def test_a_list_without_a_known_pair_is_an_error(words: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("zebra\tdog\t3\n")
    with pytest.raises(InputError) as caught:
        evaluate(words, "similarity", tmp_path / "a.txt")
    assert caught.value.field == "--data"


def test_a_file_without_scores_is_an_error(words: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("cat\tdog\n")
    with pytest.raises(DataError):
        evaluate(words, "similarity", tmp_path / "a.txt")


def test_retrieval_needs_an_encoder(words: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("anchor,positive\ncat,dog\ncar,bus\n")
    with pytest.raises(InputError) as caught:
        evaluate(words, "retrieval", tmp_path / "a.csv")
    assert (caught.value.field, caught.value.value) == ("model", "skip-gram")
