"""One hash of everything that a model's replies depend on."""

from pathlib import Path

from chatwright.checkpoint import adapter_directory, directory, model_directory
from chatwright.pipeline.content_hash import hash_json

NOTES = (model_directory.TRAINING_FILE, directory.MANIFEST)
"""Files of a model directory that say how it was made and do not change its replies."""
ENDINGS = (".json", ".safetensors", ".model", ".txt", ".jinja")


def model_hash(path: Path) -> str:
    """Return a hash of a model's weights, settings and tokenizer; of an adapter, also its base."""
    found = model_directory.find(path)
    files = sorted(
        file for file in found.iterdir() if file.suffix in ENDINGS and file.name not in NOTES
    )
    hashes = [[file.name, directory.sha256(file)] for file in files]
    is_adapter = adapter_directory.is_adapter(found)
    base = model_hash(adapter_directory.read(found).base.path) if is_adapter else ""
    return hash_json([hashes, base])
