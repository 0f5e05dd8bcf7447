"""Convert decoders to the terms of GGUF files: architecture, settings and names of tensors.

llama.cpp, which reads GGUF files, has separate code for each model family. A model that it cannot
compute is rejected, and the error names the setting that prevents the export.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.checkpoint import families
from chatwright.checkpoint.families import gpt2
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig

# Our name of a layer -> its name in GGUF files.
TENSORS = {
    "embedding": "token_embd",
    "position_embedding": "position_embd",
    "norm": "output_norm",
    "head": "output",
    "attention_norm": "attn_norm",
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.output": "attn_output",
    "attention.query_norm": "attn_q_norm",
    "attention.key_norm": "attn_k_norm",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.gate": "ffn_gate",
    "feed_forward.up": "ffn_up",
    "feed_forward.down": "ffn_down",
}
QKV = ("query", "key", "value")
# In these architectures llama.cpp applies rotary positions to pairs of neighboring elements of a
# head. In the others, as in our models, a pair is an element of each half of the head.
INTERLEAVED_ROTARY = ("llama", "smollm3")
# Our family -> llama.cpp's architecture.
ARCHITECTURES = {
    "gpt2": "gpt2",
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "smollm3": "smollm3",
}
ALL_FLOAT32 = 0  # value of the setting general.file_type
USE_DEFAULT_SETTINGS = (
    "Only Chatwright runs such a model. To export one, train it with the default settings, for "
    "example model.size=small."
)


@dataclass(frozen=True)
class Obstacle:
    """A setting that llama.cpp cannot compute."""

    field: str
    reason: str
    remedy: str = USE_DEFAULT_SETTINGS


def architecture_of(config: Any) -> str:
    """Return llama.cpp's name for a model's architecture. Raises InputError if it has none."""
    if not isinstance(config, GPTConfig):
        raise InputError(
            "this model is not a decoder, and only decoders can be written as GGUF.",
            remedy="For other tools, export with: --format hf",
            field="format",
            value="gguf",
        )
    family = families.for_config(config)
    if obstacle := _obstacle(config, None if family is None else family.name):
        value = getattr(config, obstacle.field)
        raise InputError(
            f"{obstacle.field} = {value}: {obstacle.reason}.",
            remedy=obstacle.remedy,
            field=obstacle.field,
            value=value,
        )
    assert family is not None, "_obstacle rejects models of no family"
    return ARCHITECTURES[family.name]


def _obstacle(config: GPTConfig, family: str | None) -> Obstacle | None:
    """Return the first setting that llama.cpp cannot compute."""
    for field in ("ngrams", "n_previous", "embedding_norm"):
        if getattr(config, field):
            return Obstacle(field, "llama.cpp has no such tensors")
    if 0 < config.window < config.context_length:
        return Obstacle(
            "window",
            "for this architecture llama.cpp attends to all tokens, without a window",
            f"Import the model again with --context-length {config.window}: in a context of that "
            "length the window has no effect.",
        )
    if family not in ARCHITECTURES:
        return Obstacle(_differing_setting(config), "llama.cpp has no such decoder")
    if family == "gpt2" and config.activation != "gelu":
        return Obstacle("activation", "llama.cpp computes GPT-2 only with GELU in its tanh form")
    if family == "qwen3" and config.bias:
        return Obstacle("bias", "llama.cpp computes Qwen 3 without biases")
    if family == "smollm3" and config.nope_layers != tuple(range(3, config.n_layer, 4)):
        return Obstacle("nope_layers", "llama.cpp omits positions exactly in every fourth layer")
    scaling = config.rotary_scaling
    if scaling is not None and scaling.kind == "llama3" and family not in ("llama", "mistral"):
        return Obstacle("rotary_scaling", "llama.cpp has this scaling only for Llama")
    return None


def _differing_setting(config: GPTConfig) -> str:
    """Return a setting that differs from GPT-2's (learned positions) or Llama's (all others)."""
    if config.position == "learned":
        required = gpt2.SHAPE | {"n_kv_head": config.n_head}
    else:
        required = {"position": "rotary", "norm": "rms", "activation": "swiglu"}
    for name, value in ({"norm_first": True} | required).items():
        if getattr(config, name) != value:
            return name
    return "bias" if config.bias else "d_model"


def settings(config: GPTConfig, architecture: str) -> dict[str, Any]:
    """Return the settings of the model for the file's header, by their full names."""
    epsilon = "layer_norm_epsilon" if config.norm == "layer" else "layer_norm_rms_epsilon"
    values: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "context_length": config.context_length,
        "embedding_length": config.d_model,
        "block_count": config.n_layer,
        "feed_forward_length": config.d_ff,
        "attention.head_count": config.n_head,
        "attention.head_count_kv": config.n_kv_head,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        f"attention.{epsilon}": config.norm_eps,
    }
    if config.position == "rotary":
        values |= {"rope.dimension_count": config.head_dim, "rope.freq_base": config.rotary_base}
        scaling = config.rotary_scaling
        if scaling is not None and scaling.kind == "linear":
            values |= {"rope.scaling.type": "linear", "rope.scaling.factor": scaling.factor}
    full_names = {f"{architecture}.{name}": value for name, value in values.items()}
    return {"general.file_type": ALL_FLOAT32, **full_names}


@torch.no_grad()
def tensors(model: GPT, architecture: str) -> dict[str, Tensor]:
    """Return the tensors of the file by name. Each matrix has one row per output feature."""
    config = model.config
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    if architecture in INTERLEAVED_ROTARY:
        for name, parameter in parameters.items():
            if ".attention.query." in name or ".attention.key." in name:
                parameters[name] = _interleave_halves(parameter, config.head_dim)
    if architecture == "gpt2":
        renamed = dict(_with_fused_qkv(parameters, config.n_layer))
    else:
        renamed = dict(_rename(parameters))
    scaling = config.rotary_scaling
    if scaling is not None and scaling.kind == "llama3":
        exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim
        frequencies = 1.0 / config.rotary_base**exponents  # (Dh / 2)
        renamed["rope_freqs.weight"] = frequencies / scaling.scaled(frequencies)
    return renamed


def _rename(parameters: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in parameters.items():
        part, kind = name.rsplit(".", 1)
        if part.startswith("blocks."):
            _, layer, inner = part.split(".", 2)
            yield f"blk.{layer}.{TENSORS[inner]}.{kind}", parameter
        else:
            yield f"{TENSORS[part]}.{kind}", parameter


def _with_fused_qkv(parameters: dict[str, Tensor], n_layer: int) -> Iterator[tuple[str, Tensor]]:
    """Store query, key and value as one tensor, as GPT-2 does."""
    for layer in range(n_layer):
        for kind in ("weight", "bias"):
            names = [f"blocks.{layer}.attention.{part}.{kind}" for part in QKV]
            yield f"blk.{layer}.attn_qkv.{kind}", torch.cat([parameters.pop(n) for n in names])
    yield from _rename(parameters)


def _interleave_halves(rows: Tensor, head_dim: int) -> Tensor:
    """Reorder the rows (H*Dh, ...) so that the two halves of each head alternate."""
    return rows.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).reshape(rows.shape)
