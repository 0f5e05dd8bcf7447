"""A recipe of an encoder from text to labels: vocabulary, masked tokens, labels; what is done is skipped, what does not fit is named."""

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
    """The recipe's runs, made once, and what was said."""
    place = tmp_path_factory.mktemp("trained")
    (place / "r.toml").write_text(RECIPE)
    (place / "data").mkdir()
    rows = [{"text": text, "label": kind} for kind, texts in SENTENCES.items() for text in texts]
    (place / "data" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (place / "data" / "validation.tsv").write_text(
        "label\ttext\n" + "".join(f"{row['label']}\t{row['text']}\n" for row in rows[::2])
    )
    texts = [
        {"text": f"{row['text']} are {row['label']} and that is the number {i}"}
        for i, row in enumerate(rows)
    ]
    (place / "data" / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    return place, go(place)


@pytest.fixture
def place(trained: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy that a test may change: what it leaves as it is has been done before."""
    return Path(shutil.copytree(trained[0], tmp_path / "place"))


def go(place: Path, *overrides: str) -> list[str]:
    said: list[str] = []
    run_recipe(
        read_recipe(place / "r.toml", overrides),
        place / "out",
        place / "data",
        Watcher(say=said.append),
    )
    return said


def test_from_text_to_labels(trained: tuple[Path, list[str]]) -> None:
    place, said = trained
    assert any(line == "training on 18 texts: 9 alive, 9 made" for line in said)
    masked, tokenizer = model_directory.load(place / "out" / "masked-lm", kind=Encoder)
    model, _ = model_directory.load(place / "out" / "classify", kind=Encoder)
    assert (masked.config.head, model.config.head, model.config.labels, model.config.dropout) == (
        "masked_lm",
        "labels",
        ("alive", "made"),
        0.1,
    )
    config = json.loads((place / "out" / "classify" / "model" / "config.json").read_text())
    assert config["id2label"] == {"0": "alive", "1": "made"}
    notes = json.loads((place / "out" / "classify" / "model" / "training.json").read_text())
    assert notes["figures"]["macro_f1"] == 1.0
    texts = [*SENTENCES["alive"], *SENTENCES["made"]]
    assert [told.label for told in Classifier(ClassifierForward(model), tokenizer).tell(texts)] == [
        "alive"
    ] * 9 + ["made"] * 9
    samples = [
        json.loads(line)["samples"]
        for line in (place / "out/classify/metrics.jsonl").read_text().splitlines()
        if "samples" in line
    ]
    assert samples[0] == [["the cat and the dog", "alive 0.50, made 0.50"]]
    assert [line for line in go(place) if line.endswith("already finished")] == [
        f"[{i}/3] {name}: already finished"
        for i, name in enumerate(("tokenizer", "masked-lm", "classify"), 1)
    ]


def test_a_changed_validation_file_makes_the_stage_stale(place: Path) -> None:
    with (place / "data" / "validation.tsv").open("a") as file:
        file.write("made\tthe log and the cup and the mat\n")
    assert any("classify was made from other settings or data" in line for line in go(place))


def test_without_pretraining_the_labels_are_learned_from_scratch(place: Path) -> None:
    (place / "r.toml").write_text(
        RECIPE.replace('"tokenizer", "masked-lm", "classify"', '"tokenizer", "classify"')
        .replace("[masked-lm", "[tokenizer-unused")
        .split("[tokenizer-unused")[0]
        + "[classify]"
        + RECIPE.split("[classify]", 1)[1].replace("dropout = 0.1", 'size = "nano"')
    )
    go(place)
    model, _ = model_directory.load(place / "out" / "classify", kind=Encoder)
    assert model.config.d_model == 64


def test_the_pretrained_weights_arrive(place: Path) -> None:
    go(
        place,
        "classify.loop.steps=1",
        "classify.loop.optimizer.learning_rate=1e-9",
        "classify.loop.optimizer.matrix_learning_rate=1e-9",
    )
    masked, _ = model_directory.load(place / "out" / "masked-lm", kind=Encoder)
    model, _ = model_directory.load(place / "out" / "classify", kind=Encoder)
    theirs = dict(masked.named_parameters())
    shared = [name for name, _ in model.named_parameters() if name in theirs]
    assert "blocks.0.attention.query.weight" in shared
    for name, p in model.named_parameters():
        if name in theirs:
            torch.testing.assert_close(p, theirs[name], atol=1e-6, rtol=1e-6)


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


def test_a_student_of_half_the_layers_learns_the_labels_from_its_teacher(place: Path) -> None:
    (place / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "student"]', 1) + STUDENT
    )
    go(place)
    teacher, student = (
        model_directory.load(place / "out" / name, kind=Encoder)[0].config
        for name in ("classify", "student")
    )
    assert (teacher.n_layer, student.n_layer, student.labels) == (2, 1, ("alive", "made"))
    figures = json.loads((place / "out" / "student" / "model" / "training.json").read_text())[
        "figures"
    ]
    assert figures["teacher_macro_f1"] == 1.0
    assert figures["macro_f1"] == 1.0


def test_a_teacher_of_other_labels_and_smoothing_beside_a_teacher_are_refused(place: Path) -> None:
    (place / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "student"]', 1)
        + STUDENT.replace("every-other-layer", "fresh")
    )
    (place / "data" / "other.jsonl").write_text(
        (place / "data" / "train.jsonl").read_text().replace("made", "thing")
    )
    (place / "data" / "other.tsv").write_text(
        (place / "data" / "validation.tsv").read_text().replace("made", "thing")
    )
    with pytest.raises(
        ValueError,
        match=r"\['alive', 'made'\].*\['alive', 'thing'\]",
    ):
        go(
            place,
            "student.data={data}/other.jsonl",
            "student.validation={data}/other.tsv",
            "student.model.size=nano",
            "student.model.context_length=16",
        )
    with pytest.raises(InputError, match="label_smoothing"):
        read_recipe(place / "r.toml", ["student.label_smoothing=0.1"])


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


def test_a_classifier_goes_on_with_texts_longer_than_it_was_made_for(place: Path) -> None:
    """Its first loss is held against the parent's on the same batch, whose rows the parent's own context would not hold."""
    (place / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "further"]', 1) + FURTHER
    )
    rows = [
        {"text": " and ".join([text] * 4), "label": kind}
        for kind, texts in SENTENCES.items()
        for text in texts
    ]
    (place / "data" / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    go(place)
    model, _ = model_directory.load(place / "out" / "further", kind=Encoder)
    assert model.config.context_length == 64


def test_a_classifier_of_other_labels_starts_from_a_fresh_head(place: Path) -> None:
    """The first loss of as many other labels is ln 2, not that of the old labels' scores."""
    (place / "r.toml").write_text(
        RECIPE.replace('"classify"]', '"classify", "further"]', 1) + FURTHER
    )
    rows = (place / "data" / "train.jsonl").read_text()
    renamed = rows.replace('"alive"', '"x"').replace('"made"', '"y"')
    (place / "data" / "long.jsonl").write_text(renamed)
    go(place)
    model, _ = model_directory.load(place / "out" / "further", kind=Encoder)
    assert model.config.labels == ("x", "y")


def test_what_does_not_fit_is_named(place: Path) -> None:
    with pytest.raises(InputError) as caught:
        go(place, "classify.model.d_model=32")
    assert caught.value.field == "embedding.weight"
    with pytest.raises(ValueError, match="mask_rate"):
        read_recipe(place / "r.toml", ["masked-lm.mask_rate=1.5"])
    with pytest.raises(ValueError, match='has no <mask>.*tokens = "wordpiece"'):
        go(place, "tokenizer.tokens=characters")
