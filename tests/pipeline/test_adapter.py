"""Commands train, serve, merge and evaluate an adapter."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.cli.load_model import open_assistant
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.pipeline.merge import merge
from chatwright.training.checks import RunFailed
from tests.pipeline.run_command import chatwright

FAST = [
    "loop.steps=6",
    "loop.precision=float32",
    "batches.rows=2",
    "sample_tokens=4",
    "loop.evaluate_every=5",
    "loop.save_every=3",
]
TOKENS = torch.arange(30).view(2, 15)
RECIPE = Path(__file__).parents[2] / "recipes" / "finetune-lora.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, conversations, a pretrained base and an adapter trained on it."""
    folder = tmp_path_factory.mktemp("adapter")
    (folder / "texts").mkdir()
    for i in range(10):
        text = f"the cat number {i} sat on the mat and the dog sat on the log. " * 12
        (folder / "texts" / f"{i}.txt").write_text(text)
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"cat {i}?"},
                {"role": "assistant", "content": "yes."},
            ]
        }
        for i in range(30)
    ]
    (folder / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shape = ["--vocab-size", "290", "model.size=nano", "model.context_length=64"]
    pretrain(folder, "base", shape)
    fine_tune(folder, "adapter", "loop.steps=40")
    return folder


def pretrain(folder: Path, out: str, options: Iterable[object]) -> None:
    paths = ["--data", folder / "texts", "--out", folder / out]
    settings = ["validation_share=0.2", "sample_prompts=['the']", *FAST]
    chatwright("train", "pretrain", *paths, *options, *settings)


def fine_tune(folder: Path, out: str, *settings: str) -> None:
    paths = ["--from", folder / "base", "--data", folder / "chat.jsonl", "--out", folder / out]
    common = ["lora.rank=4", "validation_share=0.2", "stop_prompts=2"]
    chatwright("train", "sft", *paths, *FAST, *common, *settings)


def test_training_with_lora_saves_an_adapter_that_generates_tokens(folder: Path) -> None:
    assert (folder / "adapter" / "model" / "adapter_model.safetensors").exists()
    assert "trained parameters" in (folder / "adapter" / "report.html").read_text()
    assistant = open_assistant(folder / "adapter")
    # The first token may be the one that ends the text, so the text itself may be empty.
    sampling = SamplingConfig(temperature=0.0, max_tokens=8)
    assert 1 <= assistant.complete("the cat", sampling).usage.completion_tokens <= 8


def test_a_merged_model_equals_the_unmerged_one_and_needs_no_base(
    folder: Path, tmp_path: Path
) -> None:
    assert "logit" in chatwright("merge", folder / "adapter", tmp_path / "merged")
    merged, _ = model_directory.load(tmp_path / "merged")
    assert lora.lora_layers(merged) == {}
    unmerged, _ = model_directory.load(folder / "adapter")
    base, _ = model_directory.load(folder / "base")
    # Both logits have rounding errors of float32.
    torch.testing.assert_close(merged(TOKENS), unmerged(TOKENS), atol=1e-4, rtol=0)
    assert (base(TOKENS) - merged(TOKENS)).abs().max() > 1e-3
    assert all(p.requires_grad for p in merged.parameters()), "no parameter is frozen after a merge"


def test_a_merge_that_changes_the_logits_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison of logits detects a merge that drops the adapter."""
    monkeypatch.setattr(lora, "merge", lora.remove)
    with pytest.raises(RunFailed):
        merge(folder / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_whole_model_and_an_existing_folder_are_not_merged(folder: Path, tmp_path: Path) -> None:
    for adapter, out, field in (
        (folder / "base", tmp_path / "merged", "adapter"),
        (folder / "adapter", folder / "base", "out"),
    ):
        with pytest.raises(InputError) as caught:
            merge(adapter, out)
        assert caught.value.field == field


@pytest.mark.uses_global_rng
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_an_adapter_of_a_tied_head_is_served_but_not_merged(folder: Path, tmp_path: Path) -> None:
    """Merging would change the embedding too, which shares its weight with the head."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder / "base" / "model")
    config = LoraConfig(r=2, task_type="CAUSAL_LM", target_modules=["q_proj", "lm_head"])
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    model_directory.load(folder / "base")[1].save(tmp_path / "adapter")
    assert "head" in lora.lora_layers(model_directory.load(tmp_path / "adapter")[0])
    with pytest.raises(InputError) as caught:
        merge(tmp_path / "adapter", tmp_path / "merged")
    assert (caught.value.field, caught.value.value) == ("adapter", "head")
    assert "chatwright serve" in caught.value.remedy
    assert not (tmp_path / "merged").exists()


def test_training_an_adapter_without_a_model_is_rejected(folder: Path) -> None:
    with pytest.raises(ValueError, match="lora"):
        pretrain(folder, "none", ["--vocab-size", 290, "lora.rank=4"])


def test_pretraining_can_train_an_adapter(folder: Path) -> None:
    pretrain(folder, "texts-adapter", ["--from", folder / "base", "lora.targets=['value']"])
    model, _ = model_directory.load(folder / "texts-adapter")
    assert {name.split(".")[-1] for name in lora.lora_layers(model)} == {"value"}


def test_a_setting_that_would_change_the_shape_of_the_base_is_rejected(folder: Path) -> None:
    with pytest.raises(ValueError, match="size"):
        fine_tune(folder, "sized", "model.size=tiny")


def test_a_run_that_forgets_more_than_the_limit_fails_and_reports_the_figure(folder: Path) -> None:
    settings = [f"old_texts={folder / 'texts'}", "forgetting_limit=1e-9", "loop.steps=12"]
    with pytest.raises(RunFailed, match="forgetting_limit"):
        fine_tune(folder, "forgetful", *settings)
    training = json.loads((folder / "forgetful" / "model" / "training.json").read_text())
    assert training["figures"]["forgotten"] > 0
    assert "old bits per byte before" in (folder / "forgetful" / "report.html").read_text()


def test_a_forgetting_limit_needs_old_texts(folder: Path) -> None:
    with pytest.raises(ValueError, match="old_texts"):
        fine_tune(folder, "limited", "forgetting_limit=0.1")


@pytest.mark.parametrize("stage", [pytest.param("pretrain", marks=pytest.mark.ci), "sft"])
def test_finding_a_learning_rate_writes_no_model(
    folder: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.training.learning_rate_finder.STEPS", 20)
    out = folder / f"rate-{stage}"
    data = folder / ("texts" if stage == "pretrain" else "chat.jsonl")
    paths = ["--from", folder / "base", "--data", data, "--out", out]
    settings = [*FAST, "validation_share=0.2", "--find-learning-rate"]
    output = chatwright("train", stage, *paths, *settings)
    assert "loop.optimizer.matrix_learning_rate=" in output
    assert {path.name for path in out.iterdir()} == {"learning-rate.html", "learning-rate.json"}


def test_the_recipe_trains_again_only_if_the_weights_of_its_base_changed(folder: Path) -> None:
    settings = [
        "adapter.loop.precision=float32",
        "adapter.batches.rows=2",
        "adapter.validation_share=0.2",
        "adapter.sample_tokens=4",
        "adapter.loop.steps=40",
        "adapter.stop_prompts=0",
    ]
    paths = ["--data", folder / "chat.jsonl", "--out", folder / "recipe"]
    command = ["run", RECIPE, *paths, *settings, "--from"]
    chatwright(*command, folder / "base")
    model, _ = model_directory.load(folder / "recipe" / "adapter")
    assert lora.lora_layers(model)
    metrics = folder / "recipe" / "adapter" / "metrics.jsonl"
    modified_at = metrics.stat().st_mtime_ns
    chatwright(*command, folder / "base")
    assert metrics.stat().st_mtime_ns == modified_at, "the finished stage was trained again"
    pretrain(folder, "other", ["--from", folder / "base"])
    assert "adapter.old-1" in chatwright(*command, folder / "other")


def test_the_recipe_without_a_model_is_rejected(folder: Path) -> None:
    with pytest.raises(ValueError, match="--from"):
        chatwright("run", RECIPE, "--data", folder / "chat.jsonl", "--out", folder / "nothing")
