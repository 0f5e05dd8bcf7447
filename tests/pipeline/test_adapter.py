"""From texts to an adapter that is served, merged and measured, by the commands a person types."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app
from chatwright.cli.opening import open_assistant
from chatwright.model import lora
from chatwright.pipeline.merge import merge
from chatwright.training.checks import RunFailed

FAST = ["loop.steps=6", "loop.precision=float32", "batches.rows=2", "sample_tokens=4", "loop.evaluate_every=5", "loop.save_every=3"]
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
        (place / "texts" / f"{i}.txt").write_text(f"the cat number {i} sat on the mat and the dog sat on the log. " * 12)
    rows = [{"messages": [{"role": "user", "content": f"cat {i}?"}, {"role": "assistant", "content": "yes."}]} for i in range(30)]
    (place / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    chatwright("train", "pretrain", "--data", place / "texts", "--out", place / "base", "--vocab-size", 290, "model.size=nano",
               "model.context_length=64", "validation_share=0.2", "sample_prompts=['the']", *FAST)
    train(place, "adapter", "loop.steps=40")
    return place


def train(place: Path, name: str, *settings: str) -> None:
    chatwright("train", "sft", "--from", place / "base", "--data", place / "chat.jsonl", "--out", place / name, *FAST, "lora.rank=4",
               "validation_share=0.2", "stop_prompts=2", *settings)


def test_the_run_leaves_an_adapter_that_answers(place: Path) -> None:
    assert (place / "adapter" / "model" / "adapter_model.safetensors").exists()
    assert "trained parameters" in (place / "adapter" / "report.html").read_text()
    assistant = open_assistant(place / "adapter")
    assert assistant.complete("the cat").message.content


def test_merged_equals_unmerged_and_needs_no_base(place: Path, tmp_path: Path) -> None:
    output = chatwright("merge", place / "adapter", tmp_path / "merged")
    assert "largest logit gap between merged and unmerged" in output
    merged, _ = model_directory.load(tmp_path / "merged")
    assert lora.linears(merged) == {}
    unmerged, _ = model_directory.load(place / "adapter")
    torch.testing.assert_close(merged(TOKENS), unmerged(TOKENS), atol=1e-4, rtol=0)    # what float32 loses in either of them
    assert (model_directory.load(place / "base")[0](TOKENS) - merged(TOKENS)).abs().max() > 1e-3
    assert all(p.requires_grad for p in merged.parameters())    # loaded again, all of it can be trained


def test_a_merge_that_moves_the_logits_is_not_kept(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora, "merge", lora.remove)    # the planted fault: a merge that loses the adapter
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
        chatwright("train", "pretrain", "--data", place / "texts", "--out", place / "none", "--vocab-size", 290, "lora.rank=4", *FAST)


def test_pretraining_can_train_an_adapter_too(place: Path) -> None:
    chatwright("train", "pretrain", "--data", place / "texts", "--from", place / "base", "--out", place / "texts-adapter", "lora.targets=['value']",
               "validation_share=0.2", "sample_prompts=['the']", *FAST)
    model, _ = model_directory.load(place / "texts-adapter")
    assert {name.split(".")[-1] for name in lora.linears(model)} == {"value"}


def test_other_settings_than_the_parents_shape_are_refused_by_name(place: Path) -> None:
    with pytest.raises(ValueError, match="config.json with size=tiny: unknown key 'size'"):
        train(place, "sized", "model.size=tiny")
