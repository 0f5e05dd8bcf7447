"""Named encoder shapes: our own sizes and the published encoders.

BERT: Devlin et al. 2018; BERT tiny and mini: Turc et al. 2019. RoBERTa: Liu et al. 2019.
DistilBERT: Sanh et al. 2019. ALBERT: Lan et al. 2019, table 2.
MobileBERT: Sun et al. 2020, table 1.
"""

from typing import Any

from chatwright import config as config_files
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.presets import unknown_preset


def _modern(n_layer: int, d_model: int, n_head: int, d_ff: int, context: int) -> dict[str, Any]:
    return {
        "n_layer": n_layer,
        "d_model": d_model,
        "n_head": n_head,
        "head_dim": d_model // n_head,
        "d_ff": d_ff,
        "context_length": context,
    }


def _bert(n_layer: int, d_model: int, n_head: int, **changes: Any) -> dict[str, Any]:
    shape = {
        "n_layer": n_layer,
        "d_model": d_model,
        "n_head": n_head,
        "head_dim": d_model // n_head,
        "d_ff": 4 * d_model,
        "context_length": 512,
        "vocab_size": 30_522,
        "activation": "gelu_exact",
        "norm": "layer",
        "norm_eps": 1e-12,
        "norm_first": False,
        "bias": True,
        "position": "learned",
        "n_token_type": 2,
        "embedding_norm": True,
        "pooler": "tanh",
        "dropout": 0.1,
        "embedding_dropout": 0.1,
        "label_dropout": 0.1,
    }
    return shape | changes


ENCODER_PRESETS: dict[str, dict[str, Any]] = {
    # Our own: pre-norm, RMS norm, rotary positions, SwiGLU. A CPU trains the largest in hours.
    "nano": _modern(2, 64, 2, 128, 128),
    "tiny": _modern(2, 128, 4, 256, 256),
    "small": _modern(4, 192, 6, 512, 256),
    "medium": _modern(6, 384, 6, 1024, 512),
    "bert-tiny": _bert(2, 128, 2),
    "bert-mini": _bert(4, 256, 4),
    "bert-base": _bert(12, 768, 12),
    "bert-large": _bert(24, 1024, 16),
    "roberta-base": _bert(
        12, 768, 12, vocab_size=50_265, norm_eps=1e-5, n_token_type=1, position_offset=2
    ),
    "distilbert": _bert(6, 768, 12, n_token_type=0, pooler="relu", label_dropout=0.2),
    "albert-base": _bert(
        12,
        768,
        12,
        vocab_size=30_000,
        n_block=1,
        embedding_size=128,
        activation="gelu",
        head_activation="gelu",
        dropout=0.0,
        embedding_dropout=0.0,
    ),
    "mobilebert": _bert(
        24,
        512,
        4,
        d_ff=512,
        head_dim=32,
        activation="relu",
        head_activation="relu",
        norm="affine",
        embedding_size=128,
        projected="words",
        trigram_input=True,
        bottleneck=128,
        n_feed_forward=4,
        wide_head=True,
        dropout=0.0,
        embedding_dropout=0.0,
    ),
}


def encoder_preset(size: str, **changes: Any) -> EncoderConfig:
    """Build the config of the preset named `size`, with `changes` on top.

    Our own presets need vocab_size; the published ones have their own.

    Raises:
        InputError: There is no such preset.
    """
    if size not in ENCODER_PRESETS:
        raise unknown_preset(size, ENCODER_PRESETS)
    changes = config_files.rename_old_keys(EncoderConfig, changes, "model")
    return config_files.build(EncoderConfig, ENCODER_PRESETS[size] | changes, "model")
