"""The architectures a model directory can hold: name in config.json, settings, model class, verb."""

from dataclasses import dataclass

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
    name: str
    config: type[ModelConfig]
    model: type[Model]
    verb: str  # of the command line: what such a model can do


ARCHITECTURES = (
    Architecture("gpt", GPTConfig, GPT, "chat"),
    Architecture("encoder-decoder", EncoderDecoderConfig, EncoderDecoder, "translate"),
    Architecture("encoder", EncoderConfig, Encoder, "classify"),
    Architecture("skip-gram", SkipGramConfig, SkipGram, "inspect embeddings"),
)


def for_config(config: ModelConfig) -> Architecture:
    return next(
        architecture for architecture in ARCHITECTURES if isinstance(config, architecture.config)
    )


def by_name(name: str, where: str) -> Architecture:
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    raise ValueError(
        f"{where}: architecture = {name!r} is not known here (known: {', '.join(a.name for a in ARCHITECTURES)}). "
        "It was written by a newer Chatwright; update this one."
    )
