"""Find the setting of a model that llama.cpp cannot compute, so that it cannot be exported."""

from dataclasses import dataclass
from typing import Any

from chatwright.checkpoint import families, gguf_architectures, gguf_gemma3
from chatwright.checkpoint.families import gpt2
from chatwright.checkpoint.gguf_architectures import Architecture, layers_without_positions
from chatwright.errors import InputError
from chatwright.model.gpt_config import GPTConfig

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


def architecture_of(config: Any) -> Architecture:
    """Return a model's architecture. Raises InputError if llama.cpp has none for it."""
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
    architecture = gguf_architectures.for_family(None if family is None else family.name)
    assert architecture is not None, "_obstacle rejects models without an architecture"
    return architecture


def _obstacle(config: GPTConfig, family: str | None) -> Obstacle | None:
    """Return the first setting that llama.cpp cannot compute."""
    for field in ("ngrams", "n_previous", "embedding_norm"):
        if getattr(config, field):
            return Obstacle(field, "llama.cpp has no such tensors")
    if family == "gemma3_text":
        return _gemma3_obstacle(config)
    if 0 < config.window < config.context_length:
        return Obstacle(
            "window",
            "for this architecture llama.cpp attends to all tokens, without a window",
            f"Import the model again with --context-length {config.window}: in a context of that "
            "length the window has no effect.",
        )
    if gguf_architectures.for_family(family) is None:
        return Obstacle(_differing_setting(config), "llama.cpp has no such decoder")
    if family == "gpt2" and config.activation != "gelu":
        return Obstacle("activation", "llama.cpp computes GPT-2 only with GELU in its tanh form")
    if family == "qwen3" and config.bias:
        return Obstacle("bias", "llama.cpp computes Qwen 3 without biases")
    if family == "smollm3" and config.nope_layers != layers_without_positions(config.n_layer):
        return Obstacle("nope_layers", "llama.cpp omits positions exactly in every fourth layer")
    scaling = config.rotary_scaling
    if scaling is not None and scaling.kind == "llama3" and family not in ("llama", "mistral"):
        return Obstacle("rotary_scaling", "llama.cpp has this scaling only for Llama")
    return None


def _gemma3_obstacle(config: GPTConfig) -> Obstacle | None:
    scalar = gguf_gemma3.query_pre_attn_scalar(config.n_layer, config.d_model, config.n_head)
    if config.query_pre_attn_scalar != scalar:
        return Obstacle("query_pre_attn_scalar", "llama.cpp has another scale for this size")
    if gguf_gemma3.window_period(config) is None:
        return Obstacle("unwindowed_layers", "llama.cpp needs a fixed period of these layers")
    if config.bias:
        return Obstacle("bias", "llama.cpp computes Gemma 3 without biases")
    if config.rotary_scaling is not None and config.rotary_scaling.kind == "llama3":
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
