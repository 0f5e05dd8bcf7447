"""Convert a decoder's settings to the fields of a GGUF file, and back.

The file does not state everything. The tensors that it holds show whether layers have biases, and
whether the output uses the embedding matrix. A field that would change the logits,
but is unknown or unsupported, is rejected by name.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.gguf_architectures import Architecture
from chatwright.checkpoint.public_config import LARGEST, PublicConfig
from chatwright.errors import InputError
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.positions import RotaryScaling

Shape = tuple[int, ...]

ALL_FLOAT32 = 0  # value of general.file_type
# Our setting -> key after the architecture's name.
SIZES = {
    "vocab_size": "vocab_size",
    "context_length": "context_length",
    "d_model": "embedding_length",
    "n_layer": "block_count",
    "d_ff": "feed_forward_length",
    "n_head": "attention.head_count",
    "n_kv_head": "attention.head_count_kv",
}
HEAD_SIZES = ("attention.key_length", "attention.value_length")
ROTARY_SIZE = "rope.dimension_count"
ROTARY_BASE = "rope.freq_base"
SCALING = "rope.scaling.type"
FACTOR = "rope.scaling.factor"
OLD_FACTOR = "rope.scale_linear"
WINDOW = "attention.sliding_window"
# Factors by which the llama3 scaling divides each frequency.
FREQUENCY_FACTORS = "rope_freqs.weight"
# Key -> the values with which it has no effect.
WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.scale": (0.0,),
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
    "embedding_scale": (0.0, 1.0),
    "logit_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "pooling_type": (0,),
    "nextn_predict_layers": (0,),
    "rope.scaling.attn_factor": (1.0, 0.0),
    "rope.scaling.yarn_log_multiplier": (0.0,),
}
# Keys that say where the model came from.
DESCRIPTIVE = {
    "tensor_data_layout",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
}
ORIGINAL_LENGTHS = (8192, *(2**power for power in range(4, 21)))


def write(config: GPTConfig, architecture: Architecture) -> dict[str, Any]:
    """Return the fields for the header, by their full keys."""
    fields = {key: getattr(config, name) for name, key in SIZES.items()}
    fields |= dict.fromkeys(HEAD_SIZES, config.head_dim)
    fields[architecture.epsilon] = config.norm_eps
    if config.position == "rotary":
        fields |= {ROTARY_SIZE: config.head_dim, ROTARY_BASE: config.rotary_base}
        scaling = config.rotary_scaling
        if scaling is not None and scaling.kind == "linear":
            fields |= {SCALING: "linear", FACTOR: scaling.factor}
    fields |= architecture.write_more(config)
    full = {f"{architecture.name}.{key}": value for key, value in fields.items()}
    return {"general.file_type": ALL_FLOAT32, **full}


def read(
    fields: Mapping[str, Any],
    shapes: Mapping[str, Shape],
    factors: Tensor | None,
    architecture: Architecture,
    source: str,
) -> GPTConfig:
    """Return a decoder's settings.

    Args:
        fields: The fields of the header, by their full keys.
        shapes: The shapes of the file's tensors by name.
        factors: The tensor FREQUENCY_FACTORS, or None if the file has none.
        architecture: The architecture that the file names.
        source: The file, for errors.

    Raises:
        InputError: A field is missing, unknown, or has a value that is not supported.
    """
    prefix = f"{architecture.name}."
    own = {key.removeprefix(prefix): fields[key] for key in fields if key.startswith(prefix)}
    public = PublicConfig(own, source, prefix)
    settings: dict[str, Any] = dict(architecture.settings) | _read_sizes(public, shapes)
    if settings["position"] == "rotary":
        settings |= _read_rotary(public, settings["head_dim"], factors)
    settings |= _read_window(public, settings["context_length"], architecture.has_window)
    settings |= {
        "norm_eps": _real(public, architecture.epsilon),
        "bias": _read_bias(shapes),
        "tied": "output.weight" not in shapes,
    }
    settings |= architecture.read_more(public, settings)
    _require_known(public)
    return GPTConfig(**settings)


def _read_sizes(public: PublicConfig, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    embedding = shapes.get("token_embd.weight", (0,))
    defaults = {"vocab_size": embedding[0], "n_kv_head": public.get(SIZES["n_head"])}
    highest = {"n_layer": len(shapes)}
    sizes = {
        name: public.integer(key, defaults.get(name), highest=highest.get(name, LARGEST))
        for name, key in SIZES.items()
    }
    head_dim = max(1, sizes["d_model"] // sizes["n_head"])
    key_size, value_size = (public.integer(key, head_dim) for key in HEAD_SIZES)
    if key_size != value_size:
        raise public.error(HEAD_SIZES[1], f"expected the same as {HEAD_SIZES[0]}, {key_size}")
    return sizes | {"head_dim": key_size}


def _read_bias(shapes: Mapping[str, Shape]) -> Any:
    """Return our setting `bias`. Loading checks that the other layers agree with the first one."""
    first_layer = ("attn_q", "attn_output", "ffn_up")
    if "blk.0.attn_qkv.bias" in shapes:
        return True
    return llama.bias_setting(*(f"blk.0.{name}.bias" in shapes for name in first_layer))


def _read_window(public: PublicConfig, context_length: int, is_supported: bool) -> dict[str, Any]:
    window = public.integer(WINDOW, 0, lowest=0)
    if not 0 < window < context_length:
        return {"window": 0}
    if not is_supported:
        reason = "the file does not say which layers have this window"
        raise public.error(WINDOW, reason)
    return {"window": window}


def _read_rotary(public: PublicConfig, head_dim: int, factors: Tensor | None) -> dict[str, Any]:
    if public.integer(ROTARY_SIZE, head_dim) != head_dim:
        raise public.error(ROTARY_SIZE, f"only the size of a head, {head_dim}, is supported")
    base = _real(public, ROTARY_BASE, 10_000.0)
    if base < 1:
        raise public.error(ROTARY_BASE, "expected at least 1")
    scaling = _read_linear(public)
    if factors is not None:
        if scaling is not None:
            raise public.error(FACTOR, f"it is not supported together with {FREQUENCY_FACTORS}")
        scaling = scaling_of(factors, head_dim, base, public.source)
    return {"rotary_base": base, "rotary_scaling": scaling}


def _read_linear(public: PublicConfig) -> RotaryScaling | None:
    """Return the linear scaling, or None. Old files state the factor in another field."""
    is_linear = public.one_of(SCALING, {"none": False, "linear": True}, "linear")
    factor = _real(public, FACTOR, _real(public, OLD_FACTOR, 1.0))
    if not is_linear or factor in (0.0, 1.0):
        return None
    return RotaryScaling(kind="linear", factor=factor)


def _real(public: PublicConfig, key: str, default: float | None = None) -> float:
    """Return a number as it was before it was stored as float32: 1e-05, not 9.99999975e-06."""
    return float(str(np.float32(public.real(key, default))))


def _require_known(public: PublicConfig) -> None:
    """Reject fields that were not read, unless they have no effect."""
    for key in public.unread(DESCRIPTIVE):
        if key not in WITHOUT_EFFECT:
            raise public.error(key, "this field is unknown, and it may change the computation")
        public.must_be(key, *WITHOUT_EFFECT[key])


def frequency_factors(config: GPTConfig) -> Tensor | None:
    """Return the tensor FREQUENCY_FACTORS, (Dh/2,), or None for models without llama3 scaling."""
    scaling = config.rotary_scaling
    if scaling is None or scaling.kind != "llama3":
        return None
    return _factors(scaling, config.head_dim, config.rotary_base)


def _factors(scaling: RotaryScaling, head_dim: int, base: float) -> Tensor:
    frequencies = 1.0 / base ** (torch.arange(0, head_dim, 2).float() / head_dim)
    return frequencies / scaling.scaled(frequencies)


def scaling_of(factors: Tensor, head_dim: int, base: float, source: str) -> RotaryScaling | None:
    """Return the scaling that gives these factors of frequencies, (Dh/2,), or None for ones.

    The file does not hold the settings of the llama3 scaling, but the factors show them. All known
    models agree in `low` and `high`, and their original length is a power of two.
    """
    if tuple(factors.shape) == (head_dim // 2,) and bool((factors >= 1).all()):
        if bool((factors == 1).all()):
            return None
        factor = float(f"{float(factors.max()):.6g}")  # without its rounding error
        for length in ORIGINAL_LENGTHS if math.isfinite(factor) else ():
            scaling = RotaryScaling(kind="llama3", factor=factor, original_length=length)
            if torch.allclose(_factors(scaling, head_dim, base), factors, rtol=1e-5, atol=0):
                return scaling
    raise InputError(
        f"{source}: {FREQUENCY_FACTORS} holds other factors than Llama 3's rotary scaling gives. "
        "Nothing was imported.",
        remedy="Look for a file of the model without it, or for its safetensors files.",
        field=FREQUENCY_FACTORS,
        value=tuple(factors.shape),
    )
