"""Tell what kind of model a directory holds, without loading it and without torch."""

from pathlib import Path

from chatwright.checkpoint import json_file
from chatwright.checkpoint.model_files import CONFIG

ENCODER = "encoder"
"""Name of the encoder in `architectures.py`."""


def holds_encoder(model: Path) -> bool:
    """Return whether a model directory, no adapter, holds an encoder."""
    if not (model / CONFIG).is_file():
        return False
    own = json_file.read_object(model / CONFIG).get("chatwright")
    return isinstance(own, dict) and own.get("architecture") == ENCODER
