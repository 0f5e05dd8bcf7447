"""Create the encoder that a stage trains, from random weights, a parent's or a teacher's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatwright.checkpoint import build_model
from chatwright.devices import generator
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.pipeline.start_from_parent import start_from_parent
from chatwright.pipeline.teacher import student_from_layers
from chatwright.training.stages.distillation import DistillationConfig


def initialize_encoder(
    shape: Mapping[str, Any],
    vocab_size: int,
    seed: int,
    parent: Path | None,
    distillation: DistillationConfig | None,
    head: Mapping[str, Any] | None = None,
) -> tuple[Encoder, Path | None, list[str]]:
    """Create the encoder.

    Args:
        shape: The setting `model` of the stage.
        vocab_size: The tokenizer's size, for a new model.
        seed: Seed of random weights.
        parent: The model directory to start from.
        distillation: Settings of a teacher, whose layers may become the student's.
        head: Settings of the head; they replace a parent's head.

    Returns:
        The encoder, the parent whose loss its first loss must equal (or None), and the names of
        parameters with random weights.
    """
    # A student has its teacher's shape, so the preset that `size` names does not apply.
    changes = {name: value for name, value in shape.items() if name != "size"}
    student = student_from_layers(distillation, changes, Encoder)
    if student is not None:
        return student, None, []
    if parent is None:
        model = _fresh(dict(shape) | dict(head or {}), vocab_size, seed)
        return model, None, [name for name, _ in model.named_parameters()]
    model, fresh = start_from_parent(parent, dict(shape) | dict(head or {}), seed, Encoder)
    return model, parent, fresh


def _fresh(shape: dict[str, Any], vocab_size: int, seed: int) -> Encoder:
    size = shape.pop("size", "tiny")
    model = build_model.build(Encoder, encoder_preset(size, **shape, vocab_size=vocab_size))
    init_weights(model, generator(seed, "weights"))
    return model
