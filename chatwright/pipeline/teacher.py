"""Load the teacher of a distillation, check that it fits the student, and add it to the stage.

See `training/stages/distillation.py` for the loss.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from chatwright.checkpoint import model_directory
from chatwright.commands import quoted
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.model import Model
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.stage import Stage
from chatwright.training.stages.distillation import Distillation, DistillationConfig
from chatwright.training.stages.student import every_other_layer

M = TypeVar("M", bound=Model)
Micro = TypeVar("Micro")


def student_from_layers(
    config: DistillationConfig | None, changes: Mapping[str, Any], kind: type[M]
) -> M | None:
    """Return a student with every other layer of its teacher, or None without such a setting.

    Args:
        config: Settings of distillation.
        changes: The student's settings that differ, and that do not change the shapes of weights.
        kind: The class that the teacher must have.
    """
    if config is None or config.start != "every-other-layer":
        return None
    teacher, _ = model_directory.load(Path(config.teacher), changes=changes, kind=kind)
    return every_other_layer(teacher)


def with_teacher(
    stage: Stage[M, Micro],
    config: DistillationConfig | None,
    student: M,
    tokenizer: Tokenizer,
    device: torch.device,
    seed: int,
) -> Stage[M, Micro]:
    """Return a stage that also learns from the teacher, or the stage itself if there is none.

    Raises:
        InputError: The teacher has another vocabulary, other labels or a shorter context.
    """
    if config is None:
        return stage
    path = Path(config.teacher)
    teacher, teacher_tokenizer = model_directory.load(path, device, kind=type(student))
    _require_same_vocabulary(tokenizer, teacher_tokenizer, path)
    _require_context_length(teacher, student, path)
    _require_same_labels(teacher, student, path)
    student_config: Any = student.config
    return Distillation(
        stage,
        teacher,
        model_directory.weights_hash(path),
        config,
        student_config.d_model,
        generator(seed, "projection"),
    )


def _require_same_vocabulary(student: Tokenizer, teacher: Tokenizer, path: Path) -> None:
    """Raise InputError unless every id has the same bytes in both vocabularies."""
    is_same = student.vocab_size == teacher.vocab_size and student.control == teacher.control
    if is_same:
        ids = range(student.vocab_size)
        is_same = all(student.token_bytes(i) == teacher.token_bytes(i) for i in ids)
    if not is_same:
        raise InputError(
            f"{path}: the teacher has another vocabulary ({teacher.vocab_size} tokens) than the "
            f"student ({student.vocab_size} tokens), so its probabilities are of other tokens.",
            remedy=f"Give the student the teacher's tokenizer: --from {quoted(path / 'tokenizer')}",
            field="distillation.teacher",
            value=str(path),
        )


def _require_context_length(teacher: Model, student: Model, path: Path) -> None:
    readable = teacher.config.context_length
    needed = student.config.context_length
    if readable < needed:
        raise InputError(
            f"{path}: the teacher's context_length is {readable}, but the student's is {needed}.",
            remedy=f"Set model.context_length={readable}, or choose another teacher.",
            field="model.context_length",
            value=needed,
        )


def _require_same_labels(teacher: Model, student: Model, path: Path) -> None:
    known = getattr(teacher.config, "labels", ())
    wanted = getattr(student.config, "labels", ())
    if known != wanted:
        raise InputError(
            f"{path}: the teacher has the labels {list(known)}, but the data has {list(wanted)}.",
            remedy="Choose a teacher that was trained on the same labels.",
            field="distillation.teacher",
            value=str(path),
        )
