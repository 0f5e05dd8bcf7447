"""Sample several replies to each prompt and keep the best one by a reward.

The kept replies are conversations for fine-tuning: best-of-n distillation. Empty replies and those
that reached the length limit are never kept, because they would teach replies that end anywhere.
Every finished group of prompts is written to samples.jsonl at once, so that an interrupted run
samples only the rest.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.conversation import Message
from chatwright.data.encoded.prompts import EncodedPrompts
from chatwright.data.readers.feedback_json import message_to_json
from chatwright.data.rows import PromptRow
from chatwright.durable_file import sync_open_file
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import ANSWERS, turn_kind
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.training.checks import RunFailed
from chatwright.training.reward_sources import Rewards
from chatwright.training.rollouts import Rollout, RolloutEngine
from chatwright.training.watcher import Watcher

SAMPLES_FILE = "samples.jsonl"
PROMPTS_AT_ONCE = 16
"""Prompts that are sampled together, and whose replies are lost together by a kill."""


@dataclass(frozen=True)
class BestReply:
    """The best reply to one prompt, and the rewards of all."""

    reply: dict[str, Any]
    """The message, as JSON; empty if no reply can be kept."""
    best: int | None
    """Its index; of equally good replies the first. None if no reply can be kept."""
    rewards: list[float]
    """The rewards of all replies to the prompt."""
    tokens: list[int]
    """Their numbers of tokens."""

    @property
    def reward(self) -> float:
        """The reward of the best reply; -inf without one."""
        return -math.inf if self.best is None else self.rewards[self.best]


@dataclass(frozen=True)
class BestOfN:
    """Mean figures over the prompts."""

    n: int
    n_prompt: int
    reward: float
    """Of all replies, as expected of one."""
    best_reward: float
    tokens: float
    best_tokens: float
    n_without_choice: int
    """Prompts whose replies all have the same reward."""
    n_without_reply: int
    """Prompts of which no reply can be kept; their best reply is not in the means."""

    @property
    def kl_bound(self) -> float:
        """Largest KL divergence of the best of n replies from the model, in nats per reply.

        log n - (n - 1) / n: Stiennon et al. 2020, appendix G.3. Beirami et al. 2024 show that it is
        an upper bound, which ties and repeated replies do not reach.
        """
        return math.log(self.n) - (self.n - 1) / self.n

    def message(self) -> str:
        """Return the figures in words."""
        return (
            f"mean reward {self.reward:.4f} of all replies, {self.best_reward:.4f} of the best of "
            f"{self.n}; mean tokens {self.tokens:.1f} and {self.best_tokens:.1f}; the best replies "
            f"are at most {self.kl_bound:.3f} nats from the model (log n - (n-1)/n)"
        )


def summarize(n: int, best: Sequence[BestReply]) -> BestOfN:
    """Return the mean figures of the best replies to all prompts."""
    count = len(best)
    kept = [(item, item.best) for item in best if item.best is not None]
    n_kept = max(len(kept), 1)
    return BestOfN(
        n=n,
        n_prompt=count,
        reward=sum(sum(item.rewards) for item in best) / (count * n),
        best_reward=sum(item.rewards[index] for item, index in kept) / n_kept,
        tokens=sum(sum(item.tokens) for item in best) / (count * n),
        best_tokens=sum(item.tokens[index] for item, index in kept) / n_kept,
        n_without_choice=sum(len(set(item.rewards)) == 1 for item in best),
        n_without_reply=count - len(kept),
    )


class BestOfNSampler:
    """Samples and scores replies, a group of prompts at a time."""

    def __init__(
        self,
        engine: RolloutEngine,
        tokenizer: Tokenizer,
        rewards: Rewards,
        seed: int,
        temperature: float,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.rewards = rewards
        self.seed = seed
        self.temperature = temperature

    def sample(
        self, prompts: EncodedPrompts, path: Path, identity: str, watcher: Watcher
    ) -> list[BestReply]:
        """Return the best reply to each prompt; continue `path`, where finished ones are kept.

        Raises InputError if the samples in `path` are of other prompts, weights or settings.
        """
        done = read_samples(path, identity)
        if len(done) < len(prompts):  # a group that a kill cut short is sampled again
            done = done[: len(done) - len(done) % PROMPTS_AT_ONCE]
        if done:
            watcher.say(f"{len(done):,} of {len(prompts):,} prompts are already sampled")
        _rewrite(path, identity, done)
        with path.open("a", encoding="utf-8", newline="\n") as file:
            for start in range(len(done), len(prompts), PROMPTS_AT_ONCE):
                part = slice(start, start + PROMPTS_AT_ONCE)
                found = self._sample_group(
                    prompts.rows[part], prompts.token_ids[part], start // PROMPTS_AT_ONCE
                )
                file.write("".join(_line(vars(item)) for item in found))
                sync_open_file(file)
                done += found
                watcher.activity(f"sampled {len(done):,} of {len(prompts):,} prompts")
        return done

    def _sample_group(
        self, rows: Sequence[PromptRow], token_ids: Sequence[Sequence[int]], group: int
    ) -> list[BestReply]:
        n = self.engine.config.samples
        groups = self.engine.sample(token_ids, n, self.seed, group, self.temperature)
        replies = [rollout for rollouts in groups for rollout in rollouts]
        totals = self.rewards.scores([row for row in rows for _ in range(n)], replies).total
        return [
            self._best(rollouts, totals[index * n : (index + 1) * n])
            for index, rollouts in enumerate(groups)
        ]

    def _best(self, rollouts: Sequence[Rollout], rewards: list[float]) -> BestReply:
        if not all(map(math.isfinite, rewards)):
            raise RunFailed("A reward is not a finite number.", check="finite")
        messages = [rollout.message(self.tokenizer) for rollout in rollouts]
        usable = [
            index
            for index, message in enumerate(messages)
            if rollouts[index].reason == "stop" and message_text(message).strip()
        ]
        best = max(usable, key=lambda index: rewards[index], default=None)
        reply = {} if best is None else message_to_json(messages[best])
        tokens = [len(rollout.reply_ids) for rollout in rollouts]
        return BestReply(reply, best, rewards, tokens)


def read_samples(path: Path, identity: str) -> list[BestReply]:
    """Return the finished prompts in a file of samples; a torn last line is left out.

    Raises InputError if the file belongs to another `identity`.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    if not lines:
        return []
    if json.loads(lines[0]) != {"identity": identity}:
        raise InputError(
            f"{path}: these replies were sampled from other prompts, weights or settings.",
            remedy="Give another --out directory, or the earlier settings.",
            field="--out",
            value=str(path.parent),
        )
    return [BestReply(**json.loads(line)) for line in lines[1:]]


def _rewrite(path: Path, identity: str, done: Sequence[BestReply]) -> None:
    """Write the header and the finished prompts, without what a kill left behind."""
    lines = [_line({"identity": identity}), *(_line(vars(item)) for item in done)]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def conversation_row(prompt: PromptRow, best: BestReply) -> str:
    """Return the line of a conversation that teaches the best reply, and no earlier one."""
    messages = [_context(message) for message in prompt.messages]
    return _line({"messages": [*messages, best.reply], "reward": best.reward})


def _context(message: Message) -> dict[str, Any]:
    is_answer = turn_kind(message) in ANSWERS
    return message_to_json(message) | ({"weight": 0} if is_answer else {})
