"""What /set does: `key=value` pairs into sampling settings, all of them or none."""

import re
from collections.abc import Mapping
from typing import Any

from chatwright.config import build, merge, parse_overrides, to_table
from chatwright.engine.sampling import SamplingConfig

# A person should meet the model that was examined, and skills are scored greedily; at 0.3 a second try still differs from the first.
CHAT_TEMPERATURE = 0.3
NOT_HERE = {
    "n": "there is one reply at a time here; /retry gives another",
    "best_of": "there is one reply at a time here; /retry gives another",
    "top_log_probs": "/why shows the alternatives without it",
}
# A pair goes on over spaces until the next `key=`, and over everything in quotes: stop=["a b", "c"] is one.
PAIR = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\s+(?![\w.]+\s*=)|\S)+""")


def changed(sampling: SamplingConfig, argument: str, first: SamplingConfig) -> SamplingConfig:
    """The settings with what `argument` says; `key=none` gives back what stood there `first`."""
    table, defaults = to_table(sampling), to_table(first)
    for pair in PAIR.findall(argument):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals and value):
            raise ValueError(
                f"/set {pair.strip()}: expected key=value, for example /set temperature=0.5 (/set alone shows all)."
            )
        if key in NOT_HERE:
            raise ValueError(f"/set {key}: {NOT_HERE[key]}.")
        if value.lower() == "none" and key in defaults:
            table[key] = defaults[key]
        else:
            table = merge(table, parse_overrides([f"{key}={value}"]))
    return build(SamplingConfig, table, "/set")


def require_one_reply(sampling: SamplingConfig) -> None:
    if sampling.n_made > 1:
        raise ValueError(
            f"n = {sampling.n}, best_of = {sampling.best_of}: a chat has one reply at a time. Leave them out; /retry gives another."
        )


def shown(sampling: SamplingConfig) -> str:
    table: Mapping[str, Any] = to_table(sampling)
    return ", ".join(f"{key}={value}" for key, value in table.items() if key not in NOT_HERE)
