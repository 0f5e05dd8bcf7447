"""`chatwright embed`: texts, a file or a pipe; vectors, a NumPy file, comparisons, neighbors."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tokenizer import wordpiece
from tests.cli.conftest import Command

TEXTS = ["the cat sat on the mat", "a dog and a log", "the cat and the dog and the mat and the log"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = wordpiece.train(TEXTS * 3, 60)
    config = encoder_preset(
        "nano",
        vocab_size=tokenizer.vocab_size,
        context_length=24,
        max_text_tokens=9,
        head="none",
    )
    model = Encoder(config)
    init_weights(model, generator(0, "weights"))
    path = tmp_path_factory.mktemp("encoder") / "m"
    model_directory.save(path, model, tokenizer)
    return path


def vectors_of(directory: Path, command: Command, *arguments: object) -> list[list[float]]:
    lines = command("embed", directory, *arguments, "--json").out.splitlines()
    return [json.loads(line)["vector"] for line in lines]


def test_texts_a_file_and_a_pipe_give_the_same_vectors(
    directory: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [vectors_of(directory, command, text)[0] for text in TEXTS]
    assert vectors_of(directory, command, *TEXTS) == alone
    (tmp_path / "a.txt").write_text("\n".join(TEXTS) + "\n")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    for name in ("a.txt", "a.jsonl"):
        assert vectors_of(directory, command, "--file", tmp_path / name) == alone, name
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(TEXTS)))
    assert vectors_of(directory, command) == alone


def test_lines_of_numbers_and_json_show_the_same_vector(directory: Path, command: Command) -> None:
    [vector] = vectors_of(directory, command, TEXTS[0])
    shown = [float(number) for number in command("embed", directory, TEXTS[0]).out.split()]
    assert shown == pytest.approx(vector, rel=1e-4)
    found = json.loads(command("embed", directory, TEXTS[0], "--json").out)
    assert found["text"] == TEXTS[0]
    assert found["tokens_left_out"] == 0


def test_texts_that_are_too_long_are_counted(directory: Path, command: Command) -> None:
    outcome = command("embed", directory, *TEXTS, "--json")
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["tokens"] for row in found] == [8, 7, 9]
    assert [row["tokens_left_out"] > 0 for row in found] == [False, False, True]
    assert "1 texts are longer than 9 tokens" in outcome.err
    assert command("embed", directory, TEXTS[0]).err == ""


def test_vectors_are_written_as_a_numpy_matrix(
    directory: Path, tmp_path: Path, command: Command
) -> None:
    outcome = command("embed", directory, *TEXTS, "--out", tmp_path / "v.npy")
    matrix = np.load(tmp_path / "v.npy", allow_pickle=False)
    assert matrix.dtype == np.float32
    assert matrix.tolist() == vectors_of(directory, command, *TEXTS)
    assert str(tmp_path / "v.npy") in outcome.out


def test_the_cosine_of_two_texts_is_that_of_their_vectors(
    directory: Path, command: Command
) -> None:
    vectors = torch.tensor(vectors_of(directory, command, *TEXTS))
    cosines = F.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    shown = float(command("embed", directory, *TEXTS[:2], "--compare").out)
    assert shown == pytest.approx(float(cosines[0, 1]), abs=6e-5)
    lines = command("embed", directory, *TEXTS, "--compare", "--json").out.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["texts"] for row in rows] == [TEXTS[:2], TEXTS[::2], TEXTS[1:]]
    expected = [float(cosines[i, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert [row["cosine"] for row in rows] == pytest.approx(expected, abs=1e-5)
    table = command("embed", directory, *TEXTS, "--compare").out.splitlines()
    assert [line.split("\t")[1:] for line in table] == [row["texts"] for row in rows]


def test_the_nearest_texts_of_a_file_come_first(
    directory: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "a.txt").write_text("\n".join([TEXTS[2], "", *TEXTS[:2]]))
    outcome = command("embed", directory, TEXTS[1], "--nearest", tmp_path / "a.txt", "-n", 2)
    lines = outcome.out.splitlines()
    assert lines[0] == TEXTS[1]
    assert len(lines) == 3
    assert lines[1].split(maxsplit=1) == ["1.0000", TEXTS[1]]
    found = json.loads(
        command("embed", directory, TEXTS[1], "--nearest", tmp_path / "a.txt", "--json").out
    )
    assert found["text"] == TEXTS[1]
    assert {near["text"] for near in found["nearest"]} == set(TEXTS)
    cosines = [near["cosine"] for near in found["nearest"]]
    assert cosines == sorted(cosines, reverse=True)
    # The blank line is no text, so the last one is number 3.
    assert found["nearest"][0]["number"] == 3


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["a", "--compare"], "--compare"),
        (["a", "b", "--compare", "--out", "v.npy"], "--out"),
        (["a", "--out", "vectors.txt"], "--out"),
        (["a", "--file", "b.txt"], "--file"),
        (["missing.txt"], "missing.txt"),
    ],
)
def test_wrong_arguments_are_named(
    directory: Path, arguments: list[str], field: str, command: Command
) -> None:
    outcome = command("embed", directory, *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == field


def test_a_number_of_neighbors_below_one_is_refused(
    directory: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "a.txt").write_text("a cat\n")
    outcome = command("embed", directory, "x", "--nearest", tmp_path / "a.txt", "-n", 0)
    assert isinstance(outcome.error, InputError)
    assert (outcome.error.field, outcome.error.value) == ("-n", 0)


def test_a_file_among_the_texts_is_refused_with_the_option_for_it(
    directory: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "a.txt").write_text("a cat\n")
    outcome = command("embed", directory, tmp_path / "a.txt")
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == "TEXTS"
    assert "--file" in outcome.error.remedy


def test_blank_input_is_refused(
    directory: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n  \n"))
    outcome = command("embed", directory)
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
