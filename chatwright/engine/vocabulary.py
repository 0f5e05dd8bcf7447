"""The bytes of a tokenizer's tokens, which the engine needs to constrain replies by a grammar."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Vocabulary:
    """The bytes of each token, and which tokens are no text.

    The engine itself reads and writes token ids only. It receives this once, for grammars.
    """

    tokens: Sequence[bytes]
    """By token id; b"" for control tokens."""
    control_ids: frozenset[int]
    """Ids of control tokens. A grammar allows one only where it names the id."""
    end_ids: frozenset[int]
    """Control tokens that end a reply; allowed where the grammar is complete."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, for an engine in another process."""
        return {
            "tokens": [b64encode(token).decode() for token in self.tokens],
            "control_ids": sorted(self.control_ids),
            "end_ids": sorted(self.end_ids),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Vocabulary:
        """Read what `to_json` wrote."""
        tokens = [b64decode(token) for token in data["tokens"]]
        return cls(tokens, frozenset(data["control_ids"]), frozenset(data["end_ids"]))
