"""From texts to word vectors that are inspected and scored, by the commands a person types."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatwright.cli.app import app

RECIPE = Path(__file__).parents[2] / "recipes" / "word-vectors.toml"


def chatwright(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("word-vectors")
    (place / "texts").mkdir()
    for i, (king, man) in enumerate([("king", "man"), ("queen", "woman")] * 3):
        (place / "texts" / f"{i}.txt").write_text(
            f"The {king} is a {man}; number {i} of them. A {man} sees the {king}, who rules the land. "
            * 40
        )
    output = chatwright(
        "run",
        RECIPE,
        "--data",
        place / "texts",
        "--out",
        place / "run",
        "--smoke",
        "vectors.validation_share=0.2",
        "vectors.batches.words=64",
        "vectors.batches.keep=1.0",
    )
    assert "Try it: chatwright inspect embeddings" in output
    return place


def test_the_run_leaves_vectors_a_report_and_neighbours_to_look_at(place: Path) -> None:
    notes = json.loads((place / "run" / "vectors" / "model" / "training.json").read_text())
    assert notes["figures"]["validation_loss"] < notes["first_loss"]
    assert "<svg" in (place / "run" / "vectors" / "report.html").read_text()
    assert (
        len(
            chatwright(
                "inspect", "embeddings", place / "run" / "vectors", "king", "--top", "3"
            ).splitlines()
        )
        == 3
    )


def test_analogies_are_scored_with_their_coverage(place: Path) -> None:
    (place / "q.txt").write_text(": family\nking man queen woman\nking man emperor woman\n")
    figures = json.loads(
        chatwright(
            "eval",
            place / "run" / "vectors",
            "--suite",
            "analogies",
            "--data",
            place / "q.txt",
            "--json",
        )
    )
    assert (figures["answered"], figures["questions"], figures["coverage"]) == (1, 2, 0.5)
    assert figures["sections"]["family"]["answered"] == 1


def test_word_vectors_cannot_be_talked_to(place: Path) -> None:
    with pytest.raises(ValueError, match="word vectors"):
        chatwright("generate", place / "run" / "vectors", "the king")
