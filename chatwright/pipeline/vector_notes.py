"""Say what the import of an encoder found out about the vectors of texts."""

from pathlib import Path

from chatwright.checkpoint import sentence_transformers
from chatwright.model.encoder import Encoder
from chatwright.model.model import Model


def vector_notes(source: Path, model: Model) -> list[str]:
    """Return notes on pooling, length and prompts of a model of sentence-transformers."""
    if not isinstance(model, Encoder) or not sentence_transformers.is_sentence_model(source):
        return []
    config = model.config
    scaled = ", scaled to length 1" if config.normalized_vectors else ""
    notes = [
        f"vectors of texts: {config.pooling} over the tokens{scaled}, "
        f"of texts of at most {config.text_length:,} tokens"
    ]
    if prompts := sentence_transformers.prompts(source):
        listed = ", ".join(f"{name}: {prompt!r}" for name, prompt in prompts.items())
        notes.append(f"the model was trained with prompts; put them before your texts: {listed}")
    return notes
