"""Encoder-decoder shapes by name: one dial for our own, and those of Vaswani et al. 2017, table 3.

Parameter counts are tested on the meta device, without allocating a weight.
"""

from typing import Any

from chatwright import config as config_files
from chatwright.model.encoder_decoder import EncoderDecoderConfig


def _modern(n_layer: int, d_model: int, n_head: int, d_ff: int, context: int) -> dict[str, Any]:
    return {
        "n_encoder_layer": n_layer,
        "n_decoder_layer": n_layer,
        "d_model": d_model,
        "n_head": n_head,
        "head_dim": d_model // n_head,
        "d_ff": d_ff,
        "context_length": context,
        "norm": "rms",
        "norm_eps": 1e-6,
        "norm_first": True,
        "qk_norm": True,
        "bias": False,
        "position": "rotary",
        "activation": "relu2",
        "embedding_scale": False,
        "init": "zero",
    }


ENCODER_DECODER_PRESETS: dict[str, dict[str, Any]] = {
    # Ours: norms first, RMS norm, rotary, q/k norms; from a smoke test to what a CPU trains in an evening.
    "nano": _modern(2, 64, 2, 128, 64),
    "tiny": _modern(4, 128, 4, 256, 64),
    "small": _modern(6, 256, 4, 512, 128),
    "vaswani-base": {},
    "vaswani-big": {"d_model": 1024, "n_head": 16, "d_ff": 4096, "dropout": 0.3},
}


def encoder_decoder_preset(size: str, **changes: Any) -> EncoderDecoderConfig:
    """The shape called `size`, with `changes` on top, vocab_size among them."""
    if size not in ENCODER_DECODER_PRESETS:
        raise ValueError(
            f"size = {size!r}: no such shape of an encoder-decoder. Choose one of {', '.join(ENCODER_DECODER_PRESETS)}, "
            "or give the numbers yourself on top of one."
        )
    return config_files.build(
        EncoderDecoderConfig, ENCODER_DECODER_PRESETS[size] | changes, "model"
    )
