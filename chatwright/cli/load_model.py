"""What several verbs need first: a model opened for talking, sampling settings from the command line."""

from collections.abc import Iterable
from pathlib import Path

from chatwright import config as config_files
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.engine.engine import Engine
from chatwright.engine.sampling import SamplingConfig
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.tasks.classify import Classifier
from chatwright.tasks.translate import Translator


def open_assistant(directory: Path) -> Assistant:
    """The starter's models come with their pretended outside, so that what they ask for is answered."""
    model, tokenizer = model_directory.load(directory)
    if not is_starter(directory):
        return Assistant(Engine(model), tokenizer)
    from chatwright.starter import SimulatedTools  # imported here: it takes 0.1 s

    return Assistant(Engine(model), tokenizer, SimulatedTools())


def called(directory: Path, found: Path) -> str:
    """The model `found` for `directory`, in words: of a run that is under way, which of its checkpoints answers."""
    return (
        f"{directory}, {found.name} of a training that has not ended"
        if found.parent.name == "checkpoints"
        else str(directory)
    )


def is_starter(model: Path) -> bool:
    """Whether the model at `model` was built by a recipe of the starter: its world then lies beside the stages."""
    return any(
        (parent / "world" / "world" / "manifest.json").is_file()
        for parent in [*model.absolute().parents][:3]
    )


def open_translator(directory: Path) -> Translator:
    model, tokenizer = model_directory.load(directory, kind=EncoderDecoder)
    return Translator(EncoderDecoderForward(model), tokenizer)


def open_labeller(directory: Path) -> Classifier:
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    return Classifier(ClassifierForward(model), tokenizer)


def read_sampling(overrides: Iterable[str], **defaults: float) -> SamplingConfig:
    return config_files.build(
        SamplingConfig,
        config_files.merge(defaults, config_files.parse_overrides(overrides)),
        "sampling",
    )
