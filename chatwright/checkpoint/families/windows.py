"""Read and write the fields of config.json that list layers with an attention window."""

from typing import Any

from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig

SLIDING, FULL = "sliding_attention", "full_attention"


def public_windows(config: GPTConfig) -> dict[str, Any]:
    """Return the fields of config.json that describe windows."""
    return {
        "use_sliding_window": config.window > 0,
        "sliding_window": config.window or None,
        "layer_types": layer_types(config),
    }


def layer_types(config: GPTConfig) -> list[str]:
    """Return for each layer whether it has a window, in the words of config.json."""
    return [SLIDING if config.window_of(i) else FULL for i in range(config.n_layer)]


def read_windows(public: PublicConfig, n_layer: int, windowed: list[bool]) -> dict[str, Any]:
    """Return our settings `window` and `unwindowed_layers`.

    `windowed` says which layers have a window if config.json has no `layer_types`.
    """
    is_used = public.flag("use_sliding_window", False)
    window = public.get("sliding_window")
    if not is_used or window is None:
        public.get("layer_types")  # has no effect, but is not listed as an unknown field
        return {"window": 0}
    unwindowed = read_unwindowed_layers(public, n_layer, windowed)
    if len(unwindowed) == n_layer:
        return {"window": 0}
    return {"window": public.integer("sliding_window"), "unwindowed_layers": unwindowed}


def read_unwindowed_layers(
    public: PublicConfig, n_layer: int, windowed: list[bool]
) -> tuple[int, ...]:
    """Return the layers without a window. `windowed` as in `read_windows`."""
    kinds = public.get("layer_types") or [SLIDING if flag else FULL for flag in windowed]
    is_list = isinstance(kinds, list) and len(kinds) == n_layer
    if not is_list or any(kind not in (SLIDING, FULL) for kind in kinds):
        raise public.error(
            "layer_types", f"expected a list of {n_layer} times {SLIDING!r} or {FULL!r}"
        )
    return tuple(i for i, kind in enumerate(kinds) if kind == FULL)
