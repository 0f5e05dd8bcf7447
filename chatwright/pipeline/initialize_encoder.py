"""The encoder a stage begins with: random weights, a parent's, or a teacher's layers."""

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
    """Return the encoder, the parent whose first loss it must have, and its fresh parameters.

    Args:
        shape: The table `model` of the stage.
        vocab_size: The tokenizer's size, for a new model.
        seed: Seed of random weights.
        parent: The model directory to start from.
        distillation: Settings of a teacher, whose layers may become the student's.
        head: Settings of the head; they replace a parent's head.
    """
    # The teacher gives the student its shape, so a preset named for other runs does not apply.
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
