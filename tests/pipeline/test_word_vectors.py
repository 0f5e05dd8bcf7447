"""Train, inspect and score word vectors through the command line."""

import json
from pathlib import Path

import pytest

from tests.pipeline.run_command import chatwright

RECIPE = Path(__file__).parents[2] / "recipes" / "word-vectors.toml"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("word-vectors")
    (directory / "texts").mkdir()
    for i, (king, man) in enumerate([("king", "man"), ("queen", "woman")] * 3):
        text = (
            f"The {king} is a {man}; number {i} of them. "
            f"A {man} sees the {king}, who rules the land. "
        )
        (directory / "texts" / f"{i}.txt").write_text(text * 40)
    output = chatwright(
        "run",
        RECIPE,
        "--data",
        directory / "texts",
        "--out",
        directory / "run",
        "--smoke",
        "vectors.validation_share=0.2",
        "vectors.batches.words=64",
        "vectors.batches.keep=1.0",
    )
    assert "Try it: chatwright inspect embeddings" in output
    return directory


def test_training_writes_vectors_a_report_and_nearest_words(directory: Path) -> None:
    notes = json.loads((directory / "run" / "vectors" / "model" / "training.json").read_text())
    assert notes["figures"]["validation_loss"] < notes["first_loss"]
    assert "<svg" in (directory / "run" / "vectors" / "report.html").read_text()
    command = ["inspect", "embeddings", directory / "run" / "vectors", "king", "--top", "3"]
    assert len(chatwright(*command).splitlines()) == 3


def test_analogies_with_known_words_are_scored_and_the_others_counted(directory: Path) -> None:
    (directory / "q.txt").write_text(": family\nking man queen woman\nking man emperor woman\n")
    figures = json.loads(
        chatwright(
            "eval",
            directory / "run" / "vectors",
            "--suite",
            "analogies",
            "--data",
            directory / "q.txt",
            "--json",
        )
    )
    assert (figures["answered"], figures["questions"], figures["coverage"]) == (1, 2, 0.5)
    assert figures["sections"]["family"]["answered"] == 1


def test_generating_text_with_word_vectors_is_rejected(directory: Path) -> None:
    with pytest.raises(ValueError, match="word vectors"):
        chatwright("generate", directory / "run" / "vectors", "the king")
