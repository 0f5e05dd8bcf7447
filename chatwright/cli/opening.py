"""What several verbs need first: a model opened for talking, sampling settings from the command line."""

from collections.abc import Iterable
from pathlib import Path

from chatwright import config as config_files
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.engine.engine import Engine
from chatwright.engine.sampling import SamplingConfig


def open_assistant(directory: Path) -> Assistant:
    model, tokenizer = model_directory.load(directory)
    return Assistant(Engine(model), tokenizer)


def read_sampling(overrides: Iterable[str]) -> SamplingConfig:
    return config_files.build(SamplingConfig, config_files.parse_overrides(overrides), "sampling")
