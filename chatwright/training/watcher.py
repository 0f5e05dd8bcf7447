"""Callbacks by which a training run reports to the terminal, the browser or a test."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """The state of a run after a logged step or an evaluation."""

    stage: str
    step: int
    steps: int
    loss: float
    """Training loss of the step; for an evaluation, the loss before the first step."""
    tokens: int
    seconds: float
    seconds_left: float
    evaluation: dict[str, float] = field(default_factory=dict)
    samples: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Watcher:
    """Callbacks of a run, all optional."""

    progress: Callable[[Progress], None] = lambda _: None
    """Called after every logged step and every evaluation."""
    saved: Callable[[Path], None] = lambda _: None
    """Called with each new checkpoint, which can be opened as a model."""
    say: Callable[[str], None] = lambda _: None
    """Called with messages such as "reading data"."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked once a step; True saves the run and stops it."""
    activity: Callable[[str], None] = lambda _: None
    """Called with what the run does now, such as "evaluating"; progress replaces it."""
    warn: Callable[[str], None] = lambda _: None
    """Called with messages that must not be overlooked."""


class Stopped(Exception):
    """The run was stopped on request and saved; the same command resumes it."""
