"""The architectures that a model directory can hold."""

from dataclasses import dataclass

from chatwright.errors import InputError
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model, ModelConfig
from chatwright.model.skip_gram import SkipGram, SkipGramConfig


@dataclass(frozen=True)
class Architecture:
    """One kind of model: its classes, and the command and the words for it."""

    name: str
    """Value of "architecture" in config.json."""
    config: type[ModelConfig]
    model: type[Model]
    command: str
    """The command that uses such a model."""
    description: str
    """A noun phrase for error messages."""


ARCHITECTURES = (
    Architecture("gpt", GPTConfig, GPT, "chat", "a decoder (GPT)"),
    Architecture(
        "encoder-decoder", EncoderDecoderConfig, EncoderDecoder, "translate", "an encoder-decoder"
    ),
    Architecture("encoder", EncoderConfig, Encoder, "classify", "an encoder"),
    Architecture("skip-gram", SkipGramConfig, SkipGram, "inspect embeddings", "word vectors"),
)


def for_config(config: ModelConfig) -> Architecture:
    """Return the architecture of a model's settings."""
    return next(a for a in ARCHITECTURES if isinstance(config, a.config))


def by_name(name: str, source: str) -> Architecture:
    """Return the architecture called `name`. `source` is the file that names it."""
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    known = ", ".join(architecture.name for architecture in ARCHITECTURES)
    raise InputError(
        f"{source}: architecture = {name!r} is unknown (known: {known}).",
        remedy="If a newer version of Chatwright wrote this file, update Chatwright.",
        field="architecture",
        value=name,
    )
