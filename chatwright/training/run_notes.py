"""The contents of model/training.json: how a finished model was made."""

import dataclasses
from pathlib import Path
from typing import Any

from chatwright.checkpoint import json_file, model_directory, run_directory
from chatwright.checkpoint.origin import ORIGIN
from chatwright.model.model import count_parameters
from chatwright.training.outcome import Outcome
from chatwright.training.train_state import TrainState

OUTCOME = "outcome"
"""Key of the comparison with the model before training."""


def run_notes(
    state: TrainState,
    figures: dict[str, float],
    change: float,
    outcome: Outcome | None,
    parent: Path | None,
    dtype: str,
) -> dict[str, Any]:
    """Return the notes of a finished run.

    Args:
        state: The run after its last step.
        figures: Figures of the result.
        change: Relative change of the weights.
        outcome: Comparison of the result with the start, if there is one.
        parent: The model directory that the first weights were loaded from.
        dtype: Number format of the forward pass.
    """
    return {
        "stage": state.stage.name,
        "steps": state.step,
        "trained_tokens": state.trained_tokens,
        "seconds": round(state.seconds, 1),
        "parameters": sum(p.numel() for p in state.model.parameters()),
        "trained_parameters": count_parameters(state.model),
        "first_loss": state.first_loss,
        "weight_change": change,
        "figures": figures,
        OUTCOME: None if outcome is None else dataclasses.asdict(outcome),
        "parent": parent_hash(parent),
        ORIGIN: state.origin,
        "dtype": dtype,
    }


def read_outcome(run: Path) -> Outcome | None:
    """Return the outcome of the finished run in the directory `run`, if it was judged."""
    file = run / run_directory.MODEL / model_directory.TRAINING_FILE
    saved = json_file.read_object(file).get(OUTCOME) if file.is_file() else None
    return Outcome(**saved) if isinstance(saved, dict) else None


def parent_hash(parent: Path | None) -> str | None:
    """Return the hash of the parent's weights, which is part of the run's identity."""
    return None if parent is None else model_directory.weights_hash(parent)
