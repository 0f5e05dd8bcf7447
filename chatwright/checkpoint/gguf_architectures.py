"""The architectures of GGUF files: which decoders they hold, and the names of their tensors.

llama.cpp has separate code for each architecture, and that code decides much that the file does not
say. One record states it, for import and export alike. To add an architecture, add its record to
ARCHITECTURES, and names for its layers to LAYERS if they are new.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chatwright.checkpoint import gguf_gemma3
from chatwright.checkpoint.family import Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.errors import InputError
from chatwright.model.gpt_config import GPTConfig

ARCHITECTURE = "general.architecture"
# Our name of a layer -> its name in GGUF files.
LAYERS = {
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
    "attention_output_norm": "post_attention_norm",
    "feed_forward_norm": "ffn_norm",
    "feed_forward_output_norm": "post_ffw_norm",
    "feed_forward.gate": "ffn_gate",
    "feed_forward.up": "ffn_up",
    "feed_forward.down": "ffn_down",
}
QUERY, KEY, VALUE = "attention.query", "attention.key", "attention.value"


def _read_nothing(public: PublicConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _write_nothing(config: GPTConfig) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Architecture:
    """An architecture of GGUF files."""

    name: str
    """llama.cpp's name: the value of the field ARCHITECTURE."""
    families: tuple[str, ...]
    """Names of our families whose models it can hold."""
    settings: Mapping[str, Any]
    """Settings of ours that all of its models have, and that the file does not state."""
    epsilon: str = "attention.layer_norm_rms_epsilon"
    """Field of our setting norm_eps."""
    has_paired_rows: bool = False
    """Whether rotary positions turn pairs of neighbors. In our models, as in other architectures,
    the two elements of a pair are half a head apart."""
    has_fused_qkv: bool = False
    """Whether query, key and value are one tensor."""
    has_window: bool = False
    """Whether its models can have an attention window, the same for every layer."""
    read_more: Callable[[PublicConfig, Mapping[str, Any]], dict[str, Any]] = _read_nothing
    """(fields without the architecture's name, the settings read so far) -> further settings."""
    write_more: Callable[[GPTConfig], dict[str, Any]] = _write_nothing
    """Our settings -> further fields, without the architecture's name."""


def layers_without_positions(n_layer: int) -> tuple[int, ...]:
    """Return the layers to which llama.cpp gives no positions in SmolLM 3: every fourth."""
    return tuple(range(3, n_layer, 4))


def _read_nope_layers(public: PublicConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"nope_layers": layers_without_positions(settings["n_layer"])}


ROTARY = {"position": "rotary", "norm": "rms", "activation": "swiglu", "qk_norm": False}
LEARNED = {"position": "learned", "norm": "layer", "activation": "gelu", "qk_norm": False}

ARCHITECTURES = (
    Architecture("llama", ("llama", "mistral"), ROTARY, has_paired_rows=True, has_window=True),
    Architecture("qwen2", ("qwen2",), ROTARY),
    Architecture("qwen3", ("qwen3",), ROTARY | {"qk_norm": True}),
    Architecture(
        "smollm3", ("smollm3",), ROTARY, has_paired_rows=True, read_more=_read_nope_layers
    ),
    Architecture(
        "gemma3",
        ("gemma3_text",),
        gguf_gemma3.FIXED_SETTINGS,
        has_window=True,
        read_more=gguf_gemma3.read,
        write_more=gguf_gemma3.write,
    ),
    Architecture(
        "gpt2",
        ("gpt2",),
        LEARNED,
        epsilon="attention.layer_norm_epsilon",
        has_fused_qkv=True,
    ),
)


def by_name(name: object, source: str) -> Architecture:
    """Return the architecture that the file `source` names. Raises InputError if it is unknown."""
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    known = ", ".join(architecture.name for architecture in ARCHITECTURES)
    raise InputError(
        f"{source}: {ARCHITECTURE} = {str(name)[:80]!r} is not supported. The supported "
        f"architectures are {known}.",
        remedy="Look for a model of one of these.",
        field=ARCHITECTURE,
        value=name,
    )


def for_family(family: str | None) -> Architecture | None:
    """Return the architecture for models of one of our families, or None."""
    return next((a for a in ARCHITECTURES if family in a.families), None)


def weights(
    architecture: Architecture, config: GPTConfig, parameters: Iterable[str]
) -> list[Weight]:
    """Return the tensors of a GGUF file, given the names of the model's parameters.

    Each matrix has one row per output feature. `rope_freqs.weight` is not among the tensors, since
    it is a setting of ours (`gguf_settings`).
    """
    listed = []
    for name in parameters:
        layer, kind = name.rsplit(".", 1)
        if not (architecture.has_fused_qkv and layer.endswith((QUERY, KEY, VALUE))):
            is_paired = architecture.has_paired_rows and layer.endswith((QUERY, KEY))
            rows = config.head_dim if is_paired else 0
            listed.append(Weight((name,), tensor_name(layer, kind), paired_rows=rows))
        elif layer.endswith(QUERY):
            block = layer.removesuffix(QUERY)
            parts = tuple(f"{block}{part}.{kind}" for part in (QUERY, KEY, VALUE))
            listed.append(Weight(parts, f"blk.{block.split('.')[1]}.attn_qkv.{kind}"))
    return listed


def tensor_name(layer: str, kind: str) -> str:
    """Return the name of a tensor in GGUF files, for example of "blocks.0.attention.query"."""
    if not layer.startswith("blocks."):
        return f"{LAYERS[layer]}.{kind}"
    _, number, part = layer.split(".", 2)
    return f"blk.{number}.{LAYERS[part]}.{kind}"
