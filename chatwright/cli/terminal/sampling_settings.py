"""The command `/set`: change sampling settings by `key=value` pairs, all of them or none."""

import re
from collections.abc import Mapping
from typing import Any

from chatwright.config import build, merge, parse_overrides, to_table
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError

UNAVAILABLE = {
    "n": "A chat samples one reply at a time; /retry gives another.",
    "best_of": "A chat samples one reply at a time; /retry gives another.",
    "top_log_probs": "/why shows the alternatives without it.",
}
"""Settings that have no effect in a chat, with the explanation."""
# A pair extends to the next `key=` and may hold spaces and quoted text: stop=["a b", "c"].
PAIR = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\s+(?![\w.]+\s*=)|\S)+""")


def change_settings(
    sampling: SamplingConfig, argument: str, initial: SamplingConfig
) -> SamplingConfig:
    """Change the settings by the pairs in `argument`; `key=none` restores the value in `initial`.

    Raises InputError for text that is not a pair, an unknown key or a value that is not allowed.
    """
    settings = to_table(sampling)
    initial_settings = to_table(initial)
    for pair in PAIR.findall(argument):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals and value):
            raise InputError(
                f"/set {pair.strip()} is no key=value pair.",
                remedy="Write for example /set temperature=0.5; /set alone shows all settings.",
                field="/set",
                value=pair.strip(),
            )
        if key in UNAVAILABLE:
            raise InputError(
                f"/set {key} has no effect here.", remedy=UNAVAILABLE[key], field=key, value=value
            )
        if value.lower() == "none" and key in initial_settings:
            settings[key] = initial_settings[key]
        else:
            settings = merge(settings, parse_overrides([f"{key}={value}"]))
    return build(SamplingConfig, settings, "/set")


def settings_text(sampling: SamplingConfig) -> str:
    """Return the settings that can be changed, as `key=value` pairs."""
    settings: Mapping[str, Any] = to_table(sampling)
    return ", ".join(f"{key}={value}" for key, value in settings.items() if key not in UNAVAILABLE)
