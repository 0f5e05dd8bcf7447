"""What GGUF files of Gemma 3 say about attention windows, and what llama.cpp decides by itself.

The layers without a window are given as a period. llama.cpp takes the scale of attention scores
from the model's size.
"""

from collections.abc import Mapping
from typing import Any

from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig

WINDOW = "attention.sliding_window"
PERIOD = "attention.sliding_window_pattern"
WINDOW_ROTARY_BASE = "rope.freq_base_swa"
DEFAULT_PERIOD = 6
DEFAULT_WINDOW_ROTARY_BASE = 10_000.0
N_LAYER_OF_27B = 62  # with this number of layers, scores are scaled by d_model / n_head
FIXED_SETTINGS: dict[str, Any] = {
    "position": "rotary",
    "norm": "rms",
    "activation": "geglu",
    "qk_norm": True,
    "sandwich_norm": True,
    "embedding_scale": True,
}
"""Our settings that all models of this architecture have."""


def write(config: GPTConfig) -> dict[str, Any]:
    """Return the fields of the GGUF file that describe the attention windows."""
    if not config.window:
        return {}
    return {
        WINDOW: config.window,
        PERIOD: window_period(config),
        WINDOW_ROTARY_BASE: config.window_rotary_base,
    }


def read(public: PublicConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return our settings of attention windows and of the scale of scores."""
    n_layer, d_model, n_head = (settings[name] for name in ("n_layer", "d_model", "n_head"))
    more = {"query_pre_attn_scalar": query_pre_attn_scalar(n_layer, d_model, n_head)}
    # A window as long as the context is kept, although it limits no attention: layers with a window
    # have other rotary frequencies.
    window, period = public.integer(WINDOW, 0, lowest=0), public.integer(PERIOD, DEFAULT_PERIOD)
    base = public.real(WINDOW_ROTARY_BASE, DEFAULT_WINDOW_ROTARY_BASE)
    if not window or period == 1:
        return more | {"window": 0}
    unwindowed = tuple(i for i in range(n_layer) if (i + 1) % period == 0)
    windows = {"window": window, "unwindowed_layers": unwindowed, "window_rotary_base": base}
    return more | windows


def window_period(config: GPTConfig) -> int | None:
    """Return n if exactly every n-th layer has no window, or None if there is no such n."""
    windowed = [bool(config.window_of(i)) for i in range(config.n_layer)]
    for period in range(1, config.n_layer + 2):
        if windowed == [(i + 1) % period != 0 for i in range(config.n_layer)]:
            return period
    return None


def query_pre_attn_scalar(n_layer: int, d_model: int, n_head: int) -> int:
    """Return our setting of this name for the scale that llama.cpp gives to the scores.

    Scores are divided by the root of the setting; 0 means the number of numbers in a key.
    """
    return d_model // n_head if n_layer == N_LAYER_OF_27B else 0
