"""Models of other tools are loaded, or rejected with the name of the wrong field or tensor."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chatwright.checkpoint import public_model, safetensors_file
from chatwright.checkpoint.families.gpt2 import GPT2
from chatwright.devices import generator
from chatwright.errors import InputError

CONFIG: dict[str, Any] = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 11,
    "n_positions": 8,
    "n_embd": 8,
    "n_layer": 1,
    "n_head": 2,
}


def shapes() -> dict[str, tuple[int, ...]]:
    layer = {
        "ln_1.weight": (8,),
        "ln_1.bias": (8,),
        "attn.c_attn.weight": (8, 24),
        "attn.c_attn.bias": (24,),
        "attn.c_proj.weight": (8, 8),
        "attn.c_proj.bias": (8,),
        "ln_2.weight": (8,),
        "ln_2.bias": (8,),
        "mlp.c_fc.weight": (8, 32),
        "mlp.c_fc.bias": (32,),
        "mlp.c_proj.weight": (32, 8),
        "mlp.c_proj.bias": (8,),
    }
    return {
        "wte.weight": (11, 8),
        "wpe.weight": (8, 8),
        "ln_f.weight": (8,),
        "ln_f.bias": (8,),
        **{f"h.0.{k}": v for k, v in layer.items()},
    }


def tensors(prefix: str = "transformer.", dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {
        prefix + name: torch.randn(shape, generator=generator(0, name)).to(dtype)
        for name, shape in shapes().items()
    }


def write(directory: Path, weights: dict[str, Tensor], **changes: Any) -> Path:
    (directory / "config.json").write_text(json.dumps(CONFIG | changes))
    safetensors_file.save(weights, directory / "model.safetensors")
    return directory


def test_the_oldest_files_of_gpt2_are_loaded_and_their_unused_tensors_listed(
    tmp_path: Path,
) -> None:
    """Their names have no prefix; they also store the causal mask and a copy of the tied head."""
    old = tensors("") | {
        "h.0.attn.bias": torch.ones(1, 1, 8, 8),
        "lm_head.weight": torch.ones(11, 8),
    }
    (tmp_path / "new").mkdir()
    loaded = public_model.read(write(tmp_path, old, n_ctx=8))
    expected = public_model.read(write(tmp_path / "new", tensors()))
    assert loaded.family == GPT2
    assert loaded.unused == ["h.0.attn.bias", "lm_head.weight"]
    assert expected.unused == []
    pairs = zip(loaded.model.parameters(), expected.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_float_dtype_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = tensors(dtype=dtype)
    model = public_model.read(write(tmp_path, weights)).model
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    embedding = model.get_parameter("embedding.weight")
    assert torch.equal(embedding, weights["transformer.wte.weight"].float())
    key = model.get_parameter("blocks.0.attention.key.weight")
    fused = weights["transformer.h.0.attn.c_attn.weight"]
    assert torch.equal(key, fused.float().T[8:16])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model_type": "mamba"}, "model_type"),
        ({"model_type": ["gpt2"]}, "model_type"),
        ({"architectures": ["GPT2ForSequenceClassification"]}, "architectures"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"n_layer": 2}, "transformer.h.1.attn.c_attn.bias"),
        ({"n_embd": 16}, "transformer.wte.weight"),
        ({"n_head": 3}, "n_embd"),
        ({"vocab_size": 12}, "transformer.wte.weight"),
    ],
    ids=str,
)
def test_a_config_that_does_not_match_the_model_is_rejected(
    tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        public_model.read(write(tmp_path, tensors(), **change))
    assert caught.value.field == field


def test_missing_unexpected_and_damaged_tensors_are_rejected_with_their_name(
    tmp_path: Path,
) -> None:
    complete, name = tensors(), "transformer.h.0.mlp.c_fc.weight"
    without_one = {key: tensor for key, tensor in complete.items() if key != name}
    not_finite = complete | {name: torch.full((8, 32), float("nan"))}
    quantized = complete | {name: torch.ones(8, 32, dtype=torch.int8)}
    for weights, field in (
        (without_one, name),
        (complete | {"surprise": torch.ones(1)}, "surprise"),
        (not_finite, name),
        (quantized, name),
    ):
        with pytest.raises(InputError) as caught:
            public_model.read(write(tmp_path, weights))
        assert caught.value.field == field
