"""Which layers look only so far back, in the words of Mistral, Qwen and SmolLM 3: `sliding_window`, `layer_types`, `max_window_layers`."""

from typing import Any

from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig

SLIDING, FULL = "sliding_attention", "full_attention"


def public_windows(config: GPTConfig) -> dict[str, Any]:
    kinds = [SLIDING if config.window_of(i) else FULL for i in range(config.n_layer)]
    return {
        "use_sliding_window": config.window > 0,
        "sliding_window": config.window or None,
        "layer_types": kinds,
    }


def windows_of(table: PublicConfig, n_layer: int, windowed: list[bool]) -> dict[str, Any]:
    """`windowed` is the family's rule for a file without `layer_types`."""
    is_used, window, kinds = (
        table.flag("use_sliding_window", False),
        table.get("sliding_window"),
        table.get("layer_types"),
    )
    if not is_used or window is None:  # what else the file says of windows is then without effect
        return {"window": 0}
    kinds = kinds or [SLIDING if is_windowed else FULL for is_windowed in windowed]
    if (
        not isinstance(kinds, list)
        or len(kinds) != n_layer
        or any(kind not in (SLIDING, FULL) for kind in kinds)
    ):
        raise table.refused(
            "layer_types", f"a list of {n_layer} times {SLIDING!r} or {FULL!r} is expected"
        )
    unwindowed = tuple(i for i, kind in enumerate(kinds) if kind == FULL)
    return (
        {"window": table.integer("sliding_window"), "unwindowed_layers": unwindowed}
        if len(unwindowed) < n_layer
        else {"window": 0}
    )
