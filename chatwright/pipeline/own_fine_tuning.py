"""Recipe, README and cost of a folder whose model starts from an open model (`new --base`)."""

import math
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import model_directory, stored_weights
from chatwright.errors import InputError
from chatwright.pipeline import fine_tuning_settings as chosen
from chatwright.pipeline import model_names
from chatwright.pipeline.open_models.known_models import KNOWN_MODELS, known_model

SCRATCH = "scratch"
"""The answer that trains a model from random weights."""
SECONDS_PER_TOKEN = 4e-3 / 135e6
"""Time to train on a token, per weight, on two processor cores (docs/RESULTS.md)."""
CHARACTERS_PER_TOKEN = 4
TOKENS_AROUND = 50
"""Tokens of the chat format and the system prompt in a conversation."""
EVALUATION_SHARE = 0.5
"""Time of evaluations and start, as a share of the training time; small data have more."""


@dataclass(frozen=True)
class Cost:
    """A rough estimate for two processor cores; `up` measures before it begins."""

    minutes: float
    gigabytes: float

    def __str__(self) -> str:
        return f"about {max(2, round(self.minutes))} minutes and {self.gigabytes:.1f} GB of memory"


def base_model(text: str) -> str:
    """Return the base that an answer names, as a known name or a path; "" for no base.

    Raises:
        InputError: There is no such model, or it cannot converse.
    """
    if text in ("", SCRATCH):
        return ""
    known = known_model(text)
    if known is not None and known.use == "chat":
        return text
    names = [model.name for model in KNOWN_MODELS if model.use == "chat"]
    remedy = f"Give a model directory, {', '.join(names)}, or {SCRATCH}."
    if known is not None:
        problem = f"{text}: this model cannot converse, so it is no base for an assistant."
        raise InputError(problem, remedy=remedy, field="--base", value=text)
    if not model_directory.holds_model(Path(text)):
        problem = f"{text}: there is no such model."
        raise InputError(problem, remedy=remedy, field="--base", value=text)
    return text


def n_weight(base: str) -> int:
    """Return the number of weights of a base, from its files or from the table of known models."""
    known = known_model(base)
    if known is not None:
        return known.model_bytes // 4
    path = model_directory.find(model_names.model_directory(base))
    return sum(math.prod(one.shape) for one in stored_weights.find_tensors(path).values())


def estimated_cost(n_weights: int, n_conversation: int, n_character: int) -> Cost:
    """Return the cost of tuning a model of `n_weights` weights on these conversations."""
    n_token = n_character / CHARACTERS_PER_TOKEN + TOKENS_AROUND * n_conversation
    per_step = next(n for most, n in chosen.CONVERSATIONS_PER_STEP if n_conversation <= most)
    steps_per_pass = max(1, round(n_conversation / per_step))
    passes = chosen.steps_for(3, steps_per_pass) / steps_per_pass
    seconds = passes * n_token * n_weights * SECONDS_PER_TOKEN
    gigabytes = (2 * 4 * n_weights + 1.5e9) / 1e9
    return Cost((1 + EVALUATION_SHARE) * seconds / 60 + 1, gigabytes)


def recipe_text(up: str, about: str, base: str, data: str, reading: str, texts: str) -> str:
    """Return the recipe as TOML, with comments that explain its settings.

    Args:
        up: The command that builds the model.
        about: What the model is for, as TOML.
        base: The open model, as TOML.
        data: Paths of the data, as TOML.
        reading: Lines that say how to read the data; may be empty.
        texts: Line that also reads texts; may be empty.
    """
    return f"""\
# Written by chatwright new. To build it and talk to it: {up}
# {{here}} is the folder of this file. data may be a file, a folder, or a list of them.
about = {about}
stages = ["adapter", "merged"]

[adapter]                        # learns to answer as your conversations do, on top of the base
kind = "sft"
from = {base}
data = {data}
{reading}{texts}sample_prompts = ["Hello!", "Who are you?", "What can you do?"]

# Learning rate, rows and steps are chosen for the base, the data and this machine, and printed.
# passes is the number of times that the data are read.
passes = 3

[adapter.lora]                   # a few percent of the weights are trained, beside the frozen ones
rank = 8
dropout = 0.05                   # small data are memorized quickly; dropout slows that

[merged]                         # one model that needs neither the adapter nor the base
kind = "merge"
"""


def readme_lines(base: str) -> str:
    """Return the part of the README about the base."""
    return f"""\
The model starts from `{base}`, which already converses, and learns to answer as the conversations
in the data do. The finished model is in `runs/merged`. To use it in other tools, export it:
`chatwright export`.
"""
