"""Load a model that computes vectors of texts for a server."""

from pathlib import Path

from chatwright.checkpoint import config_file, model_directory
from chatwright.cli.load_model import identity_of
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_config import EncoderConfig
from chatwright.server.embedder import ServedEmbedder
from chatwright.tasks.embed import Embedder


def holds_encoder(directory: Path) -> bool:
    """Return whether a model directory, no adapter, holds an encoder."""
    found = model_directory.find(directory)
    is_whole = (found / "config.json").is_file()
    return is_whole and isinstance(config_file.read_config(found), EncoderConfig)


def open_embedder(directory: Path) -> ServedEmbedder:
    """Load the encoder of a model directory or a training run.

    Raises:
        InputError: The directory holds no encoder.
    """
    found = model_directory.find(directory)
    model, tokenizer = model_directory.load(found, kind=Encoder)
    embedder = Embedder(EmbeddingForward(model), tokenizer)
    return ServedEmbedder(embedder, directory.resolve().name, identity_of(directory, found))
