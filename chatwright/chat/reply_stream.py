"""Turn the tokens that the engine samples for one reply into reply events.

The first token decides whether the reply is text or a tool call. Any other control token ends the
reply, because a model that writes the marker of a user turn would write the user's turn next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chatwright.chat.reply_events import Finished, Reason, ReplyEvent, TextDelta, Usage
from chatwright.chat.stream_decoder import StopWatcher, StreamDecoder
from chatwright.conversation import Message
from chatwright.engine.request import Event, RequestFinished, TokenSampled
from chatwright.engine.sampling import SamplingConfig
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import tool_call_message


@dataclass
class ReplyStream:
    """One reply of the engine while it is sampled."""

    tokenizer: Tokenizer
    sampling: SamplingConfig
    n_prompt: int
    """Number of tokens in the prompt."""
    may_call_tool: bool = True
    """False for plain continuation, where a tool call has no meaning."""
    call_id: str = "call_1"
    """Id of the tool call, if the reply is one."""

    def __post_init__(self) -> None:
        """Start with an empty reply."""
        self._decoder = StreamDecoder(self.tokenizer, is_opening=self.may_call_tool)
        self._watcher = StopWatcher(self.sampling.stop)
        chat_format = self.tokenizer.chat_format if self.may_call_tool else None
        self._tool_call_id = None if chat_format is None else chat_format.tool_call
        self._text = ""
        self._stopped_by = ""
        self._new_tokens: list[TokenSampled] = []
        self._n_token = 0
        self._sum_log_prob = 0.0
        self.is_tool_call = False
        self.finished: Finished | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the text is complete although the engine has not ended the request yet."""
        return bool(self._stopped_by) and self.finished is None

    def take(self, event: Event) -> Iterator[ReplyEvent]:
        """Yield the reply events that one event of the engine causes.

        `Finished` is not among them; read it from `finished`.
        """
        if self.finished is not None or (self._stopped_by and isinstance(event, TokenSampled)):
            return
        if isinstance(event, RequestFinished):
            yield from self._finish(event)
        else:
            yield from self._take_token(event)

    def _take_token(self, event: TokenSampled) -> Iterator[TextDelta]:
        self._n_token += 1
        self._sum_log_prob += event.log_prob
        self._new_tokens.append(event)
        if event.token_id == self._tool_call_id and self._n_token == 1:
            self.is_tool_call = True
        elif (name := self.tokenizer.control.name_of(event.token_id)) is not None:
            self._stopped_by = name
        else:
            text = self._watcher.push(self._decoder.push(event.token_id))
            self._stopped_by = self._watcher.found
            yield from self._add(text)

    def _add(self, text: str) -> Iterator[TextDelta]:
        self._text += text
        if text and not self.is_tool_call:  # a tool call is reported when it is complete
            tokens = tuple(self._new_tokens)
            self._new_tokens = []
            yield TextDelta(text, tokens)

    def _finish(self, event: RequestFinished) -> Iterator[TextDelta]:
        if not self._watcher.found:
            rest = self._watcher.push(self._decoder.finish()) + self._watcher.finish()
            yield from self._add(rest)
        reason: Reason = event.reason
        # At a stop text the assistant canceled the request; for the caller this is a stop, too.
        if self._stopped_by:
            reason = "tool_call" if self.is_tool_call else "stop"
        self.finished = Finished(
            reason,
            Usage(self.n_prompt, self._n_token),
            self._message(),
            self.sampling.seed,
            self._stopped_by,
            self._sum_log_prob / max(self._n_token, 1),
            event.error,
            tuple(self._new_tokens),
        )

    def _message(self) -> Message:
        if self.is_tool_call:
            return tool_call_message(self._text, self.call_id)
        return Message("assistant", self._text)
