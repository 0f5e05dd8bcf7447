"""Open the judge that the user chose: rules, a reward model, votes, or a model behind an API."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint import json_file, model_directory, run_directory
from chatwright.conversation import Message
from chatwright.data.readers.data_source import DEFAULTS
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import PromptRow, RankedRow
from chatwright.errors import InputError
from chatwright.evaluation.chat_api import ChatApi, ChatApiConfig
from chatwright.evaluation.chat_judge import ChatJudge
from chatwright.evaluation.judges import Judge, RuleJudge, ScoreJudge
from chatwright.evaluation.starter_judge import StarterJudge
from chatwright.evaluation.vote_judge import VoteJudge
from chatwright.pipeline.comparison.kept_results import KeptResults
from chatwright.pipeline.load_reward_model import load_reward_model
from chatwright.training.reward_sources import RULES

STARTER_RULES = "starter"
"""Name of the rules for the prompts of the starter corpus."""
ANSWERS_FILE = "answers.jsonl"


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """The judge that the user chose; exactly one field is set."""

    rules: tuple[str, ...] = ()
    """Names of rules that compare a reply with the prompt's answer, or "starter"."""
    reward_model: Path | None = None
    """Directory of a reward model that trained neither model."""
    votes: Path | None = None
    """A snapshot of people's rankings of the replies."""
    api: ChatApiConfig | None = None
    """A model behind an OpenAI-compatible API."""

    def __post_init__(self) -> None:
        chosen = [bool(x) for x in (self.rules, self.reward_model, self.votes, self.api)]
        if sum(chosen) != 1:
            raise InputError(
                f"{sum(chosen)} judges are given, and a comparison needs one.",
                remedy="Choose one: rules, a reward model, votes, or, with chatwright compare, "
                "a model behind an API (--judge-url with --judge-model).",
                field="judge",
                value=sum(chosen),
            )


def open_judge(
    options: JudgeOptions, prompts_file: Path, models: Sequence[Path], out: Path
) -> Judge:
    """Return the judge. Its answers, if they cost requests, are kept in the folder `out`.

    Raises:
        InputError: A name is unknown, a file cannot be read, or the reward model trained one of
            the models.
    """
    if options.rules:
        return _rule_judge(options.rules, prompts_file)
    if options.reward_model:
        return _reward_judge(options.reward_model, models)
    if options.votes:
        return _vote_judge(options.votes)
    assert options.api is not None, "JudgeOptions requires one choice"
    answers = KeptResults(out / ANSWERS_FILE)
    return ChatJudge(f"{options.api.model} at {options.api.url}", ChatApi(options.api).ask, answers)


def _rule_judge(names: tuple[str, ...], prompts_file: Path) -> Judge:
    if names == (STARTER_RULES,):
        return StarterJudge.read(prompts_file)
    for name in names:
        if name not in RULES:
            raise InputError(
                f"rules: there is no rule {name}.",
                remedy=f"Give {STARTER_RULES} alone, or some of {', '.join(RULES)}, with commas "
                "between.",
                field="rules",
                value=name,
            )
    return RuleJudge({name: RULES[name] for name in names})


def _reward_judge(directory: Path, models: Sequence[Path]) -> Judge:
    judge_hash = model_directory.weights_hash(directory)
    for model in models:
        if judge_hash in training_rewards(model):
            raise InputError(
                f"{directory} was the reward in the training of {model}, so it cannot judge it: "
                "training raises its scores whether or not the replies get better.",
                remedy="Judge by a reward model of other feedback, by rules or by votes.",
                field="reward_model",
                value=str(directory),
            )
    reward_model = load_reward_model(directory)

    def scores(prompts: Sequence[PromptRow], replies: Sequence[Message]) -> list[float]:
        pairs = zip(prompts, replies, strict=True)
        return reward_model.scores([(*prompt.messages, reply) for prompt, reply in pairs])

    return ScoreJudge(f"reward model {directory}", scores)


def training_rewards(model: Path) -> set[str]:
    """Return the hashes of the reward models that a model's run was trained with.

    Earlier runs, whose model this one continued, are not known here.
    """
    hashes: set[str] = set()
    for run in (model, model_directory.find(model).parent):
        if run_directory.is_run(run):
            stage: Any = json_file.read_object(run / run_directory.RUN_FILE).get("stage")
            reward = stage.get("reward") if isinstance(stage, dict) else None
            path = reward.get("model") if isinstance(reward, dict) else None
            if path and model_directory.holds_model(Path(path)):
                hashes.add(model_directory.weights_hash(Path(path)))
    return hashes


def _vote_judge(path: Path) -> VoteJudge:
    remedy = "rate the pairs that --votes-out writes"
    read = read_kind(RankedRow, path, DEFAULTS, name="rankings of replies", remedy=remedy)
    return VoteJudge(read.rows)


def read_key(file: Path | None, variable: str) -> str:
    """Return the key of an API from a file or an environment variable; "" if neither is named."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if variable and not os.environ.get(variable):
        raise InputError(
            f"--judge-key-env {variable}: this environment variable is not set.",
            remedy="Set it, or give --judge-key-file FILE.",
            field="--judge-key-env",
            value=variable,
        )
    return os.environ[variable].strip() if variable else ""
