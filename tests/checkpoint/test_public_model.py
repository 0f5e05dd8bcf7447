"""Directories that another tool wrote: odd but sound ones are read, wrong ones refused by name, and what is not used is told."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chatwright.checkpoint import public_model, safetensors_file
from chatwright.checkpoint.families.gpt2 import GPT2
from chatwright.devices import generator

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


def written(directory: Path, weights: dict[str, Tensor], **changes: Any) -> Path:
    (directory / "config.json").write_text(json.dumps(CONFIG | changes))
    safetensors_file.save(weights, directory / "model.safetensors")
    return directory


def test_the_first_files_of_gpt2_are_read_and_what_is_no_weight_in_them_is_told(
    tmp_path: Path,
) -> None:
    """No common prefix, the causal mask beside the weights, the tied head once more."""
    old = tensors("") | {
        "h.0.attn.bias": torch.ones(1, 1, 8, 8),
        "lm_head.weight": torch.ones(11, 8),
    }
    new = tmp_path / "new"
    new.mkdir()
    read, expected = (
        public_model.read(written(tmp_path, old, n_ctx=8)),
        public_model.read(written(new, tensors())),
    )
    assert (read.family, read.unused, expected.unused) == (
        GPT2,
        ["h.0.attn.bias", "lm_head.weight"],
        [],
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(read.model.parameters(), expected.model.parameters(), strict=True)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_float_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = tensors(dtype=dtype)
    model = public_model.read(written(tmp_path, weights)).model
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert torch.equal(
        model.get_parameter("embedding.weight"), weights["transformer.wte.weight"].float()
    )
    assert torch.equal(
        model.get_parameter("blocks.0.attention.key.weight"),
        weights["transformer.h.0.attn.c_attn.weight"].float().T[8:16],
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "model_type = 'mamba': the families read here are qwen3, llama"),
        ({"model_type": ["gpt2"]}, "model_type = "),
        (
            {"architectures": ["GPT2ForSequenceClassification"]},
            "architectures = .*of gpt2, GPT2LMHeadModel is read here",
        ),
        ({"quantization_config": {"bits": 4}}, "quantized weights are not read"),
        ({"add_cross_attention": True}, "add_cross_attention = 'True'"),
        ({"n_layer": 2}, r"missing \['transformer.h.1.attn.c_attn.bias'"),
        ({"n_embd": 16}, "has shape .* config.json asks for"),
        ({"n_head": 3}, "n_embd = '8': a multiple of n_head"),
        ({"vocab_size": 12}, "wte.weight has shape .11, 8., config.json asks for .12, 8."),
    ],
)
def test_a_config_that_is_not_this_model_s_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        public_model.read(written(tmp_path, tensors(), **change))


def test_tensors_that_are_missing_extra_or_not_numbers_are_refused_by_name(tmp_path: Path) -> None:
    whole, name = tensors(), "transformer.h.0.mlp.c_fc.weight"
    without = {k: v for k, v in whole.items() if k != name}
    for weights, message in (
        (without, rf"missing \['{name}'\]"),
        (whole | {"surprise": torch.ones(1)}, r"unexpected \['surprise'\]"),
        (
            whole | {name: torch.full((8, 32), float("nan"))},
            "c_fc.weight holds numbers that are not finite",
        ),
        (
            whole | {name: torch.ones(8, 32, dtype=torch.int8)},
            "holds int8 numbers: quantized weights are not read",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            public_model.read(written(tmp_path, weights))
