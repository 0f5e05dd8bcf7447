"""Models are loaded exactly; transformers loads them too; mismatched files are rejected."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import (
    build_model,
    directory,
    model_directory,
    run_directory,
    safetensors_file,
)
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.model import Model
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. " * 20


def save_model(path: Path, **changes: object) -> tuple[GPT, ByteBPE]:
    tokenizer = ByteBPE.train([TEXT], 300)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, **changes))
    init_weights(model, generator(0, "weights"))
    model_directory.save(path, model, tokenizer, {"written_by": "a test"})
    return model, tokenizer


def have_equal_parameters(first: Model, second: Model) -> bool:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied": False},
        {"activation": "gelu", "norm": "layer", "position": "learned", "bias": True},
    ],
    ids=str,
)
def test_a_loaded_model_equals_the_saved_one(tmp_path: Path, changes: dict) -> None:
    model, tokenizer = save_model(tmp_path / "m", **changes)
    loaded, loaded_tokenizer = model_directory.load(tmp_path / "m")
    assert loaded.config == model.config
    assert have_equal_parameters(model, loaded)
    assert loaded_tokenizer.encode(TEXT) == tokenizer.encode(TEXT)


@pytest.mark.uses_global_rng
def test_transformers_gives_equal_logits_for_a_saved_model(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = save_model(tmp_path / "m")
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    ids = AutoTokenizer.from_pretrained(tmp_path / "m")("the dog sat")["input_ids"]
    assert ids == tokenizer.encode("the dog sat")
    token_ids = torch.tensor([ids])
    with torch.no_grad():
        expected = reference(token_ids).logits
        torch.testing.assert_close(model(token_ids), expected, atol=1e-5, rtol=1e-4)


def test_readers_find_the_model_while_a_run_replaces_it(tmp_path: Path) -> None:
    """They find it while the new model is being written and between the two renames."""
    (tmp_path / run_directory.RUN_FILE).write_text("{}")
    model, _ = save_model(tmp_path / "model")
    with directory.atomic_directory(tmp_path / "other") as temporary:
        (temporary / "half").write_text("unfinished")
        assert model_directory.find(tmp_path) == tmp_path / "model"
        assert (temporary / "half").exists()
    (tmp_path / "model").rename(tmp_path / ".old-model")
    assert have_equal_parameters(model, model_directory.load(tmp_path)[0])
    assert (tmp_path / ".old-model").exists()


def test_a_run_is_recognized_by_its_run_file_and_not_by_names_in_it(tmp_path: Path) -> None:
    save_model(tmp_path / "run" / "model")
    with pytest.raises(InputError) as caught:  # the folder holds "model", but no run.json
        model_directory.find(tmp_path / "run")
    assert str(tmp_path / "run" / "model") in caught.value.remedy
    (tmp_path / "run" / run_directory.RUN_FILE).write_text("{}")
    assert model_directory.find(tmp_path / "run") == tmp_path / "run" / "model"


def test_a_run_without_a_finished_model_gives_its_newest_checkpoint(tmp_path: Path) -> None:
    (tmp_path / run_directory.RUN_FILE).write_text("{}")
    for step in (1, 2):
        save_model(tmp_path / "checkpoints" / f"step-{step:08d}")
    assert model_directory.find(tmp_path).name == "step-00000002"


def test_tensors_that_do_not_match_the_config_are_rejected(tmp_path: Path) -> None:
    save_model(tmp_path / "a")
    save_model(tmp_path / "b", n_layer=3)
    save_model(tmp_path / "c", d_ff=128)
    for other, tensor in (("b", "model.layers.2"), ("c", "mlp.gate_proj.weight")):
        data = (tmp_path / other / "model.safetensors").read_bytes()
        (tmp_path / "a" / "model.safetensors").write_bytes(data)
        with pytest.raises(InputError) as caught:
            model_directory.load(tmp_path / "a")
        assert tensor in caught.value.field


def test_a_tokenizer_with_another_vocabulary_size_is_rejected(tmp_path: Path) -> None:
    save_model(tmp_path / "a")
    tokenizer = ByteBPE.train([TEXT], 270)
    tokenizer.save(tmp_path / "a")
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "a")
    assert (caught.value.field, caught.value.value) == ("vocab_size", tokenizer.vocab_size)


def test_a_model_of_another_kind_is_rejected_with_the_command_for_it(tmp_path: Path) -> None:
    save_model(tmp_path / "a")
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "a", kind=EncoderDecoder)
    assert (caught.value.field, caught.value.value) == ("model", "gpt")
    assert f"chatwright chat {tmp_path / 'a'}" in caught.value.remedy
    assert isinstance(model_directory.load(tmp_path / "a", kind=Model)[0], GPT)


def test_an_unknown_architecture_is_rejected(tmp_path: Path) -> None:
    save_model(tmp_path / "a")
    config = tmp_path / "a" / "config.json"
    text = config.read_text().replace('"architecture": "gpt"', '"architecture": "oracle"')
    config.write_text(text)
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "a")
    assert (caught.value.field, caught.value.value) == ("architecture", "oracle")


def test_a_model_that_no_family_supports_is_saved_with_our_own_names(tmp_path: Path) -> None:
    """It is loaded even without "architecture", which the oldest directories do not have."""
    save_model(tmp_path / "m", activation="relu2", ngrams=(2,), ngram_rows=16, tied=False)
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["model_type"] == "chatwright"
    del config["chatwright"]["architecture"]
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    assert {
        "model.embed_tokens.weight",
        "ngrams.tables.0",
        "model.norm.weight",
        "lm_head.weight",
        "model.layers.1.input_layernorm.weight",
        "model.layers.1.self_attn.q_proj.weight",
        "model.layers.1.mlp.down_proj.weight",
    } <= safetensors_file.load(tmp_path / "m" / "model.safetensors").keys()
    assert model_directory.load(tmp_path / "m")[0].config.ngrams == (2,)


@pytest.mark.parametrize("change", [{"n_previous": 1}, {"norm": "layer"}], ids=str)
def test_settings_that_contradict_the_model_type_are_rejected(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """Otherwise parameters that the family's files do not hold would stay unset."""
    save_model(tmp_path / "a")
    change_settings(tmp_path / "a", change)
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "a")
    assert caught.value.field == "model_type"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"n_head": 0}, "n_head"),
        ({"n_heads": 2}, "n_head"),
        ({"n_layer": 10**9}, "n_layer"),
        ({"context_length": 10**12}, "context_length"),
    ],
    ids=str,
)
def test_an_impossible_setting_is_rejected_with_its_name(
    tmp_path: Path, change: dict[str, Any], name: str
) -> None:
    save_model(tmp_path / "a")
    change_settings(tmp_path / "a", change)
    with pytest.raises(ValueError, match=name):
        model_directory.load(tmp_path / "a")


@pytest.mark.parametrize(("text", "field"), [("{", "config.json"), ("{}", "chatwright")])
def test_a_config_without_our_settings_is_rejected(tmp_path: Path, text: str, field: str) -> None:
    save_model(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text(text)
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "a")
    assert caught.value.field == field


def change_settings(path: Path, change: dict[str, Any]) -> None:
    """Change Chatwright's own settings in a saved config.json."""
    file = path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"chatwright": config["chatwright"] | change}))


def test_the_error_for_a_missing_directory_does_not_suggest_chatwright_up(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing") as caught:
        model_directory.load(tmp_path / "nothing")
    assert "chatwright up" not in caught.value.remedy


def test_the_error_for_a_recipe_folder_names_its_model_or_the_command_to_build_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "my bakery"
    folder.mkdir()
    (folder / "recipe.toml").write_text("")
    with pytest.raises(InputError) as caught:
        model_directory.find(folder)
    assert caught.value.remedy.endswith(f'chatwright up "{folder}"')
    save_model(folder / "runs" / "sft" / "model")
    (folder / "runs" / "sft" / run_directory.RUN_FILE).write_text("{}")
    with pytest.raises(InputError) as caught:
        model_directory.find(folder)
    assert caught.value.remedy.endswith(f'"{folder / "runs" / "sft"}"')


def test_the_error_for_a_folder_of_stages_lists_those_with_a_model(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    (recipe / "tokenizer").mkdir(parents=True)
    save_model(recipe / "pretrain")
    save_model(recipe / "sft" / "model")
    (recipe / "sft" / run_directory.RUN_FILE).write_text("{}")
    with pytest.raises(InputError) as caught:
        model_directory.find(recipe)
    assert caught.value.remedy.endswith(f"{recipe / 'pretrain'}, {recipe / 'sft'}")


def test_a_model_too_large_for_memory_is_rejected_before_it_is_built() -> None:
    with pytest.raises(InputError) as caught:
        build_model.build(GPT, preset("gpt3"))
    assert caught.value.field == "model.size"
