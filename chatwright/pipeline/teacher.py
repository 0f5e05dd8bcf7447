"""A teacher for a stage: opened, held against the student's vocabulary and context, and put around the stage. See training/distillation.py."""

from pathlib import Path

import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model.gpt import GPT
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.distillation import Distillation, DistillationConfig, next_token_outputs
from chatwright.training.stage import MicroBatch, Stage


def with_teacher(stage: Stage[GPT, MicroBatch], config: DistillationConfig | None, student: GPT, tokenizer: Tokenizer, dtype: torch.dtype,
                 device: torch.device, seed: int) -> Stage[GPT, MicroBatch]:
    if config is None:
        return stage
    path = Path(config.teacher)
    teacher, theirs = model_directory.load(path, device)
    _require_same_vocabulary(tokenizer, theirs, path)
    if teacher.config.context_length < student.config.context_length:
        raise ValueError(f"{path}: the teacher sees {teacher.config.context_length} tokens, the student {student.config.context_length}. "
                         f"Set model.context_length={teacher.config.context_length}, or take another teacher.")
    return Distillation(stage, teacher, model_directory.identity(path), next_token_outputs(dtype), config, student.config.width,
                        generator(seed, "projection"))


def _require_same_vocabulary(ours: Tokenizer, theirs: Tokenizer, teacher: Path) -> None:
    """Every id must stand for the same bytes, or the teacher's probabilities are about other words."""
    same = ours.vocab_size == theirs.vocab_size and ours.control == theirs.control
    if not same or any(ours.token_bytes(i) != theirs.token_bytes(i) for i in range(ours.vocab_size)):
        raise ValueError(f"{teacher}: the teacher has another vocabulary than the student ({theirs.vocab_size} and {ours.vocab_size} tokens), so its "
                         f"probabilities are about other words. Give the student the teacher's tokenizer: --from {teacher}/tokenizer, or its folder.")
