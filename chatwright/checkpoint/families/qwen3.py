"""Qwen 3 (Qwen team 2025): RMS norm before, rotary positions, SwiGLU, grouped heads, norms of queries and keys. Our default shape."""

from typing import Any

from chatwright.checkpoint.family import Family, Weight
from chatwright.model.gpt import GPTConfig

SHAPE = {"activation": "swiglu", "norm": "rms", "norm_first": True, "qk_norm": True, "bias": False, "position": "rotary"}
# Settings that no other tool knows: any of them away from its default makes the shape our own.
PLAIN = {"ngrams": (), "n_previous": 0, "embedding_norm": False}


def expresses(config: Any) -> bool:
    return isinstance(config, GPTConfig) and all(getattr(config, name) == value for name, value in (SHAPE | PLAIN).items())


def to_public(config: GPTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size, "hidden_size": config.width, "intermediate_size": config.hidden, "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head, "num_key_value_heads": config.n_kv_head, "head_dim": config.head_dim, "hidden_act": "silu",
        "max_position_embeddings": config.context_length, "rms_norm_eps": config.norm_eps, "rope_theta": config.rotary_base,
        "tie_word_embeddings": config.tied, "attention_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02,
        "use_sliding_window": False}


def from_public(table: dict[str, Any]) -> GPTConfig:
    return GPTConfig(
        vocab_size=table["vocab_size"], width=table["hidden_size"], hidden=table["intermediate_size"], n_layer=table["num_hidden_layers"],
        n_head=table["num_attention_heads"], n_kv_head=table["num_key_value_heads"], head_dim=table["head_dim"],
        context_length=table["max_position_embeddings"], norm_eps=table["rms_norm_eps"], rotary_base=table["rope_theta"],
        tied=table["tie_word_embeddings"])


def weights(config: GPTConfig) -> list[Weight]:
    return [Weight(("embedding.weight",), "model.embed_tokens.weight"),
            *(weight for i in range(config.n_layer) for weight in _layer(f"blocks.{i}.", f"model.layers.{i}.")),
            Weight(("norm.weight",), "model.norm.weight"),
            *([] if config.tied else [Weight(("head.weight",), "lm_head.weight")])]


def _layer(ours: str, theirs: str) -> list[Weight]:
    return [Weight((f"{ours}{a}.weight",), f"{theirs}{b}.weight") for a, b in LAYER.items()]


LAYER = {
    "attention_norm": "input_layernorm", "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj", "attention.query_norm": "self_attn.q_norm", "attention.key_norm": "self_attn.k_norm",
    "attention.output": "self_attn.o_proj", "feed_forward_norm": "post_attention_layernorm", "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj", "feed_forward.down": "mlp.down_proj"}

QWEN3 = Family("qwen3", ("Qwen3ForCausalLM",), expresses, to_public, from_public, weights)
