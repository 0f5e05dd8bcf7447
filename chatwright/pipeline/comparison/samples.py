"""Several sampled replies of a model to each prompt, kept in a file.

The seed of a reply depends on the prompt and the number of the sample, so a reply does not depend
on the other prompts. Two models that give a prompt the same probabilities give equal replies. A
reply that is already kept is not sampled again.
"""

import hashlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.chat.assistant import Assistant
from chatwright.chat.context_window import ConversationTooLong, fit_to_context
from chatwright.chat.reply_events import Finished
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.readers.feedback_json import message_from_json, message_to_json
from chatwright.data.rows import Location, PromptRow
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT
from chatwright.model.setting_checks import require_at_least
from chatwright.pipeline.comparison.model_hash import model_hash
from chatwright.pipeline.content_hash import hash_json

N_SLOT = 32
"""Replies generated together."""
N_KEPT_TOGETHER = 64
"""Replies that are sampled before they are kept."""


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How replies are sampled."""

    samples: int = 4
    """Replies to each prompt."""
    temperature: float = 0.8
    """Divisor of the logits; 0 gives the same reply each time."""
    max_tokens: int = 200
    """Longest reply, in tokens; at most half of the model's context."""
    seed: int = 0
    """Seed of all random numbers."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "samples", "max_tokens")


@dataclass(frozen=True)
class SampledReply:
    """A reply of a model."""

    message: Message
    n_token: int
    """Sampled tokens, the stop token included."""
    reason: str
    """Why the reply ended: "stop", "length" or "tool_call"."""


Replies = list[list[SampledReply]]
"""Replies by prompt and by number of the sample; none to a prompt that the model cannot read."""


def sample_replies(
    directory: Path,
    prompts: Sequence[PromptRow],
    config: SampleConfig,
    kept: MutableMapping[str, Any],
    say: Callable[[str], None] = lambda _: None,
) -> Replies:
    """Return the replies of the model in a directory; load it only if some are not kept yet.

    A prompt that leaves no room for a reply in the model's context gets no replies.
    """
    model_id = model_hash(directory)
    keys = {
        (i, k): reply_key(model_id, prompt, config, k)
        for i, prompt in enumerate(prompts)
        for k in range(config.samples)
    }
    missing = [place for place, key in keys.items() if key not in kept]
    if missing:
        say(
            f"{directory}: sampling {len(missing):,} replies, {len(keys) - len(missing):,} are kept"
        )
        model, tokenizer = model_directory.load(directory)
        with open_engine(model, len(missing)) as engine:
            assistant = Assistant(engine, tokenizer)
            for start in range(0, len(missing), N_KEPT_TOGETHER):
                some = missing[start : start + N_KEPT_TOGETHER]
                replies = _sample(assistant, model, prompts, some, config)
                for place, reply in zip(some, replies, strict=True):
                    kept[keys[place]] = None if reply is None else _to_json(reply)
    return [
        [_from_json(value) for k in range(config.samples) if (value := kept[keys[i, k]])]
        for i in range(len(prompts))
    ]


def open_engine(model: GPT, n_reply: int) -> Engine:
    """Open an engine for so many replies."""
    return Engine(model, EngineConfig(n_slot=min(N_SLOT, n_reply), max_waiting_tokens=2**40))


def _sample(
    assistant: Assistant,
    model: GPT,
    prompts: Sequence[PromptRow],
    places: Sequence[tuple[int, int]],
    config: SampleConfig,
) -> list[SampledReply | None]:
    """Return a reply for each (prompt, number); None if the prompt is too long."""
    max_tokens = min(config.max_tokens, model.config.context_length // 2)
    fits = {i: _fits(assistant, prompts[i], max_tokens) for i, _ in places}
    sampling = [
        SamplingConfig(
            temperature=config.temperature,
            max_tokens=max_tokens,
            seed=reply_seed(config.seed, prompts[i], k),
        )
        for i, k in places
        if fits[i]
    ]
    messages = [prompts[i].messages for i, _ in places if fits[i]]
    finished = iter(assistant.replies(messages, sampling))
    return [_sampled(next(finished)) if fits[i] else None for i, _ in places]


def _fits(assistant: Assistant, prompt: PromptRow, max_tokens: int) -> bool:
    """Whether the model can read the last exchange of a prompt and reply."""
    context_length = assistant.engine.context_length
    try:
        fit_to_context(prompt.messages, assistant.tokenizer, context_length, max_tokens)
    except ConversationTooLong:
        return False
    return True


def _sampled(reply: Finished) -> SampledReply:
    return SampledReply(reply.message, reply.usage.completion_tokens, reply.reason)


def reply_seed(seed: int, prompt: PromptRow, number: int) -> int:
    """Return the seed of one reply, a number of 63 bits."""
    digest = hashlib.sha256(f"{seed} {number} {_identity(prompt)}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def reply_key(model_id: str, prompt: PromptRow, config: SampleConfig, number: int) -> str:
    """Return the key under which a reply is kept: a hash of everything it depends on."""
    sampling = [config.temperature, config.max_tokens, config.seed]
    return hash_json(["reply", model_id, _identity(prompt), sampling, number])


def _identity(prompt: PromptRow) -> str:
    return hash_json([message_to_json(message) for message in prompt.messages])


def _to_json(reply: SampledReply) -> dict[str, Any]:
    return {
        "message": message_to_json(reply.message),
        "n_token": reply.n_token,
        "reason": reply.reason,
    }


def _from_json(value: Mapping[str, Any]) -> SampledReply:
    message = message_from_json(value["message"], Location("kept replies"))
    return SampledReply(message, value["n_token"], value["reason"])
