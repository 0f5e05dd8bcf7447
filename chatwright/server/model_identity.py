"""Which weights are served, and by which build, as `/version` and `/v1/models` report them."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """What is known about the weights of a served model."""

    weights: str = ""
    """SHA-256 of the weights; "" if unknown. Beside a loaded adapter, of the base."""
    tokenizer: str = ""
    """SHA-256 of the tokenizer's files, the chat format included; "" if unknown."""
    created: int = 0
    """When the model's files were written, in seconds since 1970; 0 if unknown."""
    version: str = ""
    """Name of the version in the registry, such as "v2"; "" without a registry."""
    registry: Path | None = None
    """Directory of the registry that holds the versions; None without one."""
    batch_dependence_reason: str | None = None
    """Why a reply's bits may depend on other requests; "" if they do not, None if unknown."""
    adapter: str = ""
    """SHA-256 of the weights of the adapter that the replies use; "" for none."""
    sampling: dict[str, float] = field(default_factory=dict)
    """Sampling settings for requests that leave them out (`pipeline/sampling_defaults.py`)."""
    build: dict[str, str] = field(default_factory=dict)
    """What computes the replies: hash of our source code, torch, processor, threads."""

    @property
    def feedback_weights(self) -> str:
        """The weights that feedback on a reply names: an adapter's own, otherwise the model's."""
        return self.adapter or self.weights

    @property
    def fingerprint(self) -> str | None:
        """What OpenAI calls system_fingerprint: it changes with the weights and with our code.

        None if the weights are unknown.
        """
        if not self.weights:
            return None
        source = self.build.get("source", "")
        return (
            f"fp_{hashlib.sha256((self.weights + self.adapter + source).encode()).hexdigest()[:16]}"
        )
