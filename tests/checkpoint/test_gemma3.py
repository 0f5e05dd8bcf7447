"""Gemma 3's config.json is read in its published spellings; other values are rejected by name."""

from pathlib import Path
from typing import Any

import pytest

from chatwright.checkpoint import public_model
from chatwright.checkpoint.families.gemma3 import GEMMA3, GEMMA3_TEXT
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.errors import InputError
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.positions import RotaryScaling
from tests.parity.decoders import CASES

# The fields of the smallest model with windows of 512 tokens, which holds text only.
TEXT_ONLY: dict[str, Any] = {
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "cache_implementation": "hybrid",
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 1152,
    "intermediate_size": 6912,
    "max_position_embeddings": 32768,
    "model_type": "gemma3_text",
    "num_attention_heads": 4,
    "num_hidden_layers": 26,
    "num_key_value_heads": 1,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-6,
    "rope_local_base_freq": 10000,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": 512,
    "sliding_window_pattern": 6,
    "vocab_size": 262144,
}
# A model that reads images leaves out every field that has its default value.
WITH_IMAGES: dict[str, Any] = {
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 5376,
        "intermediate_size": 21504,
        "model_type": "gemma3_text",
        "num_attention_heads": 32,
        "num_hidden_layers": 62,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "query_pre_attn_scalar": 168,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
}


def read(fields: dict[str, Any]) -> GPTConfig:
    config = GEMMA3_TEXT.from_public(PublicConfig(fields, "config.json"))
    assert isinstance(config, GPTConfig)
    return config


def test_a_text_model_has_a_window_in_five_of_six_layers_and_two_rotary_bases() -> None:
    public = PublicConfig(TEXT_ONLY, "config.json")
    config = GEMMA3_TEXT.from_public(public)
    assert isinstance(config, GPTConfig)
    assert (config.window, config.unwindowed_layers) == (512, (5, 11, 17, 23))
    assert (config.rotary_base, config.window_rotary_base) == (1e6, 1e4)
    assert (config.n_head, config.n_kv_head, config.head_dim, config.d_model) == (4, 1, 256, 1152)
    assert config.query_pre_attn_scalar == 0
    assert config.tied
    assert public.unread() == []


def test_the_text_part_of_a_model_that_reads_images_is_read() -> None:
    config = GEMMA3.from_public(PublicConfig(WITH_IMAGES, "config.json"))
    assert isinstance(config, GPTConfig)
    assert config.rotary_scaling == RotaryScaling(kind="linear", factor=8.0)
    assert (config.rotary_base, config.window_rotary_base) == (1e6, 1e4)
    assert config.query_pre_attn_scalar == 168
    assert (config.vocab_size, config.context_length) == (262_208, 131_072)
    assert config.unwindowed_layers == tuple(range(5, 62, 6))
    assert GEMMA3_TEXT.supports(config)
    assert not GEMMA3.supports(config)


def test_both_spellings_of_rotary_positions_give_the_same_settings() -> None:
    fields = TEXT_ONLY | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    by_type = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    }
    assert read(TEXT_ONLY | {"rope_parameters": by_type}) == read(fields) != read(TEXT_ONLY)


def test_layer_types_have_priority_over_the_pattern() -> None:
    kinds = ["full_attention"] + ["sliding_attention"] * 25
    assert read(TEXT_ONLY | {"layer_types": kinds}).unwindowed_layers == (0,)
    config = read(TEXT_ONLY | {"layer_types": ["full_attention"] * 26, "sliding_window": None})
    assert (config.window, config.window_rotary_base) == (0, 0.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("final_logit_softcapping", 30.0),
        ("attn_logit_softcapping", 50.0),
        ("use_bidirectional_attention", True),
        ("hidden_activation", "gelu"),
        ("sliding_window", None),
        ("layer_types", ["full_attention"]),
        ("rope_scaling", "linear"),
        ("rope_parameters", {"rope_type": "default"}),
        ("rope_parameters", {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}),
        ("rope_parameters", {"full_attention": 3}),
    ],
    ids=str,
)
def test_a_value_that_would_change_the_output_is_rejected(field: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(TEXT_ONLY | {field: value})
    assert caught.value.field in (field, "full_attention")


@pytest.mark.parametrize("text_config", [None, [], "gemma3_text"], ids=str)
def test_a_model_that_reads_images_needs_the_settings_of_its_text_part(text_config: Any) -> None:
    fields = {name: value for name, value in WITH_IMAGES.items() if name != "text_config"}
    if text_config is not None:
        fields["text_config"] = text_config
    with pytest.raises(InputError) as caught:
        GEMMA3.from_public(PublicConfig(fields, "config.json"))
    assert caught.value.field == "text_config"


@pytest.mark.uses_global_rng
def test_tensors_for_images_are_listed_once_as_unused(tmp_path: Path) -> None:
    [case] = [case for case in CASES if case.family == "gemma3"]
    reference: Any = case.make_reference()
    reference.save_pretrained(tmp_path)
    unused = public_model.read(tmp_path).unused
    assert "vision_config" in unused
    assert [name for name in unused if "." in name] in (
        ["multi_modal_projector.*", "vision_tower.*"],
        ["model.multi_modal_projector.*", "model.vision_tower.*"],
    )
