"""MarianMT (Junczys-Dowmunt et al. 2018; the opus-mt models): an encoder-decoder.

It is the transformer of Vaswani et al. 2017, with two differences. In position vectors all sines
come before the cosines, and the logits have a bias. The decoder begins with the padding token,
whose id is in config.json.
"""

from collections.abc import Mapping
from typing import Any

from chatwright.checkpoint.families.encoder_fields import layer_weights
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
# Our name -> name in config.json.
PUBLIC_ACTIVATIONS = {
    "silu": "swish",
    "relu": "relu",
    "gelu_exact": "gelu",
    "gelu": "gelu_new",
}
ACTIVATIONS = {public: own for own, public in PUBLIC_ACTIVATIONS.items()} | {"silu": "silu"}
# Fields that must have these values; all published models do.
REQUIRED = {
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "static_position_embeddings": True,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "extra_pos_embeddings": 0,
}
# Fields about training and search, which do not change the logits.
IRRELEVANT = (
    "bad_words_ids",
    "classif_dropout",
    "classifier_dropout",
    "forced_eos_token_id",
    "init_std",
    "max_length",
    "num_beams",
    "num_hidden_layers",
)
# Our names -> MarianMT's names.
ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
SELF_ATTENTION = {
    f"attention.{name}": f"self_attn.{public_name}" for name, public_name in ATTENTION.items()
}
CROSS_ATTENTION = {
    f"cross_attention.{name}": f"encoder_attn.{public_name}"
    for name, public_name in ATTENTION.items()
}
ENCODER_LAYER = SELF_ATTENTION | {
    "attention_norm": "self_attn_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
    "feed_forward_norm": "final_layer_norm",
}
DECODER_LAYER = (
    ENCODER_LAYER | CROSS_ATTENTION | {"cross_attention_norm": "encoder_attn_layer_norm"}
)


def supports(config: Any) -> bool:
    """Return whether MarianMT's files can hold a model with these settings."""
    return (
        isinstance(config, EncoderDecoderConfig)
        and all(getattr(config, name) == value for name, value in SHAPE.items())
        and config.activation in PUBLIC_ACTIVATIONS
        and config.n_head * config.head_dim == config.d_model
    )


def to_public(config: EncoderDecoderConfig) -> dict[str, Any]:
    """Return MarianMT's fields of config.json."""
    start = {} if config.start_id is None else {"decoder_start_token_id": config.start_id}
    return {
        "encoder_attention_heads": config.n_head,
        "encoder_ffn_dim": config.d_ff,
        "decoder_attention_heads": config.n_head,
        "decoder_ffn_dim": config.d_ff,
        "vocab_size": config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "d_model": config.d_model,
        "encoder_layers": config.n_encoder_layer,
        "decoder_layers": config.n_decoder_layer,
        "activation_function": PUBLIC_ACTIVATIONS[config.activation],
        "scale_embedding": config.embedding_scale,
        "dropout": config.dropout,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True,
    } | start


def from_public(public: PublicConfig) -> EncoderDecoderConfig:
    """Convert MarianMT's config.json to our settings."""
    for name, value in REQUIRED.items():
        public.must_be(name, value)
    for name in IRRELEVANT:
        public.get(name)  # counts as read, so that it is not listed as unused
    vocab_size, d_model = public.integer("vocab_size"), public.integer("d_model")
    n_head, d_ff = public.integer("encoder_attention_heads"), public.integer("encoder_ffn_dim")
    public.must_be("decoder_vocab_size", vocab_size)
    public.must_be("decoder_attention_heads", n_head)
    public.must_be("decoder_ffn_dim", d_ff)
    if d_model % n_head:
        raise public.error("d_model", f"expected a multiple of encoder_attention_heads ({n_head})")
    dropout = public.real("dropout", 0.1)
    return EncoderDecoderConfig(
        vocab_size=vocab_size,
        context_length=public.integer("max_position_embeddings"),
        n_encoder_layer=public.integer("encoder_layers", highest=1000),
        n_decoder_layer=public.integer("decoder_layers", highest=1000),
        n_head=n_head,
        head_dim=d_model // n_head,
        d_model=d_model,
        d_ff=d_ff,
        activation=public.one_of("activation_function", ACTIVATIONS),
        norm="layer",
        norm_eps=1e-5,
        norm_first=False,
        bias=True,
        position="sinusoidal_halves",
        embedding_scale=public.flag("scale_embedding", False),
        tied=True,
        head_bias=True,
        dropout=dropout,
        embedding_dropout=dropout,
        start_id=public.integer("decoder_start_token_id", lowest=0, highest=vocab_size - 1),
    )


def weights(config: EncoderDecoderConfig) -> list[Weight]:
    """Return the tensors of a MarianMT file."""
    listed = [
        Weight(("embedding.weight",), "model.shared.weight"),
        Weight(("head.bias",), "final_logits_bias", is_row=True),
    ]
    for i in range(config.n_encoder_layer):
        public_prefix = f"model.encoder.layers.{i}."
        listed += layer_weights(ENCODER_LAYER, f"encoder.blocks.{i}.", public_prefix)
    for i in range(config.n_decoder_layer):
        public_prefix = f"model.decoder.layers.{i}."
        listed += layer_weights(DECODER_LAYER, f"decoder.blocks.{i}.", public_prefix)
    return listed


def extra_ids(config: EncoderDecoderConfig, token_ids: Mapping[str, int]) -> dict[str, int]:
    """Return the ids that begin and end a translation, given the tokenizer's `token_ids`."""
    start = token_ids["bos_token_id"] if config.start_id is None else config.start_id
    return {"decoder_start_token_id": start, "forced_eos_token_id": token_ids["eos_token_id"]}


# Files may also store copies of the shared embedding, and the fixed position vectors.
MARIAN = Family(
    "marian",
    ("MarianMTModel",),
    supports,
    to_public,
    from_public,
    weights,
    extra_ids=extra_ids,
    ignored_suffixes=("coder.embed_tokens.weight", "embed_positions.weight"),
)
