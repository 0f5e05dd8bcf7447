"""Each field of another tool's config.json is checked, and fields that were not read are listed."""

from typing import Any

import pytest

from chatwright.checkpoint.families.llama import LLAMA
from chatwright.checkpoint.families.mistral import MISTRAL
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.errors import InputError
from chatwright.model.gpt import GPTConfig
from chatwright.model.positions import RotaryScaling

LLAMA_2: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}


def read_llama(changes: dict[str, Any]) -> GPTConfig:
    config = LLAMA.from_public(PublicConfig(LLAMA_2 | changes, "config.json"))
    assert isinstance(config, GPTConfig)
    return config


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hidden_size": "48"}, "hidden_size"),
        ({"hidden_size": 10**12}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type"),
        ({"rope_scaling": [1]}, "rope_scaling"),
        ({"vocab_size": None}, "vocab_size"),
    ],
    ids=str,
)
def test_an_invalid_or_unsupported_field_is_rejected_with_its_name(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError, match=r"config\.json") as caught:
        read_llama(change)
    assert caught.value.field == field


def test_settings_that_contradict_each_other_are_rejected() -> None:
    with pytest.raises(ValueError, match="n_kv_head"):
        read_llama({"num_key_value_heads": 3})


def test_old_and_new_fields_of_rotary_positions_give_the_same_settings() -> None:
    numbers = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    old = read_llama({"rope_theta": 5e5, "rope_scaling": numbers})
    new = read_llama({"rope_parameters": numbers | {"rope_theta": 5e5}})
    assert old == new
    assert old.rotary_base == 5e5
    assert old.rotary_scaling == RotaryScaling(kind="llama3", factor=8.0)
    oldest = read_llama({"rope_scaling": {"type": "linear", "factor": 2.0}})
    assert oldest.rotary_scaling == RotaryScaling(kind="linear", factor=2.0)


@pytest.mark.parametrize(
    ("change", "window"),
    [({}, 4096), ({"sliding_window": None}, 0), ({"sliding_window": 16}, 16)],
    ids=str,
)
def test_mistral_has_the_default_window_if_the_field_is_absent_and_none_if_it_is_null(
    change: dict[str, Any], window: int
) -> None:
    """4,096 is the window of Mistral's first release."""
    public = PublicConfig(LLAMA_2 | {"num_key_value_heads": 2} | change, "config.json")
    config = MISTRAL.from_public(public)
    assert isinstance(config, GPTConfig)
    assert config.window == window


def test_unread_fields_are_listed_except_irrelevant_ones() -> None:
    irrelevant = {"use_cache": True, "transformers_version": "5"}
    unread = {"logit_softcap": 30.0, "auto_map": {"AutoModel": "x.py"}}
    public = PublicConfig(LLAMA_2 | irrelevant | unread, "config.json")
    LLAMA.from_public(public)
    assert public.unread() == ["auto_map", "logit_softcap"]
