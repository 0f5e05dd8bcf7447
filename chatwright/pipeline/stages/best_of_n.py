"""The stage that samples n replies to each prompt and writes the best ones as conversations.

An ordinary sft stage then learns from them: best-of-n distillation.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from chatwright import config as config_files
from chatwright.checkpoint import directory, model_directory, run_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.data.encoded.prompts import EncodedPrompts, read_prompts
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.devices import resolve_device
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.pipeline.best_of_n import (
    SAMPLES_FILE,
    BestOfNSampler,
    BestReply,
    conversation_row,
    summarize,
)
from chatwright.pipeline.content_hash import hash_json
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.prepared_stage import FileStage, StageInputs
from chatwright.pipeline.reinforcement import make_rewards
from chatwright.tokenizer.tokenizer import load_tokenizer
from chatwright.training.checks import RunFailed
from chatwright.training.reward_sources import RewardConfig
from chatwright.training.rollouts import RolloutConfig, RolloutEngine
from chatwright.training.watcher import Watcher

REPLIES_FILE = "replies.jsonl"
FIGURES_FILE = "best-of-n.json"


@dataclass(frozen=True, kw_only=True)
class BestOfNConfig(ReadOptions):
    """Settings of sampling the best of n replies."""

    data: DataSources
    """Prompts: rows with prompt, and answer where a rule compares with it."""
    reward: RewardConfig
    """What the best reply has most of: rules, a reward model, or both."""
    n: int = 8
    """Replies to each prompt, of which the best is kept."""
    lowest_reward: float | None = None
    """Leave out prompts whose best reply has a lower reward."""
    temperature: float = 1.0
    """Divisor of the logits; higher samples replies that differ more."""
    reply_tokens: int = 128
    """Longest reply, in tokens."""
    at_a_time: int = 64
    """Largest number of replies that are sampled together."""
    seed: int = 1
    """Seed of the replies."""
    device: str = "auto"
    """Where to sample: auto, cpu, cuda or mps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 2:
            raise InputError(
                f"n is {self.n}; the best of at least 2 replies can be chosen.",
                remedy="Set for example n = 8.",
                field="n",
                value=self.n,
            )
        if not self.temperature > 0:
            raise InputError(
                f"temperature is {self.temperature}; all replies to a prompt would be equal.",
                remedy="Set for example temperature = 1.0.",
                field="temperature",
                value=self.temperature,
            )


def prepare(config: BestOfNConfig, inputs: StageInputs) -> FileStage:
    """Return a stage that writes out/replies.jsonl."""
    assert inputs.parent is not None, "sampling needs a model"
    return FileStage(partial(_write, config, inputs.parent))


def _write(config: BestOfNConfig, parent: Path, out: Path, watcher: Watcher) -> Path:
    """Sample, choose, and write the conversations and the figures."""
    path = model_directory.find(parent)
    tokenizer = load_tokenizer(path)
    device = resolve_device(config.device)
    model, _ = model_directory.load(path, device, kind=GPT)
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    longest = model.config.context_length - config.reply_tokens
    prompts = read_prompts(source, tokenizer, longest, config)
    rewards = make_rewards(config.reward, tokenizer, device)
    rewards.require_answers(prompts.rows)
    settings = config_files.to_table(config)
    for key in ("data", "lowest_reward", "at_a_time"):  # they do not change what is sampled
        settings.pop(key)
    weights = model_directory.weights_hash(path)
    identity = hash_json([settings, prompts.describe(), weights])
    watcher.say(f"sampling {config.n} replies to each of {len(prompts):,} prompts")
    rollouts = RolloutConfig(
        prompts=len(prompts),
        samples=config.n,
        reply_tokens=config.reply_tokens,
        at_a_time=config.at_a_time,
    )
    with writer_lock(out):
        directory.recover(out)
        engine = RolloutEngine(model, tokenizer, rollouts)
        try:
            sampler = BestOfNSampler(engine, tokenizer, rewards, config.seed, config.temperature)
            best = sampler.sample(prompts, out / SAMPLES_FILE, identity, watcher)
        finally:
            engine.close()
        _finish(config, prompts, best, out, watcher)
    return out


def _finish(
    config: BestOfNConfig,
    prompts: EncodedPrompts,
    best: list[BestReply],
    out: Path,
    watcher: Watcher,
) -> None:
    """Write the conversations; report figures, and what is left out."""
    figures = summarize(config.n, best)
    watcher.say(figures.message())
    if figures.n_without_choice == figures.n_prompt:
        raise RunFailed(
            f"All {config.n} replies to every prompt have the same reward, so none is better and "
            "nothing can be learned from the best ones. Use another reward, raise temperature or "
            "n, or train the model first.",
            check="no_choice",
        )
    if figures.n_without_choice:
        watcher.say(
            f"{figures.n_without_choice:,} prompts have replies of one reward only; the first "
            "reply is kept"
        )
    lowest = config.lowest_reward
    kept = [
        conversation_row(prompt, item)
        for prompt, item in zip(prompts.rows, best, strict=True)
        if item.best is not None and (lowest is None or item.reward >= lowest)
    ]
    if not kept:
        raise RunFailed(
            f"No reply can be kept: {figures.n_without_reply:,} of {len(best):,} prompts got only "
            f"empty or unfinished replies, the others none with lowest_reward = {lowest}. Raise n "
            "or reply_tokens, lower lowest_reward, or train the model first.",
            check="no_choice",
        )
    if figures.n_without_reply:
        watcher.say(
            f"left out: {figures.n_without_reply:,} prompts with only empty or unfinished replies"
        )
    n_low = len(best) - len(kept) - figures.n_without_reply
    if n_low:
        watcher.say(f"left out: {n_low:,} prompts below lowest_reward = {lowest}")
    table = asdict(figures) | {"kl_bound": figures.kl_bound, "kept": len(kept)}
    directory.write_text(out / FIGURES_FILE, json.dumps(table, indent=1))
    directory.write_text(out / REPLIES_FILE, "".join(kept))
    settings = json.dumps({"stage": config_files.to_table(config)}, indent=1)
    directory.write_text(out / run_directory.RUN_FILE, settings)
