"""A teacher for a stage: opened, held against the student, and put around the stage; or taken apart into a student. See training/distillation.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from chatwright.checkpoint import model_directory
from chatwright.commands import quoted
from chatwright.devices import generator
from chatwright.model.model import Model
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.stage import Stage
from chatwright.training.stages.distillation import Distillation, DistillationConfig
from chatwright.training.stages.student import every_other_layer

M = TypeVar("M", bound=Model)
B = TypeVar("B")


def student_of(
    config: DistillationConfig | None, changes: Mapping[str, Any], kind: type[M]
) -> M | None:
    """The model that begins with its teacher's layers, where the settings ask for that. `changes`: settings no weight depends on."""
    if config is None or config.start != "every-other-layer":
        return None
    return every_other_layer(
        model_directory.load(Path(config.teacher), changes=changes, kind=kind)[0]
    )


def with_teacher(
    stage: Stage[M, B],
    config: DistillationConfig | None,
    student: M,
    tokenizer: Tokenizer,
    device: torch.device,
    seed: int,
) -> Stage[M, B]:
    """The stage as it is where the settings name no teacher."""
    if config is None:
        return stage
    path = Path(config.teacher)
    teacher, theirs = model_directory.load(path, device, kind=type(student))
    _require_same_vocabulary(tokenizer, theirs, path)
    if teacher.config.context_length < student.config.context_length:
        raise ValueError(
            f"{path}: the teacher sees {teacher.config.context_length} tokens, the student {student.config.context_length}. "
            f"Set model.context_length={teacher.config.context_length}, or take another teacher."
        )
    if (known := getattr(teacher.config, "labels", ())) != (
        wanted := getattr(student.config, "labels", ())
    ):
        raise ValueError(
            f"{path}: the teacher knows the labels {list(known)}, the student learns {list(wanted)}. Take a teacher of the same data."
        )
    shape: Any = student.config
    return Distillation(
        stage,
        teacher,
        model_directory.weights_hash(path),
        config,
        shape.d_model,
        generator(seed, "projection"),
    )


def _require_same_vocabulary(ours: Tokenizer, theirs: Tokenizer, teacher: Path) -> None:
    """Every id must stand for the same bytes, or the teacher's probabilities are about other words."""
    same = ours.vocab_size == theirs.vocab_size and ours.control == theirs.control
    if not same or any(
        ours.token_bytes(i) != theirs.token_bytes(i) for i in range(ours.vocab_size)
    ):
        raise ValueError(
            f"{teacher}: the teacher has another vocabulary than the student ({theirs.vocab_size} and {ours.vocab_size} tokens), so its "
            f"probabilities are about other words. Give the student the teacher's tokenizer: --from {quoted(teacher / 'tokenizer')}, or its folder."
        )
