"""Create the decoder that a stage trains, from random weights, a parent's or a teacher's.

An adapter can be added to a parent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint import build_model, model_directory
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.lora import LoRAConfig
from chatwright.model.model import count_parameters
from chatwright.model.presets import preset
from chatwright.pipeline.teacher import student_from_layers
from chatwright.training.stages.distillation import DistillationConfig
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class StartingModel:
    """The settings that determine the decoder that a stage trains."""

    shape: Mapping[str, Any]
    """The setting `model` of the stage."""
    lora: LoRAConfig | None
    distillation: DistillationConfig | None
    seed: int


def initialize_model(
    start: StartingModel, vocab_size: int, parent: Path | None, watcher: Watcher
) -> tuple[GPT, Path | None]:
    """Return the decoder and its parent directory, or None for a new model.

    With a parent, the first training loss must equal the parent's loss.

    Args:
        start: Settings of the decoder.
        vocab_size: The tokenizer's size, for a new model.
        parent: The model directory to start from.
        watcher: Receives a message about an adapter's size.

    Raises:
        InputError: The settings ask for an adapter, but there is no saved model to attach it to.
    """
    student = student_from_layers(start.distillation, start.shape, GPT)
    if student is not None:
        if start.lora:
            raise InputError(
                "lora and distillation.start=every-other-layer do not work together: an adapter "
                "needs a saved base model, and this student is new.",
                remedy="Train the student first, then an adapter with --from STUDENT.",
                field="lora",
            )
        return student, None
    if parent is not None:
        return _continue_from(parent, start, watcher), parent
    if start.lora:
        raise InputError(
            "lora needs a model to attach the adapter to.",
            remedy="Give one with --from DIR, or from = in the recipe, or remove lora.",
            field="lora",
        )
    shape = dict(start.shape)
    size = shape.pop("size", "tiny")
    config = preset(size, **(shape | {"vocab_size": vocab_size}))
    model = build_model.build(GPT, config)
    init_weights(model, generator(start.seed, "weights"))
    return model, None


def _continue_from(parent: Path, start: StartingModel, watcher: Watcher) -> GPT:
    """Load the parent, and apply changed settings and an adapter if the stage has them."""
    model, _ = model_directory.load(parent, changes=start.shape)
    if model.head is None:
        raise InputError(
            f"{parent}: this model has the head {model.config.head!r} and writes no text.",
            remedy="Start from a model that writes text: pretrained, or fine-tuned.",
            field="--from",
            value=model.config.head,
        )
    if start.lora:
        lora.attach(model, start.lora, generator(start.seed, "lora"))
    if lora.lora_layers(model):
        n_parameter = sum(p.numel() for p in model.parameters())
        watcher.say(
            f"training an adapter: {count_parameters(model):,} of {n_parameter:,} parameters; "
            "the others are frozen"
        )
    return model
