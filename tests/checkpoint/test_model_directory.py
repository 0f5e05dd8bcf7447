"""A saved model comes back to the bit, opens in transformers, and what does not fit together is refused by name."""

import json
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import directory, model_directory, safetensors_file
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.model import Model
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. " * 20


def saved(path: Path, **changes: object) -> tuple[GPT, ByteBPE]:
    tokenizer = ByteBPE.train([TEXT], 300)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, **changes))
    init_weights(model, generator(0, "weights"))
    model_directory.save(path, model, tokenizer, {"made": "by a test"})
    return model, tokenizer


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied": False},
        {"activation": "gelu", "norm": "layer", "position": "learned", "bias": True},
    ],
    ids=str,
)
def test_save_and_load_are_opposites(tmp_path: Path, changes: dict) -> None:
    model, tokenizer = saved(tmp_path / "m", **changes)
    loaded, loaded_tokenizer = model_directory.load(tmp_path / "m")
    assert loaded.config == model.config
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True)
    )
    assert loaded_tokenizer.encode(TEXT) == tokenizer.encode(TEXT)


@pytest.mark.uses_global_rng
def test_the_directory_opens_in_transformers_with_equal_logits(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = saved(tmp_path / "m")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    ids = AutoTokenizer.from_pretrained(tmp_path / "m")("the dog sat")["input_ids"]
    assert ids == tokenizer.encode("the dog sat")
    with torch.no_grad():
        torch.testing.assert_close(
            model(torch.tensor([ids])), theirs(torch.tensor([ids])).logits, atol=1e-5, rtol=1e-4
        )


def test_a_reader_leaves_alone_what_a_run_is_writing(tmp_path: Path) -> None:
    """A served model is looked for again and again while its training writes: in the middle of a save, and between its two renames."""
    model, _ = saved(tmp_path / "model")
    with directory.atomic_directory(tmp_path / "other") as building:
        (building / "half").write_text("built")
        assert model_directory.find(tmp_path) == tmp_path / "model"
        assert (building / "half").exists()
    (tmp_path / "model").rename(tmp_path / ".old-model")
    found, _ = model_directory.load(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), found.parameters(), strict=True)
    )
    assert (tmp_path / ".old-model").exists()


def test_what_does_not_fit_together_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path / "a")
    saved(tmp_path / "b", n_layer=3)
    saved(tmp_path / "c", d_ff=128)
    for other, message in (
        ("b", r"unexpected \['model\.layers\.2"),
        ("c", r"mlp\.gate_proj\.weight has shape \(128, 64\)"),
    ):
        (tmp_path / "a" / "model.safetensors").write_bytes(
            (tmp_path / other / "model.safetensors").read_bytes()
        )
        with pytest.raises(ValueError, match=message):
            model_directory.load(tmp_path / "a")


def test_a_tokenizer_of_another_size_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a")
    ByteBPE.train([TEXT], 270).save(tmp_path / "a")
    with pytest.raises(ValueError, match="the tokenizer has .* tokens, the model"):
        model_directory.load(tmp_path / "a")


def test_a_directory_of_another_kind_and_one_from_the_future_are_refused(tmp_path: Path) -> None:
    class Translator(Model):
        pass

    saved(tmp_path / "a")
    with pytest.raises(
        ValueError,
        match="holds a model of the kind 'gpt', which cannot do this; what can is called Translator. What it can do: "
        "chatwright chat .*a",
    ):
        model_directory.load(tmp_path / "a", kind=Translator)
    assert isinstance(model_directory.load(tmp_path / "a", kind=Model)[0], GPT)
    config = tmp_path / "a" / "config.json"
    config.write_text(
        config.read_text().replace('"architecture": "gpt"', '"architecture": "oracle"')
    )
    with pytest.raises(ValueError, match="architecture = 'oracle' is not known here .known: gpt"):
        model_directory.load(tmp_path / "a")


def test_a_shape_of_our_own_is_written_under_names_of_our_own(tmp_path: Path) -> None:
    """Saved before there were families, such directories still open: the names are part of the format."""
    saved(tmp_path / "m", activation="relu2", ngrams=(2,), ngram_rows=16, tied=False)
    table = json.loads((tmp_path / "m" / "config.json").read_text())
    assert table["model_type"] == "chatwright"
    del table["chatwright"]["architecture"]
    (tmp_path / "m" / "config.json").write_text(json.dumps(table))
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


def test_settings_that_are_not_of_the_named_family_are_refused(tmp_path: Path) -> None:
    """Else tensors that the family has no name for would stay unset."""
    saved(tmp_path / "a")
    config = tmp_path / "a" / "config.json"
    table = json.loads(config.read_text())
    for change in ({"n_previous": 1}, {"norm": "layer"}):
        config.write_text(json.dumps(table | {"chatwright": table["chatwright"] | change}))
        with pytest.raises(ValueError, match="config.json contradicts itself"):
            model_directory.load(tmp_path / "a")


def test_foreign_and_missing_configs_say_what_to_do(tmp_path: Path) -> None:
    saved(tmp_path / "a")
    config = tmp_path / "a" / "config.json"
    table = json.loads(config.read_text())
    for text, message in (
        ("{", "cannot be read"),
        ("{}", "not written by Chatwright"),
        (
            json.dumps(table | {"chatwright": table["chatwright"] | {"n_head": 0}}),
            r"n_head \(0\) must be at least 1",
        ),
        (
            json.dumps(table | {"chatwright": table["chatwright"] | {"n_heads": 2}}),
            "n_head",
        ),
        (
            json.dumps(table | {"chatwright": table["chatwright"] | {"n_layer": 10**9}}),
            "n_layer = 1000000000 is more than",
        ),
        (
            json.dumps(table | {"chatwright": table["chatwright"] | {"context_length": 10**12}}),
            "context_length = .* is more than",
        ),
    ):
        config.write_text(text)
        with pytest.raises(ValueError, match=message):
            model_directory.load(tmp_path / "a")
    with pytest.raises(ValueError, match="holds no model.*chatwright up"):
        model_directory.load(tmp_path / "nothing")


def test_the_folder_of_a_recipe_names_its_stages(tmp_path: Path) -> None:
    (tmp_path / "run" / "tokenizer").mkdir(parents=True)
    (tmp_path / "run" / "sft").mkdir()
    saved(tmp_path / "run" / "pretrain")
    saved(tmp_path / "run" / "sft" / "model")
    with pytest.raises(ValueError, match="Give one of them: .*run/pretrain, .*run/sft$"):
        model_directory.find(tmp_path / "run")


def test_a_model_too_large_for_memory_is_refused_before_it_is_made() -> None:
    with pytest.raises(
        ValueError, match="parameters needs .* GB of memory; .* Choose a smaller size"
    ):
        model_directory.build(GPT, preset("gpt3"))
