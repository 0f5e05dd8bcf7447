"""The two worked extensions of CONTRIBUTING.md: each diff applies, and what it adds works."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.docs.markdown import ROOT
from tests.parity.case import make_random
from tests.tokenizer import example_tokenizers

EXTENSIONS = re.findall(
    r"^## Example \d: (.+?)\n.*?```diff\n(.*?)^```$",
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    flags=re.M | re.S,
)
N_TOKEN = 480
SHAPE = {
    "vocab_size": N_TOKEN,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
COMPARE = """
import sys, pathlib, torch
from chatwright.checkpoint import model_directory
model, _ = model_directory.load(pathlib.Path(sys.argv[1]))
expected = torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    torch.testing.assert_close(model(expected["ids"]), expected["logits"], atol=1e-5, rtol=0)
"""


def extended_package(folder: Path, title: str) -> Path:
    """Copy the package into a folder, apply the diff with that title, and return the folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "chatwright", folder / "chatwright", ignore=ignored)
    [diff] = [diff for heading, diff in EXTENSIONS if heading == title]
    subprocess.run(["git", "apply", "-"], cwd=folder, input=diff, text=True, check=True)
    return folder


def run_python(package: Path, *arguments: str) -> str:
    """Run Python with the extended package and return its output."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=package,
        env=os.environ | {"PYTHONPATH": str(package), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    return result.stdout


def test_there_are_two_examples() -> None:
    assert [title for title, _ in EXTENSIONS] == ["add a model family", "add a training stage"]


@pytest.mark.parametrize("title", [title for title, _ in EXTENSIONS])
def test_the_diff_applies(tmp_path: Path, title: str) -> None:
    extended_package(tmp_path, title)


@pytest.mark.ci
@pytest.mark.uses_global_rng
@pytest.mark.parametrize("window", [None, 16], ids=["full attention", "sliding window"])
def test_the_new_family_imports_a_model_with_equal_logits(
    tmp_path: Path, window: int | None
) -> None:
    transformers: Any = pytest.importorskip("transformers", reason="needs the dev extra")
    package = extended_package(tmp_path / "package", "add a model family")
    published = tmp_path / "phi3"
    published.mkdir()
    example_tokenizers.write_llama2(published)
    config = transformers.Phi3Config(**SHAPE, sliding_window=window)
    model = make_random(transformers.Phi3ForCausalLM, config).eval()
    model.generation_config = transformers.GenerationConfig()
    model.save_pretrained(published)
    ids = torch.randint(N_TOKEN, (1, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.save({"ids": ids, "logits": model(ids).logits}, tmp_path / "expected.pt")
    imported = tmp_path / "imported"
    run_python(package, "-m", "chatwright", "import", str(published), str(imported))
    run_python(package, "-c", COMPARE, str(imported), str(tmp_path / "expected.pt"))


@pytest.mark.ci
def test_the_new_stage_trains_and_resumes_with_the_same_bits(tmp_path: Path) -> None:
    package = extended_package(tmp_path / "package", "add a training stage")
    texts = tmp_path / "texts"
    texts.mkdir()
    for i in range(30):
        text = f"The boat number {i} carries apples, letters and {i} dogs to the island.\n"
        (texts / f"{i}.txt").write_text(text * 5)
    settings = [
        *("model.size=nano", "batches.rows=4", "batches.context_length=32", "noise=0.2"),
        *("loop.steps=20", "loop.save_every=10", "loop.evaluate_every=20"),
    ]
    command = ["-m", "chatwright", "train", "denoise", "--data", str(texts), "--vocab-size", "300"]
    whole = tmp_path / "whole"
    output = run_python(package, *command, "--out", str(whole), *settings)
    assert f"chatwright generate {whole}" in " ".join(output.split())
    logged = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    losses = [entry["validation_loss"] for entry in logged if "validation_loss" in entry]
    assert losses[-1] < 0.9 * losses[0]

    stopped = tmp_path / "stopped"  # as a run killed after step 10 leaves it
    shutil.copytree(whole, stopped)
    shutil.rmtree(stopped / "model")
    shutil.rmtree(stopped / "checkpoints" / "step-00000020")
    run_python(package, *command, "--out", str(stopped), *settings)
    resumed, expected = (run / "model" / "model.safetensors" for run in (stopped, whole))
    assert resumed.read_bytes() == expected.read_bytes()

    assert "noise" in run_python(package, "-m", "chatwright", "train", "denoise", "--help-settings")
