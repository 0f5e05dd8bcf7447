"""A recipe trains a tokenizer, a masked-language encoder and a classifier."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.tasks.classify import Classifier
from chatwright.training.watcher import Watcher

RECIPE = """
stages = ["tokenizer", "masked-lm", "classify"]
[tokenizer]
data = "{data}/texts.jsonl"
tokens = "wordpiece"
vocab_size = 90
[masked-lm]
data = "{data}/texts.jsonl"
validation_share = 0.1
mask_rate = 0.3
[masked-lm.model]
size = "nano"
context_length = 16
[masked-lm.batches]
rows = 4
[masked-lm.loop]
steps = 6
precision = "float32"
[classify]
data = "{data}/train.jsonl"
validation = "{data}/validation.tsv"
sample_texts = ["the cat and the dog"]
[classify.model]
dropout = 0.1
pooler = "tanh"
[classify.loop]
steps = 30
evaluate_every = 10
patience = 5
monitor = "macro_f1"
higher_is_better = true
precision = "float32"
[classify.loop.optimizer]
matrix_learning_rate = 0.05
"""
SENTENCES = {
    kind: [f"the {a} and the {b}" for a in things for b in things]
    for kind, things in (("alive", ("cat", "dog", "bird")), ("made", ("log", "mat", "cup")))
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The directory of the finished recipe and the messages of its run."""
    directory = tmp_path_factory.mktemp("trained")
    (directory / "r.toml").write_text(RECIPE)
    (directory / "data").mkdir()
    rows = [{"text": text, "label": kind} for kind, texts in SENTENCES.items() for text in texts]
    (directory / "data" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (directory / "data" / "validation.tsv").write_text(
        "label\ttext\n" + "".join(f"{row['label']}\t{row['text']}\n" for row in rows[::2])
    )
    texts = [
        {"text": f"{row['text']} are {row['label']} and that is the number {i}"}
        for i, row in enumerate(rows)
    ]
    (directory / "data" / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    return directory, run(directory)


@pytest.fixture
def directory(trained: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of the finished recipe that a test may change."""
    return Path(shutil.copytree(trained[0], tmp_path / "directory"))


def run(directory: Path, *overrides: str) -> list[str]:
    messages: list[str] = []
    run_recipe(
        read_recipe(directory / "r.toml", overrides),
        directory / "out",
        directory / "data",
        Watcher(say=messages.append),
    )
    return messages


def test_the_recipe_trains_a_classifier(trained: tuple[Path, list[str]]) -> None:
    directory, messages = trained
    assert any(line == "training on 18 texts: 9 alive, 9 made" for line in messages)
    masked, tokenizer = model_directory.load(directory / "out" / "masked-lm", kind=Encoder)
    model, _ = model_directory.load(directory / "out" / "classify", kind=Encoder)
    assert (masked.config.head, model.config.head, model.config.labels, model.config.dropout) == (
        "masked_lm",
        "labels",
        ("alive", "made"),
        0.1,
    )
    config = json.loads((directory / "out" / "classify" / "model" / "config.json").read_text())
    assert config["id2label"] == {"0": "alive", "1": "made"}
    notes = json.loads((directory / "out" / "classify" / "model" / "training.json").read_text())
    assert notes["figures"]["macro_f1"] == 1.0
    texts = [*SENTENCES["alive"], *SENTENCES["made"]]
    predictions = Classifier(ClassifierForward(model), tokenizer).predict(texts)
    assert [prediction.label for prediction in predictions] == ["alive"] * 9 + ["made"] * 9
    samples = [
        json.loads(line)["samples"]
        for line in (directory / "out/classify/metrics.jsonl").read_text().splitlines()
        if "samples" in line
    ]
    assert samples[0] == [["the cat and the dog", "alive 0.50, made 0.50"]]
    assert [line for line in run(directory) if line.endswith("already finished")] == [
        f"[{i}/3] {name}: already finished"
        for i, name in enumerate(("tokenizer", "masked-lm", "classify"), 1)
    ]


def test_a_changed_validation_file_makes_the_stage_stale(directory: Path) -> None:
    with (directory / "data" / "validation.tsv").open("a") as file:
        file.write("made\tthe log and the cup and the mat\n")
    assert any("classify was made from other settings or data" in line for line in run(directory))


def test_a_classifier_can_be_trained_from_random_weights(directory: Path) -> None:
    (directory / "r.toml").write_text(
        RECIPE.replace('"tokenizer", "masked-lm", "classify"', '"tokenizer", "classify"')
        .replace("[masked-lm", "[tokenizer-unused")
        .split("[tokenizer-unused")[0]
        + "[classify]"
        + RECIPE.split("[classify]", 1)[1].replace("dropout = 0.1", 'size = "nano"')
    )
    run(directory)
    model, _ = model_directory.load(directory / "out" / "classify", kind=Encoder)
    assert model.config.d_model == 64


def test_a_classifier_starts_from_the_pretrained_weights(directory: Path) -> None:
    run(
        directory,
        "classify.loop.steps=1",
        "classify.loop.optimizer.learning_rate=1e-9",
        "classify.loop.optimizer.matrix_learning_rate=1e-9",
    )
    masked, _ = model_directory.load(directory / "out" / "masked-lm", kind=Encoder)
    model, _ = model_directory.load(directory / "out" / "classify", kind=Encoder)
    pretrained = dict(masked.named_parameters())
    shared = [name for name, _ in model.named_parameters() if name in pretrained]
    assert "blocks.0.attention.query.weight" in shared
    for name in shared:
        parameter = model.get_parameter(name)
        torch.testing.assert_close(parameter, pretrained[name], atol=1e-6, rtol=1e-6)


STUDENT = """
[student]
kind = "classify"
from = ""
data = "{data}/train.jsonl"
validation = "{data}/validation.tsv"
[student.distillation]
teacher = "{classify}"
start = "every-other-layer"
[student.loop]
steps = 12
precision = "float32"
"""


def test_a_classifier_is_distilled_into_a_student_with_half_its_layers(directory: Path) -> None:
    (directory / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "student"]', 1) + STUDENT
    )
    run(directory)
    teacher, student = (
        model_directory.load(directory / "out" / name, kind=Encoder)[0].config
        for name in ("classify", "student")
    )
    assert (teacher.n_layer, student.n_layer, student.labels) == (2, 1, ("alive", "made"))
    figures = json.loads((directory / "out" / "student" / "model" / "training.json").read_text())[
        "figures"
    ]
    assert figures["teacher_macro_f1"] == 1.0
    assert figures["macro_f1"] == 1.0


def test_a_student_with_other_labels_or_label_smoothing_is_rejected(directory: Path) -> None:
    (directory / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "student"]', 1)
        + STUDENT.replace("every-other-layer", "fresh")
    )
    (directory / "data" / "other.jsonl").write_text(
        (directory / "data" / "train.jsonl").read_text().replace("made", "thing")
    )
    (directory / "data" / "other.tsv").write_text(
        (directory / "data" / "validation.tsv").read_text().replace("made", "thing")
    )
    with pytest.raises(InputError, match="'thing'") as caught:
        run(
            directory,
            "student.data={data}/other.jsonl",
            "student.validation={data}/other.tsv",
            "student.model.size=nano",
            "student.model.context_length=16",
        )
    assert caught.value.field == "distillation.teacher"
    with pytest.raises(InputError, match="label_smoothing"):
        read_recipe(directory / "r.toml", ["student.label_smoothing=0.1"])


FURTHER = """
[further]
kind = "classify"
data = "{data}/long.jsonl"
validation = "{data}/long.jsonl"
[further.model]
context_length = 64
[further.loop]
steps = 2
precision = "float32"
"""


def test_a_classifier_continues_with_a_longer_context(directory: Path) -> None:
    """The check before the first step loads the parent with the longer context, too."""
    (directory / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "further"]', 1) + FURTHER
    )
    rows = [
        {"text": " and ".join([text] * 4), "label": kind}
        for kind, texts in SENTENCES.items()
        for text in texts
    ]
    (directory / "data" / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run(directory)
    model, _ = model_directory.load(directory / "out" / "further", kind=Encoder)
    assert model.config.context_length == 64


def test_a_classifier_with_other_labels_gets_a_new_head(directory: Path) -> None:
    """The run passes its check before the first step, which expects ln 2 of a fresh head."""
    (directory / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "further"]', 1) + FURTHER
    )
    rows = (directory / "data" / "train.jsonl").read_text()
    renamed = rows.replace('"alive"', '"x"').replace('"made"', '"y"')
    (directory / "data" / "long.jsonl").write_text(renamed)
    run(directory)
    model, _ = model_directory.load(directory / "out" / "further", kind=Encoder)
    assert model.config.labels == ("x", "y")


def test_wrong_settings_are_refused(directory: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(directory, "classify.model.d_model=32")
    assert caught.value.field == "embedding.weight"
    with pytest.raises(ValueError, match="mask_rate"):
        read_recipe(directory / "r.toml", ["masked-lm.mask_rate=1.5"])
    with pytest.raises(InputError, match="wordpiece"):
        run(directory, "tokenizer.tokens=characters")
