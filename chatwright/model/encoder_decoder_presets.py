"""Named encoder-decoder shapes: our own sizes and those of Vaswani et al. 2017, table 3."""

from typing import Any

from chatwright import config as config_files
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.presets import unknown_preset


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
    # Our own: pre-norm, RMS norm, rotary positions, q/k norm. A CPU trains the largest in hours.
    "nano": _modern(2, 64, 2, 128, 64),
    "tiny": _modern(4, 128, 4, 256, 64),
    "small": _modern(6, 256, 4, 512, 128),
    "vaswani-base": {},
    "vaswani-big": {"d_model": 1024, "n_head": 16, "d_ff": 4096, "dropout": 0.3},
}


def encoder_decoder_preset(size: str, **changes: Any) -> EncoderDecoderConfig:
    """Build the config of the preset named `size`, with `changes` (vocab_size at least) on top.

    Raises:
        InputError: There is no such preset.
    """
    if size not in ENCODER_DECODER_PRESETS:
        raise unknown_preset(size, ENCODER_DECODER_PRESETS)
    changes = config_files.rename_old_keys(EncoderDecoderConfig, changes, "model")
    shape = ENCODER_DECODER_PRESETS[size] | changes
    return config_files.build(EncoderDecoderConfig, shape, "model")
