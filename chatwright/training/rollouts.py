"""Rollouts: replies that the model in training writes itself, with their log-probabilities.

One engine is opened once per run. It packs a copy of the weights, so the model can be trained in
between; `refresh` packs the weights as they are then. A reply depends on the weights, the prompt
and its seed alone. The seed is made of (run seed, batch, index of the prompt in the batch, index of
the reply). So a resumed run samples the same replies, in any order and beside any others.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from chatwright.conversation import Message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import (
    PromptScored,
    Request,
    RequestId,
    SamplingConfig,
    TokenSampled,
)
from chatwright.engine.packed_model import shared_copy
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.tokenizer.chat_template import format_of
from chatwright.tokenizer.read_reply import read_reply, reply_stop_ids
from chatwright.tokenizer.tokenizer import Tokenizer, unused_ids
from chatwright.training.checks import RunFailed
from chatwright.training.setting_checks import require_setting


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How replies are sampled for training. They are drawn from the model's own distribution."""

    prompts: int = 8
    """Prompts in one batch of rollouts."""
    samples: int = 8
    """Replies to each prompt."""
    reply_tokens: int = 128
    """Longest reply, in tokens."""
    at_a_time: int = 64
    """Largest number of replies that are sampled together."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "rollouts")
        require("prompts", self.prompts >= 1, "must be at least 1")
        require("samples", self.samples >= 1, "must be at least 1")
        require("reply_tokens", self.reply_tokens >= 1, "must be at least 1")
        require("at_a_time", self.at_a_time >= 1, "must be at least 1")


@dataclass(frozen=True)
class Rollout:
    """One reply that the model wrote to a prompt."""

    prompt_ids: Sequence[int]
    reply_ids: Sequence[int]
    """The reply, with the token that ended it."""
    log_probs: Sequence[float]
    """Log-probability of each token of the reply, as the engine computed it."""
    reason: Literal["stop", "length"]
    """Why the reply ended: the model ended it, or it reached the length limit."""

    def message(self, tokenizer: Tokenizer) -> Message:
        """Return the reply as a message."""
        return read_reply(self.reply_ids, tokenizer)


class RolloutEngine:
    """Samples replies from a model that is being trained."""

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        config: RolloutConfig,
        longest_prompt: int | None = None,
    ) -> None:
        """Open an engine beside the model.

        Args:
            model: The model in training, on its device. Its parameters are shared, not copied.
            tokenizer: The model's tokenizer, with a chat format.
            config: How replies are sampled.
            longest_prompt: Tokens of the longest prompt, which makes short texts faster. Default:
                what the model's context leaves. The log-probabilities' last bits depend on it.

        Raises:
            InputError: The cache does not fit in memory, or replies of this model have no end.
        """
        if not format_of(tokenizer).stop_ids:
            raise InputError(
                "The chat format of this model ends replies with a text, not with a token, so it "
                "cannot learn from its own replies.",
                remedy="Fine-tune it first: the new format has an end token.",
                field="chat_format",
            )
        self.config = config
        self.stop_ids = reply_stop_ids(tokenizer)
        self.banned_ids = unused_ids(tokenizer)
        context_length = None
        if longest_prompt is not None:
            context_length = longest_prompt + config.reply_tokens
        self.engine = Engine(
            shared_copy(model),
            EngineConfig(
                n_slot=min(config.at_a_time, config.prompts * config.samples),
                context_length=context_length,
                short_blocks=True,
                prefill_tokens=1024,
                max_waiting=1_000_000,
                max_waiting_tokens=1_000_000_000,
            ),
        )

    def refresh(self) -> None:
        """Sample from the model's weights as they are now."""
        self.engine.refresh()

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        seed: int,
        batch: int,
        temperature: float = 1.0,
    ) -> list[list[Rollout]]:
        """Return `n` replies to each prompt.

        Args:
            prompts: Token ids; each leaves room for `reply_tokens` in the model's context.
            n: Replies to each prompt.
            seed: Seed of the run.
            batch: Number of this batch in the run; other batches draw other random numbers.
            temperature: Divisor of the logits; 0 takes the most probable tokens. The
                log-probabilities are always those at temperature 1.

        Raises:
            RunFailed: A reply could not be computed, because the weights are damaged.
        """
        requests = {
            self.engine.submit(
                Request(
                    tuple(prompt),
                    SamplingConfig(
                        seed=rollout_seed(seed, batch, index),
                        n=n,
                        max_tokens=self.config.reply_tokens,
                        temperature=temperature,
                    ),
                    self.stop_ids,
                    self.banned_ids,
                )
            ): prompt
            for index, prompt in enumerate(prompts)
        }
        return self._collect(requests, n)

    def _collect(self, requests: dict[RequestId, Sequence[int]], n: int) -> list[list[Rollout]]:
        tokens: dict[tuple[RequestId, int], list[TokenSampled]] = {
            (request, index): [] for request in requests for index in range(n)
        }
        reasons: dict[tuple[RequestId, int], Literal["stop", "length"]] = {}
        while self.engine.has_work:
            for event in self.engine.step():
                key = (event.request_id, event.index)
                if isinstance(event, TokenSampled):
                    tokens[key].append(event)
                elif isinstance(event, PromptScored):
                    pass  # no rollout asks for it
                elif event.reason == "stop" or event.reason == "length":
                    reasons[key] = event.reason
                else:
                    self.close()
                    raise RunFailed(f"A reply could not be sampled: {event.error}", check="rollout")
        return [
            [
                Rollout(
                    prompt,
                    [event.token_id for event in tokens[request, index]],
                    [event.log_prob for event in tokens[request, index]],
                    reasons[request, index],
                )
                for index in range(n)
            ]
            for request, prompt in requests.items()
        ]

    def close(self) -> None:
        """Give the packed weights and the cache back."""
        self.engine.close()


def rollout_seed(seed: int, batch: int, prompt: int) -> int:
    """Return the seed of the replies to one prompt; the replies differ by their index."""
    digest = hashlib.sha256(f"rollouts {seed} {batch} {prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
