"""Sample several replies to each prompt, to be ranked.

    collect(assistant, weights, prompts, CollectConfig(n_reply=2))  -> one `Candidates` a prompt

The seed of a prompt's replies is derived from the run's seed, the number of the prompt and the
number of the attempt. So the replies do not depend on how many prompts are collected together.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.chat.assistant import Assistant
from chatwright.conversation import Message
from chatwright.data.preferences import RatedReply
from chatwright.engine.messages import SamplingConfig
from chatwright.model.setting_checks import require_at_least
from chatwright.tokenizer.tool_call_text import message_text


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """How replies are sampled."""

    n_reply: int = 2
    """Number of replies to each prompt."""
    temperature: float = 0.8
    """Temperature of the sampling; at low values most replies are equal."""
    max_tokens: int = 96
    """Longest reply, in tokens."""
    n_attempt: int = 4
    """How often a reply is sampled until it differs from the others."""
    seed: int = 0
    """Seed of the sampling."""

    def __post_init__(self) -> None:
        require_at_least(self, 2, "n_reply")
        require_at_least(self, 1, "n_attempt", "max_tokens")


@dataclass(frozen=True)
class Candidates:
    """A prompt and the replies to it, in the order of the sampling."""

    prompt: tuple[Message, ...]
    replies: tuple[RatedReply, ...]

    @property
    def are_different(self) -> bool:
        """Whether no two replies have the same text."""
        texts = [message_text(reply.message) for reply in self.replies]
        return len(set(texts)) == len(texts)

    def without_equal(self) -> "Candidates":
        """Return the prompt with its different replies, each once."""
        by_text: dict[str, RatedReply] = {}
        for reply in self.replies:
            by_text.setdefault(message_text(reply.message), reply)
        return Candidates(self.prompt, tuple(by_text.values()))


def sample_seed(seed: int, prompt: int, attempt: int) -> int:
    """Return the seed of an attempt: a hash of the run's seed and the two numbers, 63 bits."""
    digest = hashlib.sha256(f"collect {seed} {prompt} {attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _sampling(config: CollectConfig, prompt: int, attempt: int, n: int) -> SamplingConfig:
    return SamplingConfig(
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=sample_seed(config.seed, prompt, attempt),
        n=n,
    )


def collect(
    assistant: Assistant,
    weights: str,
    prompts: Sequence[tuple[Message, ...]],
    config: CollectConfig,
    first: int = 0,
) -> list[Candidates]:
    """Sample replies to each prompt; a reply equal to another one is sampled again.

    Args:
        assistant: The model that replies.
        weights: SHA-256 of its weights, which each reply keeps.
        prompts: The conversations to reply to.
        config: How to sample.
        first: Number of the first prompt, if the prompts are collected in several calls.
    """
    texts: list[list[Message | None]] = [[None] * config.n_reply for _ in prompts]
    for attempt in range(config.n_attempt):
        missing = {i: numbers for i, row in enumerate(texts) if (numbers := _equal_or_missing(row))}
        if not missing:
            break
        replies = assistant.choices_of(
            [prompts[i] for i in missing],
            [_sampling(config, first + i, attempt, len(missing[i])) for i in missing],
        )
        for (i, numbers), sampled in zip(missing.items(), replies, strict=True):
            for k, reply in zip(numbers, sampled, strict=True):
                texts[i][k] = reply.message
    return [
        Candidates(prompt, tuple(RatedReply(m, weights) for m in row if m is not None))
        for prompt, row in zip(prompts, texts, strict=True)
    ]


def _equal_or_missing(row: Sequence[Message | None]) -> list[int]:
    """Return the numbers of the replies that are missing or equal to an earlier one."""
    seen: set[str] = set()
    numbers = []
    for k, message in enumerate(row):
        text = None if message is None else message_text(message)
        if text is None or text in seen:
            numbers.append(k)
        else:
            seen.add(text)
    return numbers
