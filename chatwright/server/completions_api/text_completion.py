"""Collect the events of continued texts and write them as JSON of /v1/completions.

The field `chatwright` of the response is not part of the OpenAI API. It holds `seed`, `seeds` (the
seed of each choice) and `model`, as in `completion.py`. Log-probabilities are the model's own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.chat.reply_events import CompletionEvent, Finished, TextDelta
from chatwright.engine.messages import MAX_SEED, PromptScored
from chatwright.server.completions_api.best_of import best_of
from chatwright.server.completions_api.text_log_probs import TextLogProbs
from chatwright.server.completions_api.text_request import Prompt, TextRequest
from chatwright.server.errors import ApiError
from chatwright.server.replies.pending_reply import Served
from chatwright.server.replies.reply_receipt import receipt_of


@dataclass
class Choice:
    """The state of one continuation."""

    prompt: Prompt
    seed: int
    log_probs: TextLogProbs
    text: str = ""
    tokens: list[dict[str, Any]] = field(default_factory=list)
    finished: Finished | None = None
    receipt: dict[str, Any] = field(default_factory=dict)

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability of the sampled tokens."""
        assert self.finished is not None, "the best are chosen after the last event"
        return self.finished.mean_log_prob


class TextCompletion:
    """The response to one request. Each prompt has `n_generated` continuations in a row."""

    def __init__(self, request: TextRequest, served: Served, prompts: Sequence[Prompt]) -> None:
        """Prepare the response of the model `served`; draw a seed if the request has none."""
        self.request = request
        self.prompts = prompts
        self.id = f"cmpl-{secrets.token_hex(16)}"
        self.created = int(time.time())
        self.seed = request.first_seed()
        self.identity = served.identity
        self.fingerprint = served.identity.fingerprint
        self._began = time.monotonic()
        tokenizer = served.assistant.tokenizer
        every = [prompt for prompt in prompts for _ in range(request.n_generated)]
        self.choices = [
            Choice(prompt, (self.seed + index) % (MAX_SEED + 1), TextLogProbs(tokenizer))
            for index, prompt in enumerate(every)
        ]
        self.model = {"number": served.number, "description": served.description}

    def opening_chunks(self) -> Iterator[dict[str, Any]]:
        """Yield the chunk that begins each choice."""
        notes = self._notes(self.choices)
        for index, choice in enumerate(self.choices):
            text = self._begin(choice)
            yield self._chunk(index, text, chatwright=notes)

    def chunks(self, index: int, event: CompletionEvent) -> Iterator[dict[str, Any]]:
        """Store an event of continuation `index` and yield its chunks for a streaming client.

        Read the iterator to its end, or the event is stored in part only.
        """
        choice = self.choices[index]
        match event:
            case PromptScored():
                n_added = choice.prompt.n_added
                tokens = choice.log_probs.prompt(choice.prompt.token_ids, event.scores, n_added)
                choice.tokens += tokens
                yield self._chunk(index, choice.prompt.text, tokens)
            case TextDelta():
                is_shown = self.request.logprobs is not None
                tokens = choice.log_probs.sampled(event.tokens) if is_shown else []
                choice.text += event.text
                choice.tokens += tokens
                yield self._chunk(index, event.text, tokens)
            case Finished():
                if event.reason not in ("stop", "length"):
                    message = event.error or f"the reply ended early ({event.reason})"
                    raise ApiError(500, message, code="reply_failed")
                choice.finished = event
                receipt = receipt_of(self.identity, event, time.monotonic() - self._began)
                choice.receipt = receipt.to_json(self.request.receipt)
                notes = {"receipts": [{"index": index, **choice.receipt}]}
                yield self._chunk(index, "", reason=event.reason, chatwright=notes)

    def usage_chunk(self) -> dict[str, Any]:
        """Return the last chunk, which holds only the token counts."""
        return {**self._head(), "choices": [], "usage": self._usage()}

    def to_json(self) -> dict[str, Any]:
        """Return the body of a response that is not streamed."""
        best = self._best()
        return {
            **self._head(),
            "choices": [self._whole(index, choice) for index, choice in enumerate(best)],
            "usage": self._usage(),
            "chatwright": {**self._notes(best), "receipts": [choice.receipt for choice in best]},
        }

    def _begin(self, choice: Choice) -> str:
        """Return the echo of the prompt, unless it comes later with its log-probabilities."""
        is_echoed = self.request.echo and not self.request.scores_prompt
        return choice.prompt.text if is_echoed else ""

    def _best(self) -> list[Choice]:
        """Return the n continuations of each prompt with the highest mean log-probability."""
        best: list[Choice] = []
        n_generated = self.request.n_generated
        for start in range(0, len(self.choices), n_generated):
            best += best_of(self.choices[start : start + n_generated], self.request.n)
        return best

    def _whole(self, index: int, choice: Choice) -> dict[str, Any]:
        assert choice.finished is not None, "the response is written after the last event"
        return {
            "index": index,
            "text": (choice.prompt.text if self.request.echo else "") + choice.text,
            "logprobs": self._log_probs(choice.tokens),
            "finish_reason": choice.finished.reason,
        }

    def _chunk(
        self,
        index: int,
        text: str,
        tokens: Sequence[dict[str, Any]] = (),
        reason: str | None = None,
        **extra: Any,
    ) -> dict[str, Any]:
        choice = {
            "index": index,
            "text": text,
            "logprobs": self._log_probs(tokens) if tokens else None,
            "finish_reason": reason,
        }
        return {**self._head(), "choices": [choice], **extra}

    def _log_probs(self, tokens: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """Return lists with one entry per token; None if the client did not ask for them."""
        if self.request.logprobs is None:
            return None
        names = {
            "tokens": "token",
            "token_logprobs": "log_prob",
            "top_logprobs": "top",
            "text_offset": "offset",
        }
        if self.request.return_token_ids:
            names["content"] = "content"
        return {name: [token[key] for token in tokens] for name, key in names.items()}

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.request.model,
            "system_fingerprint": self.fingerprint,
        }

    def _notes(self, choices: Sequence[Choice]) -> dict[str, Any]:
        seeds = [choice.seed for choice in choices]
        return {"seed": self.seed, "seeds": seeds, "model": self.model}

    def _usage(self) -> dict[str, int]:
        prompt = sum(len(prompt.token_ids) for prompt in self.prompts)
        ends = [choice.finished for choice in self.choices if choice.finished is not None]
        completion = sum(finished.usage.completion_tokens for finished in ends)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
