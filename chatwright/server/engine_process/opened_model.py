"""What the engine's process reports about a model that it has opened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chatwright.server.model_identity import ModelIdentity


@dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """What the web application needs to know about a model whose weights the process holds."""

    directory: Path
    """The model directory that was opened, of a run or of a directory of versions."""
    identity: ModelIdentity
    vocab_size: int = 0
    context_length: int = 0
    """Longest text in tokens."""
    n_slot: int = 0
    """Number of replies that are generated together; 0 for an encoder."""
    n_layer: int = 0
    n_head: int = 0
    """Attention heads of each layer."""
    vector_size: int = 0
    """Number of numbers in the vector of a text; 0 for a model that replies."""
    is_starter: bool = False
    """Whether the model learned to use the starter's simulated tools."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        registry = self.identity.registry
        identity = asdict(self.identity) | {"registry": None if registry is None else str(registry)}
        return {**asdict(self), "directory": str(self.directory), "identity": identity}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> OpenedModel:
        """Read what `to_json` wrote."""
        found = dict(data["identity"])
        found["registry"] = None if found["registry"] is None else Path(found["registry"])
        identity = ModelIdentity(**found)
        return cls(**{**data, "directory": Path(data["directory"]), "identity": identity})
