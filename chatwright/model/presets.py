"""Named decoder shapes: our own sizes and the published GPT models.

GPT-1: Radford et al. 2018. GPT-2: Radford et al. 2019, table 2.
GPT-3: Brown et al. 2020, table 2.1.
"""

from collections.abc import Iterable
from typing import Any

from chatwright import config as config_files
from chatwright.errors import InputError
from chatwright.model.gpt_config import GPTConfig


def _modern(
    n_layer: int, d_model: int, n_head: int, n_kv_head: int, head_dim: int, d_ff: int, context: int
) -> dict[str, Any]:
    return {
        "n_layer": n_layer,
        "d_model": d_model,
        "n_head": n_head,
        "n_kv_head": n_kv_head,
        "head_dim": head_dim,
        "d_ff": d_ff,
        "context_length": context,
    }


def _gpt(
    n_layer: int,
    d_model: int,
    n_head: int,
    vocab_size: int,
    context: int,
    head_dim: int = 0,
    **changes: Any,
) -> dict[str, Any]:
    head_dim = head_dim or d_model // n_head
    shape = {
        "n_layer": n_layer,
        "d_model": d_model,
        "n_head": n_head,
        "n_kv_head": n_head,
        "head_dim": head_dim,
        "d_ff": 4 * d_model,
        "context_length": context,
        "vocab_size": vocab_size,
        "activation": "gelu",
        "norm": "layer",
        "norm_eps": 1e-5,
        "qk_norm": False,
        "bias": True,
        "position": "learned",
    }
    return shape | changes


PRESETS: dict[str, dict[str, Any]] = {
    # Our own, with Qwen3's architecture: from a smoke test to a model that a GPU trains in a day.
    "nano": _modern(2, 64, 2, 1, 32, 192, 256),
    "tiny": _modern(4, 192, 6, 2, 32, 512, 512),
    "small": _modern(6, 256, 4, 2, 64, 768, 512),
    "medium": _modern(8, 384, 6, 2, 64, 1024, 1024),
    "large": _modern(12, 768, 12, 4, 64, 2048, 1024),
    # Experimental: learns fastest from small data on a CPU. Other tools cannot load it.
    "speedrun": _modern(4, 256, 4, 4, 64, 1024, 256)
    | {
        "activation": "relu2",
        "tied": False,
        "ngrams": (2, 3, 4),  # lengths of the token n-grams that have embeddings of their own
        "ngram_rows": 32_768,  # embeddings for each of these lengths
        "embedding_norm": True,
        "init": "zero",  # blocks start as the identity: their output projections are zero
    },
    "gpt1": _gpt(12, 768, 12, 40_478, 512, norm_first=False),
    "gpt2": _gpt(12, 768, 12, 50_257, 1024),
    "gpt2-medium": _gpt(24, 1024, 16, 50_257, 1024),
    "gpt2-large": _gpt(36, 1280, 20, 50_257, 1024),
    "gpt2-xl": _gpt(48, 1600, 25, 50_257, 1024),
    "gpt3": _gpt(96, 12_288, 96, 50_257, 2048),
}


def preset(size: str, **changes: Any) -> GPTConfig:
    """Build the config of the preset named `size`, with `changes` on top.

    Our own presets need vocab_size; the published ones have their own.

    Raises:
        InputError: There is no such preset.
    """
    if size not in PRESETS:
        raise unknown_preset(size, PRESETS)
    changes = config_files.rename_old_keys(GPTConfig, changes, "model")
    return config_files.build(GPTConfig, PRESETS[size] | changes, "model")


def unknown_preset(size: str, known: Iterable[str]) -> InputError:
    """Make the error for a size that names no preset."""
    return InputError(
        f"size = {size!r} names no preset.",
        remedy=f"Choose one of {', '.join(known)}. You can override single settings of it.",
        field="size",
        value=size,
    )
