"""Models, adapters and settings of the previous version are loaded with the same results."""

import json
from pathlib import Path

import pytest
import torch

from chatwright import config as config_files
from chatwright.checkpoint import model_directory, safetensors_file
from chatwright.conversation import Message
from chatwright.model import lora
from chatwright.model.model import Model
from chatwright.pipeline.import_export import import_model
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tokenizer import Tokenizer

PREVIOUS = Path(__file__).parent / "previous_version"
LOGITS = safetensors_file.load(PREVIOUS / "expected.safetensors")
EXPECTED = json.loads((PREVIOUS / "expected.json").read_text(encoding="utf-8"))
SETTINGS = json.loads((PREVIOUS / "settings.json").read_text(encoding="utf-8"))
TEXT = "the cat sat on the mat. a dog saw the log. "
BYTE_PAIRS = [70, 80, 90, 100, 110]
CHARACTERS = [1, 5, 9, 13, 2]
WORD_PIECES = [2, 7, 9, 11, 3]
# Directory -> the token ids that the model reads.
INPUTS = {
    "own-layout": [CHARACTERS],
    "adapter": [BYTE_PAIRS],
    "encoder-labels": [WORD_PIECES],
    "encoder-masked": [WORD_PIECES],
    "encoder-albert": [WORD_PIECES],
    "encoder-bottleneck": [WORD_PIECES],
    "encoder-decoder": [CHARACTERS, CHARACTERS],
    "word-vectors": [[1, 2]],
}

pytestmark = pytest.mark.filterwarnings("ignore:.* is now called :DeprecationWarning")


@torch.no_grad()
def outputs(model: Model, token_ids: list[list[int]]) -> torch.Tensor:
    """Return all outputs for one row of token ids per argument of the model."""
    return model(*(torch.tensor([row]) for row in token_ids)).flatten()


def assert_expected(actual: torch.Tensor, name: str) -> None:
    """Compare with the stored outputs, which may be only the last part of all outputs."""
    expected = LOGITS[name]
    # Another processor can round the last bits differently.
    torch.testing.assert_close(actual[-len(expected) :], expected, atol=1e-5, rtol=1e-5)


def assert_same_tokenization(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(TEXT) == EXPECTED["text_ids"]
    conversation = [Message("system", "the mat"), Message("user", "the cat?")]
    assert render_prompt(conversation, tokenizer) == EXPECTED["prompt"]


@pytest.mark.parametrize("name", INPUTS)
def test_a_model_of_the_previous_version_gives_the_same_logits(name: str) -> None:
    model, _ = model_directory.load(PREVIOUS / name, kind=Model)
    assert_expected(outputs(model, INPUTS[name]), name)


def test_a_run_of_the_previous_version_gives_the_same_logits_and_prompts() -> None:
    model, tokenizer = model_directory.load(PREVIOUS / "run")
    assert_expected(outputs(model, [BYTE_PAIRS]), "decoder")
    assert_same_tokenization(tokenizer)


def test_an_adapter_of_the_previous_version_is_loaded_with_its_base_and_changed_settings() -> None:
    model, tokenizer = model_directory.load(PREVIOUS / "adapter")
    assert model.config.context_length == 48
    assert {name.rsplit(".", 1)[-1] for name in lora.lora_layers(model)} == {"query", "down"}
    assert_same_tokenization(tokenizer)


def test_an_export_of_the_previous_version_is_imported_with_its_chat_format(
    tmp_path: Path,
) -> None:
    imported = import_model(str(PREVIOUS / "exported"), tmp_path / "model")
    assert imported.chat_format == "chatwright"
    model, tokenizer = model_directory.load(tmp_path / "model")
    assert_expected(outputs(model, [BYTE_PAIRS]), "decoder")
    assert_same_tokenization(tokenizer)


def test_a_renamed_setting_is_reported_once() -> None:
    with pytest.warns(DeprecationWarning, match="d_model"):
        model_directory.load(PREVIOUS / "run")


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_setting_of_the_previous_version_is_read(kind: str) -> None:
    config = config_files.build(stage_kind(kind).config_class(), SETTINGS[kind], f"[{kind}]")
    if hasattr(config, "loop"):
        assert config.loop.steps == SETTINGS[kind]["loop"]["steps"]


def test_a_recipe_of_the_previous_version_is_read() -> None:
    recipe = read_recipe(PREVIOUS / "recipe.toml")
    assert [stage.name for stage in recipe.stages] == ["tokenizer", "pretrain", "masked-lm"]
    assert recipe.stages[2].config.loop.monitor == "accuracy"
