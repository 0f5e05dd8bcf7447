"""MarianMT (Junczys-Dowmunt et al. 2018; the opus-mt models): the Transformer of 2017 with all sines before all cosines and a bias on the logits.

Its decoder begins with the padding token, which its config.json names.
"""

from collections.abc import Mapping
from typing import Any

from chatwright.checkpoint.families.encoder_fields import pairs
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig

SHAPE = {
    "norm": "layer",
    "norm_eps": 1e-5,
    "norm_first": False,
    "qk_norm": False,
    "bias": True,
    "position": "sinusoidal_halves",
    "tied": True,
    "head_bias": True,
}
ACTIVATIONS = {
    "silu": "swish",
    "relu": "relu",
    "gelu_exact": "gelu",
    "gelu": "gelu_new",
}  # ours -> theirs
READ = {theirs: ours for ours, theirs in ACTIVATIONS.items()} | {"silu": "silu"}
# What other settings these fields could have had; the paper's and every published model's are the first.
FIXED = {
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "static_position_embeddings": True,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "extra_pos_embeddings": 0,
}
# How it was trained, and how translations are searched: nothing of what it computes.
ABOUT_USE = (
    "bad_words_ids",
    "classif_dropout",
    "classifier_dropout",
    "forced_eos_token_id",
    "init_std",
    "max_length",
    "num_beams",
    "num_hidden_layers",
)
ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
SIDE = {f"attention.{ours}": f"self_attn.{theirs}" for ours, theirs in ATTENTION.items()} | {
    "attention_norm": "self_attn_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
    "feed_forward_norm": "final_layer_norm",
}
CROSS = {
    f"cross_attention.{ours}": f"encoder_attn.{theirs}" for ours, theirs in ATTENTION.items()
} | {"cross_attention_norm": "encoder_attn_layer_norm"}


def expresses(config: Any) -> bool:
    return (
        isinstance(config, EncoderDecoderConfig)
        and all(getattr(config, name) == value for name, value in SHAPE.items())
        and config.activation in ACTIVATIONS
        and config.n_head * config.head_dim == config.d_model
    )


def to_public(config: EncoderDecoderConfig) -> dict[str, Any]:
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("attention_heads", config.n_head), ("ffn_dim", config.d_ff))
    }
    return (
        sides
        | {
            "vocab_size": config.vocab_size,
            "decoder_vocab_size": config.vocab_size,
            "max_position_embeddings": config.context_length,
            "d_model": config.d_model,
            "encoder_layers": config.n_encoder_layer,
            "decoder_layers": config.n_decoder_layer,
            "activation_function": ACTIVATIONS[config.activation],
            "scale_embedding": config.embedding_scale,
            "dropout": config.dropout,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
            "init_std": 0.02,
            "is_encoder_decoder": True,
            "share_encoder_decoder_embeddings": True,
            "tie_word_embeddings": True,
        }
        | ({} if config.start_id is None else {"decoder_start_token_id": config.start_id})
    )


def from_public(table: PublicConfig) -> EncoderDecoderConfig:
    for name, value in FIXED.items():
        table.must_be(name, value)
    for name in ABOUT_USE:
        table.get(name)
    vocab_size, d_model, n_head = (
        table.integer("vocab_size"),
        table.integer("d_model"),
        table.integer("encoder_attention_heads"),
    )
    d_ff, dropout = table.integer("encoder_ffn_dim"), table.real("dropout", 0.1)
    for name, value in (
        ("decoder_vocab_size", vocab_size),
        ("decoder_attention_heads", n_head),
        ("decoder_ffn_dim", d_ff),
    ):
        table.must_be(name, value)
    if d_model % n_head:
        raise table.refused(
            "d_model", f"a multiple of encoder_attention_heads ({n_head}) is expected"
        )
    return EncoderDecoderConfig(
        vocab_size=vocab_size,
        context_length=table.integer("max_position_embeddings"),
        n_encoder_layer=table.integer("encoder_layers", highest=1000),
        n_decoder_layer=table.integer("decoder_layers", highest=1000),
        n_head=n_head,
        head_dim=d_model // n_head,
        d_model=d_model,
        d_ff=d_ff,
        activation=table.one_of("activation_function", READ),
        norm="layer",
        norm_eps=1e-5,
        norm_first=False,
        bias=True,
        position="sinusoidal_halves",
        embedding_scale=table.flag("scale_embedding", False),
        tied=True,
        head_bias=True,
        dropout=dropout,
        embedding_dropout=dropout,
        start_id=table.integer("decoder_start_token_id", lowest=0, highest=vocab_size - 1),
    )


def weights(config: EncoderDecoderConfig) -> list[Weight]:
    return [
        Weight(("embedding.weight",), "model.shared.weight"),
        Weight(("head.bias",), "final_logits_bias", is_row=True),
        *(
            w
            for i in range(config.n_encoder_layer)
            for w in pairs(SIDE, f"encoder.blocks.{i}.", f"model.encoder.layers.{i}.")
        ),
        *(
            w
            for i in range(config.n_decoder_layer)
            for w in pairs(SIDE | CROSS, f"decoder.blocks.{i}.", f"model.decoder.layers.{i}.")
        ),
    ]


def ids(config: EncoderDecoderConfig, public: Mapping[str, int]) -> dict[str, int]:
    start = public["bos_token_id"] if config.start_id is None else config.start_id
    return {"decoder_start_token_id": start, "forced_eos_token_id": public["eos_token_id"]}


MARIAN = Family(
    "marian",
    ("MarianMTModel",),
    expresses,
    to_public,
    from_public,
    weights,
    extra_ids=ids,
    ignored_suffixes=("coder.embed_tokens.weight", "embed_positions.weight"),
)  # the shared table again, and fixed sines
