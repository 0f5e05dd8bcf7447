"""Question-answer pairs from Excel become a tuned, merged model that other tools open.

The merge reads old.jsonl, the training data of the imported base, to compare the losses of the
merged model with those of the adapter. The tests draw from the global random generator, as the
`transformers` library does; other tests may not (`uses_global_rng`).
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.model import lora
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.pipeline.sampling_defaults import read_sampling_defaults
from chatwright.training.watcher import Watcher
from tests.pipeline.imported_base import write_imported_base
from tests.pipeline.run_command import chatwright
from tests.pipeline.test_gguf_export import largest_difference

pytestmark = pytest.mark.uses_global_rng

READ_AS = ["--encoding", "cp1252", "--columns", "Frage=prompt,Antwort=completion"]
SAMPLING = {"temperature": 0.2, "top_p": 0.9}
# stop_prompts=0: training does not measure how many replies end by themselves.
QUICK = ["loop.steps=6", "sample_tokens=2", "stop_prompts=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and 50 pairs as a German Excel saves them: semicolons, code page 1252, CRLF."""
    folder = tmp_path_factory.mktemp("excel")
    file = write_imported_base(folder, steps=20) / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | SAMPLING))
    rows = [f"Wann fährt Boot {i}?;Um {i} Uhr – „pünktlich“." for i in range(50)]
    text = "\r\n".join(["Frage;Antwort", *rows, ""])
    (folder / "faq.csv").write_bytes(text.encode("cp1252"))
    return folder


@pytest.fixture(scope="module")
def tuned(folder: Path) -> Path:
    paths = ["--from", folder / "base", "--data", folder / "faq.csv", "--out", folder / "adapter"]
    chatwright("train", "sft", *paths, *READ_AS, "lora.rank=4", *QUICK)
    return folder / "adapter"


def test_all_pairs_are_read(tuned: Path) -> None:
    data = json.loads((tuned / "run.json").read_text())["data"]
    assert data["train"]["documents"] + data["validation"]["documents"] == 50


@torch.no_grad()
def test_the_merged_model_gives_equal_numbers_in_transformers_and_llama_cpp(
    folder: Path, tuned: Path
) -> None:
    from transformers import AutoModelForCausalLM

    chatwright("merge", tuned, folder / "merged", "--data", folder / "old.jsonl")
    chatwright("export", folder / "merged", folder / "exported")
    chatwright("export", folder / "merged", folder / "model.gguf", "--format", "gguf")
    ours, tokenizer = model_directory.load(folder / "merged")
    theirs: Any = AutoModelForCausalLM.from_pretrained(folder / "exported")
    prompt = torch.tensor([tokenizer.encode("Wann fährt Boot 7? Um 7 Uhr.")])
    expected = ours(prompt)
    torch.testing.assert_close(theirs(prompt).logits, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(theirs(prompt).logits.argmax(-1), expected.argmax(-1))
    assert largest_difference(folder / "merged", folder / "model.gguf") < 1e-3
    for made in (tuned / "model", folder / "merged", folder / "exported"):
        assert read_sampling_defaults(made) == SAMPLING, "the base's author recommends them"


def test_training_all_weights_keeps_the_sampling_settings(folder: Path) -> None:
    paths = ["--from", folder / "base", "--data", folder / "faq.csv", "--out", folder / "whole"]
    chatwright("train", "sft", *paths, *READ_AS, *QUICK)
    assert read_sampling_defaults(folder / "whole" / "model") == SAMPLING


RECIPE = """
stages = ["adapter", "merged"]
[adapter]
kind = "sft"
from = "{here}/base"
data = "{here}/faq.csv"
encoding = "cp1252"
rename_columns = {Frage = "prompt", Antwort = "completion"}
sample_tokens = 2
stop_prompts = 0
[adapter.lora]
rank = 4
[adapter.loop]
steps = 6
[merged]
kind = "merge"
"""


def test_a_recipe_tunes_a_model_by_its_path_and_merges_it_once(folder: Path) -> None:
    (folder / "recipe.toml").write_text(RECIPE)
    recipe = read_recipe(folder / "recipe.toml")
    said: list[str] = []
    last = run_recipe(recipe, folder / "runs", None, Watcher(say=said.append))
    assert last == folder / "runs" / "merged"
    merged, _ = model_directory.load(last)
    assert lora.lora_layers(merged) == {}
    adapted, _ = model_directory.load(folder / "runs" / "adapter")
    tokens = torch.arange(30).view(2, 15)
    with torch.no_grad():
        torch.testing.assert_close(merged(tokens), adapted(tokens), atol=1e-4, rtol=0)
    run_recipe(recipe, folder / "runs", None, Watcher(say=said.append))
    assert sum("already finished" in text for text in said) == 2
