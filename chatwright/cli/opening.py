"""What several verbs need first: a model opened for talking, sampling settings from the command line."""

from collections.abc import Iterable
from pathlib import Path

from chatwright import config as config_files
from chatwright.chat.assistant import Assistant
from chatwright.chat.labeller import Labeller
from chatwright.chat.translator import Translator
from chatwright.checkpoint import model_directory
from chatwright.data.starter import Outside, is_starter
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.engine.engine import Engine
from chatwright.engine.labelling import LabelForward
from chatwright.engine.sampling import SamplingConfig
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_decoder import EncoderDecoder


def open_assistant(directory: Path) -> Assistant:
    """The starter's models come with their pretended outside, so that what they ask for is answered."""
    model, tokenizer = model_directory.load(directory)
    return Assistant(Engine(model), tokenizer, Outside() if is_starter(directory) else None)


def open_translator(directory: Path) -> Translator:
    model, tokenizer = model_directory.load(directory, kind=EncoderDecoder)
    return Translator(EncoderDecoderForward(model), tokenizer)


def open_labeller(directory: Path) -> Labeller:
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    return Labeller(LabelForward(model), tokenizer)


def read_sampling(overrides: Iterable[str], **defaults: float) -> SamplingConfig:
    return config_files.build(SamplingConfig, config_files.merge(defaults, config_files.parse_overrides(overrides)), "sampling")
