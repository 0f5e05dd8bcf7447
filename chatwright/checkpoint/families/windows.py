"""Read and write the fields in which Qwen and SmolLM 3 list layers with an attention window."""

from typing import Any

from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig

SLIDING, FULL = "sliding_attention", "full_attention"


def public_windows(config: GPTConfig) -> dict[str, Any]:
    """Return the fields of config.json that describe windows."""
    kinds = [SLIDING if config.window_of(i) else FULL for i in range(config.n_layer)]
    return {
        "use_sliding_window": config.window > 0,
        "sliding_window": config.window or None,
        "layer_types": kinds,
    }


def read_windows(public: PublicConfig, n_layer: int, windowed: list[bool]) -> dict[str, Any]:
    """Return our settings `window` and `unwindowed_layers`.

    `windowed` says which layers have a window if config.json has no `layer_types`.
    """
    is_used = public.flag("use_sliding_window", False)
    window, kinds = public.get("sliding_window"), public.get("layer_types")
    if not is_used or window is None:  # layer_types has no effect
        return {"window": 0}
    kinds = kinds or [SLIDING if is_windowed else FULL for is_windowed in windowed]
    is_list = isinstance(kinds, list) and len(kinds) == n_layer
    if not is_list or any(kind not in (SLIDING, FULL) for kind in kinds):
        raise public.error(
            "layer_types", f"expected a list of {n_layer} times {SLIDING!r} or {FULL!r}"
        )
    unwindowed = tuple(i for i, kind in enumerate(kinds) if kind == FULL)
    if len(unwindowed) == n_layer:
        return {"window": 0}
    return {"window": public.integer("sliding_window"), "unwindowed_layers": unwindowed}
