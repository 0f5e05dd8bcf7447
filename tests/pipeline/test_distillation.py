"""Distillation with `chatwright train` and in a recipe."""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from tests.pipeline.run_command import chatwright

FAST = [
    "loop.steps=6",
    "loop.precision=float32",
    "batches.rows=2",
    "sample_tokens=4",
    "loop.evaluate_every=5",
    "loop.save_every=3",
    "validation_share=0.2",
    "sample_prompts=['the']",
]
RECIPE = Path(__file__).parents[2] / "recipes" / "distill.toml"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("distilling")
    (directory / "texts").mkdir()
    for i in range(10):
        (directory / "texts" / f"{i}.txt").write_text(
            f"the cat number {i} sat on the mat and the dog sat on the log. " * 12
        )
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"cat {i}?"},
                {"role": "assistant", "content": "yes."},
            ]
        }
        for i in range(30)
    ]
    (directory / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    chatwright(
        "train",
        "pretrain",
        "--data",
        directory / "texts",
        "--out",
        directory / "teacher",
        "--vocab-size",
        290,
        "model.size=nano",
        "model.context_length=64",
        *FAST,
    )
    return directory


def notes(run: Path) -> dict:
    return json.loads((run / "model" / "training.json").read_text())


def test_a_student_gets_its_teachers_tokenizer_and_is_evaluated_without_the_teacher(
    directory: Path,
) -> None:
    chatwright(
        "train",
        "pretrain",
        "--data",
        directory / "texts",
        "--out",
        directory / "student",
        "model.size=nano",
        "model.n_layer=1",
        "model.context_length=64",
        f"distillation.teacher={directory / 'teacher'}",
        *FAST,
    )
    figures = notes(directory / "student")["figures"]
    teacher_loss = notes(directory / "teacher")["figures"]["validation_loss"]
    assert figures["teacher_validation_loss"] == pytest.approx(teacher_loss, rel=1e-5)
    assert model_directory.load(directory / "student")[0].config.n_layer == 1
    assert not (directory / "student" / "tokenizer").exists()


def test_a_student_starts_from_every_other_layer_of_its_teacher(directory: Path) -> None:
    chatwright(
        "train",
        "pretrain",
        "--data",
        directory / "texts",
        "--out",
        directory / "layers",
        f"distillation.teacher={directory / 'teacher'}",
        "distillation.start=every-other-layer",
        "model.dropout=0.1",
        *FAST,
    )
    model, _ = model_directory.load(directory / "layers")
    assert (model.config.n_layer, model.config.dropout) == (1, 0.1)
    assert notes(directory / "layers")["first_loss"] < 5.5, (
        "a random model's first loss would be ln 283 = 5.65"
    )


def test_fine_tuning_can_learn_from_a_teacher(directory: Path) -> None:
    chatwright(
        "train",
        "sft",
        "--from",
        directory / "teacher",
        "--data",
        directory / "chat.jsonl",
        "--out",
        directory / "chat",
        "stop_prompts=0",
        *FAST[:-1],
    )
    chatwright(
        "train",
        "sft",
        "--from",
        directory / "student",
        "--data",
        directory / "chat.jsonl",
        "--out",
        directory / "chat-student",
        "stop_prompts=0",
        f"distillation.teacher={directory / 'chat'}",
        "distillation.hidden_weight=0.1",
        *FAST[:-1],
    )
    assert "teacher_validation_loss" in notes(directory / "chat-student")["figures"]


def test_a_teacher_with_another_vocabulary_or_shorter_context_is_rejected(directory: Path) -> None:
    chatwright(
        "train",
        "pretrain",
        "--data",
        directory / "texts",
        "--out",
        directory / "other",
        "--vocab-size",
        280,
        "model.size=nano",
        "model.context_length=32",
        *FAST,
    )
    command = [
        "train",
        "pretrain",
        "--data",
        directory / "texts",
        "--out",
        directory / "refused",
        "model.size=nano",
    ]
    with pytest.raises(InputError, match="vocabulary"):
        chatwright(
            *command,
            "--from",
            directory / "teacher" / "tokenizer",
            f"distillation.teacher={directory / 'other'}",
            *FAST,
        )
    with pytest.raises(InputError) as caught:
        chatwright(
            *command,
            "model.context_length=64",
            f"distillation.teacher={directory / 'other'}",
            *FAST,
        )
    assert (caught.value.field, caught.value.value) == ("model.context_length", 64)


def test_an_adapter_on_a_student_without_a_saved_base_is_rejected(directory: Path) -> None:
    with pytest.raises(InputError, match="lora"):
        chatwright(
            "train",
            "pretrain",
            "--data",
            directory / "texts",
            "--out",
            directory / "refused",
            "lora.rank=2",
            f"distillation.teacher={directory / 'teacher'}",
            "distillation.start=every-other-layer",
            *FAST,
        )


def test_the_distill_recipe_trains_a_teacher_a_student_and_the_same_model_without_teacher(
    directory: Path,
) -> None:
    stages = ("teacher", "student", "alone")
    settings = [
        f"{stage}.{setting}"
        for stage in stages
        for setting in (*FAST[1:], "loop.steps=4", "model.context_length=32")
    ]
    settings += ["teacher.model.size=nano", "alone.model.size=nano", "alone.model.n_layer=1"]
    out = directory / "recipe"
    chatwright(
        "run",
        RECIPE,
        "--data",
        directory / "texts",
        "--out",
        out,
        "--smoke",
        "tokenizer.vocab_size=290",
        *settings,
    )
    parameters = {stage: notes(out / stage)["parameters"] for stage in stages}
    assert parameters["student"] == parameters["alone"] < 0.7 * parameters["teacher"]
    again = chatwright(
        "run",
        RECIPE,
        "--data",
        directory / "texts",
        "--out",
        out,
        "--smoke",
        "tokenizer.vocab_size=290",
        *settings,
    )
    assert again.count("already finished") == 4
    with_another_teacher = chatwright(
        "run",
        RECIPE,
        "--data",
        directory / "texts",
        "--out",
        out,
        "--smoke",
        "tokenizer.vocab_size=290",
        *settings,
        "teacher.loop.seed=5",
    )
    assert "student was made from other settings or data" in with_another_teacher
    assert "alone was made from" not in with_another_teacher
