"""Sampling settings of a model's author: kept by an import, read by chat, wrong ones refused."""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.cli.chat import _open
from chatwright.devices import generator
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.pipeline.sampling_defaults import defaults_text, read_sampling_defaults
from tests.server.small_model import TOKENIZER, small_model

FOUND = {"temperature": 0.2, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1}


def write(folder: Path, **settings: object) -> None:
    file = folder / "generation_config.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(content | settings))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model_directory.save(tmp_path / "model", small_model(), TOKENIZER)
    return tmp_path / "model"


def test_only_settings_that_we_have_are_read(model: Path) -> None:
    assert read_sampling_defaults(model) == {}
    write(model, do_sample=True, max_new_tokens=5, min_p=None, **FOUND)
    assert read_sampling_defaults(model) == FOUND
    assert defaults_text(FOUND) == "temperature 0.2, top_p 0.9, top_k 40, repetition_penalty 1.1"


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", -1), ("top_p", 2), ("top_k", "many"), ("min_p", 5)]
)
def test_a_wrong_setting_is_refused_with_its_file(model: Path, name: str, value: object) -> None:
    write(model, **{name: value})
    with pytest.raises(InputError) as caught:
        read_sampling_defaults(model)
    assert (caught.value.field, caught.value.value) == (name, value)
    assert "generation_config.json" in caught.value.problem


def test_an_adapter_has_the_settings_of_its_base(model: Path, tmp_path: Path) -> None:
    write(model, temperature=0.5)
    (model / "MANIFEST.json").unlink()
    adapted, tokenizer = model_directory.load(model)
    lora.attach(adapted, lora.LoRAConfig(rank=2), generator(1, "adapter"))
    base = model_directory.base_of(adapted, model)
    model_directory.save(tmp_path / "adapter", adapted, tokenizer, base=base)
    assert read_sampling_defaults(tmp_path / "adapter") == {"temperature": 0.5}


def test_chat_uses_them_and_the_user_wins(model: Path) -> None:
    def sampling(*settings: str) -> tuple[float, float]:
        _, found, _ = _open(model, list(settings), MemoryLimits(max_replies=1))
        return found.temperature, found.top_p

    before = sampling()
    assert before[1] == 1.0
    write(model, temperature=0.1, top_p=0.8)
    (model / "MANIFEST.json").unlink()
    assert sampling() == (0.1, 0.8) != before
    assert sampling("temperature=0.7") == (0.7, 0.8)
