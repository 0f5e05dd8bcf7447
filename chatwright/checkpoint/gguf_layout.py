"""How llama.cpp calls our decoders: the architecture of a config, its numbers, and the tensors, in the words of a GGUF file.

llama.cpp has one program for each family, so a shape it has no program for is refused by the setting that is in the way.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from chatwright.checkpoint import families
from chatwright.checkpoint.families import gpt2
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig

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
# Their programs of these families turn neighbouring numbers of a head, ours (and those of the others) its two halves.
TURNS_NEIGHBOURS = ("llama", "smollm3")
BY_FAMILY = {
    "gpt2": "gpt2",
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "smollm3": "smollm3",
}


def architecture_of(config: Any) -> str:
    """llama.cpp's name for the shape. Raises ValueError by the setting that it has no name for."""
    if not isinstance(config, GPTConfig):
        raise ValueError(
            "this is no decoder; GGUF is written for decoders alone. For other tools: --format hf"
        )
    family = families.for_config(config)
    if field := _in_the_way(config, None if family is None else family.name):
        name, why, remedy = field
        raise ValueError(f"{name} = {getattr(config, name)}: {why}. {remedy}")
    assert family is not None, "a family that is None stands in the way"
    return BY_FAMILY[family.name]


def _in_the_way(config: GPTConfig, family: str | None) -> tuple[str, str, str] | None:
    """(setting, why llama.cpp cannot run it, remedy)"""
    own = "Only our own programs run it; a model trained with the default settings (model.size = small, for example) can be exported"
    if config.head != "language_model":
        return "head", "llama.cpp generates text", "Export a model with a language-model head"
    for name in ("ngrams", "n_previous", "embedding_norm"):
        if getattr(config, name):
            return name, "llama.cpp has no tensors of that kind", own
    if 0 < config.window < config.context_length:
        return (
            "window",
            "llama.cpp gives these families no window and would look at all tokens",
            (
                f"Import the model again with --context-length {config.window}, within which the two are the same"
            ),
        )
    if family not in BY_FAMILY:
        return _unlike_any(config), "llama.cpp knows no such decoder", own
    if family == "gpt2" and config.activation != "gelu":
        return "activation", "llama.cpp runs GPT-2 with the GELU it was published with alone", own
    if family == "qwen3" and config.bias:
        return "bias", "llama.cpp runs Qwen 3 without biases", own
    if family == "smollm3" and config.nope_layers != tuple(range(3, config.n_layer, 4)):
        return "nope_layers", "llama.cpp leaves out every fourth layer's positions, no others", own
    if (
        config.rotary_scaling is not None
        and config.rotary_scaling.kind == "llama3"
        and family not in ("llama", "mistral")
    ):
        return "rotary_scaling", "llama.cpp has this scaling for Llama alone", own
    return None


def _unlike_any(config: GPTConfig) -> str:
    """The setting in which a config differs from GPT-2's shape, if its positions are learned, or else from Llama's."""
    wanted = (
        gpt2.SHAPE | {"n_kv_head": config.n_head}
        if config.position == "learned"
        else {"position": "rotary", "norm": "rms", "activation": "swiglu"}
    )
    differing = [
        name
        for name, value in ({"norm_first": True} | wanted).items()
        if getattr(config, name) != value
    ]
    return differing[0] if differing else "bias" if config.bias else "d_model"


def settings(config: GPTConfig, architecture: str) -> dict[str, Any]:
    """The numbers of a file's header, by their full names."""
    epsilon = "layer_norm_epsilon" if config.norm == "layer" else "layer_norm_rms_epsilon"
    found: dict[str, Any] = {
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
        found |= {"rope.dimension_count": config.head_dim, "rope.freq_base": config.rotary_base}
        if config.rotary_scaling is not None and config.rotary_scaling.kind == "linear":
            found |= {
                "rope.scaling.type": "linear",
                "rope.scaling.factor": config.rotary_scaling.factor,
            }
    return {
        "general.file_type": 0,
        **{f"{architecture}.{name}": value for name, value in found.items()},
    }  # 0: all numbers are float32


@torch.no_grad()
def tensors(model: GPT, architecture: str) -> dict[str, Tensor]:
    """Everything a file holds, by its name there. Matrices stay as they are, one row for each output."""
    config = model.config
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    if architecture in TURNS_NEIGHBOURS:
        for name, parameter in parameters.items():
            if ".attention.query." in name or ".attention.key." in name:
                parameters[name] = _neighbours(parameter, config.head_dim)
    made = dict(
        _fused(parameters, config.n_layer) if architecture == "gpt2" else _named(parameters)
    )
    if config.rotary_scaling is not None and config.rotary_scaling.kind == "llama3":
        rates = 1.0 / config.rotary_base ** (
            torch.arange(0, config.head_dim, 2).float() / config.head_dim
        )
        made["rope_freqs.weight"] = rates / config.rotary_scaling.scaled(rates)
    return made


def _named(parameters: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in parameters.items():
        part, kind = name.removeprefix("blocks.").rsplit(".", 1)
        layer, _, inner = part.partition(".") if name.startswith("blocks.") else ("", "", part)
        yield (
            f"blk.{layer}.{TENSORS[inner]}.{kind}" if layer else f"{TENSORS[inner]}.{kind}",
            parameter,
        )


def _fused(parameters: dict[str, Tensor], n_layer: int) -> Iterator[tuple[str, Tensor]]:
    """GPT-2 keeps queries, keys and values as one."""
    for i in range(n_layer):
        for kind in ("weight", "bias"):
            yield (
                f"blk.{i}.attn_qkv.{kind}",
                torch.cat([parameters.pop(f"blocks.{i}.attention.{part}.{kind}") for part in QKV]),
            )
    yield from _named(parameters)


def _neighbours(rows: Tensor, head_dim: int) -> Tensor:
    """From (first half, second half) of every head to (first of each, second of each) alternating. (H*Dh, ...) -> (H*Dh, ...)"""
    return rows.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).reshape(rows.shape)
