"""From texts to an adapter that is served, merged and measured, by the commands a person types."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app
from chatwright.cli.load_model import open_assistant
from chatwright.model import lora
from chatwright.pipeline.merge import merge
from chatwright.training.checks import RunFailed

FAST = [
    "loop.steps=6",
    "loop.precision=float32",
    "batches.rows=2",
    "sample_tokens=4",
    "loop.evaluate_every=5",
    "loop.save_every=3",
]
TOKENS = torch.arange(30).view(2, 15)


def chatwright(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, conversations and an adapter trained on them."""
    place = tmp_path_factory.mktemp("adapter")
    (place / "texts").mkdir()
    for i in range(10):
        (place / "texts" / f"{i}.txt").write_text(
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
    (place / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    chatwright(
        "train",
        "pretrain",
        "--data",
        place / "texts",
        "--out",
        place / "base",
        "--vocab-size",
        290,
        "model.size=nano",
        "model.context_length=64",
        "validation_share=0.2",
        "sample_prompts=['the']",
        *FAST,
    )
    train(place, "adapter", "loop.steps=40")
    return place


def train(place: Path, name: str, *settings: str) -> None:
    chatwright(
        "train",
        "sft",
        "--from",
        place / "base",
        "--data",
        place / "chat.jsonl",
        "--out",
        place / name,
        *FAST,
        "lora.rank=4",
        "validation_share=0.2",
        "stop_prompts=2",
        *settings,
    )


def test_the_run_leaves_an_adapter_that_answers(place: Path) -> None:
    assert (place / "adapter" / "model" / "adapter_model.safetensors").exists()
    assert "trained parameters" in (place / "adapter" / "report.html").read_text()
    assistant = open_assistant(place / "adapter")
    assert assistant.complete("the cat").message.text


def test_merged_equals_unmerged_and_needs_no_base(place: Path, tmp_path: Path) -> None:
    output = chatwright("merge", place / "adapter", tmp_path / "merged")
    assert "largest logit gap between merged and unmerged" in output
    merged, _ = model_directory.load(tmp_path / "merged")
    assert lora.lora_layers(merged) == {}
    unmerged, _ = model_directory.load(place / "adapter")
    torch.testing.assert_close(
        merged(TOKENS), unmerged(TOKENS), atol=1e-4, rtol=0
    )  # what float32 loses in either of them
    assert (model_directory.load(place / "base")[0](TOKENS) - merged(TOKENS)).abs().max() > 1e-3
    assert all(
        p.requires_grad for p in merged.parameters()
    )  # loaded again, all of it can be trained


def test_a_merge_that_moves_the_logits_is_not_kept(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lora, "merge", lora.remove
    )  # the planted fault: a merge that loses the adapter
    with pytest.raises(RunFailed, match="differ from the unmerged ones by .* so it was not kept"):
        merge(place / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_what_cannot_be_merged_says_why(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a whole model, no adapter"):
        merge(place / "base", tmp_path / "merged")
    with pytest.raises(ValueError, match="is there already"):
        merge(place / "adapter", place / "base")


def test_an_adapter_beside_nothing_is_refused(place: Path) -> None:
    with pytest.raises(ValueError, match="lora: an adapter needs a model to stand beside"):
        chatwright(
            "train",
            "pretrain",
            "--data",
            place / "texts",
            "--out",
            place / "none",
            "--vocab-size",
            290,
            "lora.rank=4",
            *FAST,
        )


def test_pretraining_can_train_an_adapter_too(place: Path) -> None:
    chatwright(
        "train",
        "pretrain",
        "--data",
        place / "texts",
        "--from",
        place / "base",
        "--out",
        place / "texts-adapter",
        "lora.targets=['value']",
        "validation_share=0.2",
        "sample_prompts=['the']",
        *FAST,
    )
    model, _ = model_directory.load(place / "texts-adapter")
    assert {name.split(".")[-1] for name in lora.lora_layers(model)} == {"value"}


def test_other_settings_than_the_parents_shape_are_refused_by_name(place: Path) -> None:
    with pytest.raises(ValueError, match="config.json with size=tiny: unknown key 'size'"):
        train(place, "sized", "model.size=tiny")


def test_what_an_adapter_forgets_is_measured_and_reported(place: Path) -> None:
    with pytest.raises(RunFailed, match="forgetting_limit allows 0.0%"):
        train(
            place,
            "forgetful",
            f"old_texts={place / 'texts'}",
            "forgetting_limit=1e-9",
            "loop.steps=12",
        )
    figures = json.loads((place / "forgetful" / "model" / "training.json").read_text())["figures"]
    assert figures["forgotten"] > 0
    assert "old bits per byte before" in (place / "forgetful" / "report.html").read_text()


def test_a_limit_without_old_texts_is_refused(place: Path) -> None:
    with pytest.raises(
        ValueError, match=r"forgetting_limit \(0.1\) must be at least 0, and needs old_texts"
    ):
        train(place, "limited", "forgetting_limit=0.1")


@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_a_learning_rate_is_found_without_training_anything(
    place: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.training.learning_rate_finder.STEPS", 20)
    out, data = place / f"rate-{stage}", place / ("texts" if stage == "pretrain" else "chat.jsonl")
    output = chatwright(
        "train",
        stage,
        "--from",
        place / "base",
        "--data",
        data,
        "--out",
        out,
        *FAST,
        "validation_share=0.2",
        "--find-learning-rate",
    )
    assert "suggested: " in output
    assert "loop.optimizer.matrix_learning_rate=" in output
    assert {p.name for p in out.iterdir()} == {"learning-rate.html", "learning-rate.json"}


RECIPE = Path(__file__).parents[2] / "recipes" / "finetune-lora.toml"


def test_the_recipe_tunes_a_model_from_outside_and_knows_it_by_its_weights(place: Path) -> None:
    settings = [
        "adapter.loop.precision=float32",
        "adapter.batches.rows=2",
        "adapter.validation_share=0.2",
        "adapter.sample_tokens=4",
        "adapter.loop.steps=40",
        "adapter.stop_prompts=0",
    ]
    command = [
        "run",
        RECIPE,
        "--from",
        place / "base",
        "--data",
        place / "chat.jsonl",
        "--out",
        place / "recipe",
        *settings,
    ]
    chatwright(*command)
    model, _ = model_directory.load(place / "recipe" / "adapter")
    assert lora.lora_layers(model)
    assert "done before" in chatwright(*command)
    chatwright(
        "train",
        "pretrain",
        "--data",
        place / "texts",
        "--from",
        place / "base",
        "--out",
        place / "other",
        "validation_share=0.2",
        "sample_prompts=['the']",
        *FAST,
    )
    assert "kept as adapter.old-1" in chatwright(
        *("run", RECIPE, "--from", place / "other", *command[4:])
    )


def test_the_recipe_without_a_model_says_how_to_give_one(place: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"\[adapter\] goes on from a model that you have: give its folder with --from DIR",
    ):
        chatwright("run", RECIPE, "--data", place / "chat.jsonl", "--out", place / "nothing")
