"""A foreign config.json is read field by field: wrong types and values are named, and so is what nobody read."""

from typing import Any

import pytest

from chatwright.checkpoint.families.llama import LLAMA
from chatwright.checkpoint.families.mistral import MISTRAL
from chatwright.checkpoint.public_config import PublicConfig
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hidden_size": "48"},
            r"hidden_size = '48': a whole number from 1 to 16,777,216 is expected",
        ),
        ({"hidden_size": 10**12}, "hidden_size = '1000000000000': a whole number"),
        ({"hidden_size": True}, "hidden_size = 'True': a whole number"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers = .* from 1 to 1,000"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = '0'"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps = 'nan': a finite number"),
        ({"tie_word_embeddings": "no"}, "true or false is expected"),
        (
            {"hidden_act": "gelu"},
            "hidden_act = 'gelu': only 'silu' can be computed here. Nothing was imported",
        ),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
            "rope_scaling: rope_type = 'yarn': only 'default', 'linear', 'llama3' can be computed",
        ),
        ({"rope_scaling": [1]}, "rope_scaling = .*a table is expected"),
        ({"num_key_value_heads": 3}, "n_head .4. must be a multiple of n_kv_head .3."),
        ({"vocab_size": None}, "here: vocab_size is missing"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LLAMA.from_public(PublicConfig(LLAMA_2 | change, "here"))


def test_the_old_and_the_new_way_to_write_rotary_settings_are_one() -> None:
    numbers = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    old = LLAMA.from_public(
        PublicConfig(LLAMA_2 | {"rope_theta": 5e5, "rope_scaling": numbers}, "here")
    )
    new = LLAMA.from_public(
        PublicConfig(LLAMA_2 | {"rope_parameters": numbers | {"rope_theta": 5e5}}, "here")
    )
    assert old == new
    assert (old.rotary_base, old.rotary_scaling) == (5e5, RotaryScaling(kind="llama3", factor=8.0))  # type: ignore[attr-defined]
    oldest = LLAMA.from_public(
        PublicConfig(LLAMA_2 | {"rope_scaling": {"type": "linear", "factor": 2.0}}, "here")
    )
    assert oldest.rotary_scaling == RotaryScaling(kind="linear", factor=2.0)  # type: ignore[attr-defined]


def test_an_absent_window_is_the_first_release_s_and_null_is_none() -> None:
    windows = [
        MISTRAL.from_public(
            PublicConfig(LLAMA_2 | {"num_key_value_heads": 2} | change, "here")
        ).window  # type: ignore[attr-defined]
        for change in ({}, {"sliding_window": None}, {"sliding_window": 16})
    ]
    assert windows == [4096, 0, 16]


def test_what_nobody_read_is_told_and_what_says_nothing_is_not() -> None:
    table = PublicConfig(
        LLAMA_2
        | {
            "use_cache": True,
            "transformers_version": "5",
            "logit_softcap": 30.0,
            "auto_map": {"AutoModel": "x.py"},
        },
        "here",
    )
    LLAMA.from_public(table)
    assert table.unread() == ["auto_map", "logit_softcap"]
