"""Turn the tokens that the engine samples for one reply into reply events.

The first token decides whether the reply is text or a tool call. Tags divide a text into thinking
and answer. Any other control token ends the reply, because a model that writes the marker of a user
turn would write the user's turn next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chatwright.chat.call_pieces import TextCallPieces
from chatwright.chat.reply_events import (
    Finished,
    Reason,
    ReplyEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from chatwright.chat.stream_decoder import StopWatcher, StreamDecoder
from chatwright.chat.thinking_splitter import ThinkingSplitter
from chatwright.chat.tool_call_reader import ToolCallReader
from chatwright.conversation import Message, Text, assistant_message
from chatwright.engine.messages import RequestFinished, SamplingConfig, TokenSampled
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import tool_call_message


@dataclass
class ReplyStream:
    """One reply of the engine while it is sampled."""

    tokenizer: Tokenizer
    sampling: SamplingConfig
    n_prompt_token: int
    """Number of tokens in the prompt."""
    may_call_tool: bool = True
    """False for plain continuation, where a tool call has no meaning."""
    call_id: str = "call_1"
    """Id of the tool call, if the reply is one."""
    thinking: bool | None = None
    """Whether thinking is on in the prompt; None is the model's default."""
    has_tools: bool = False
    """Whether the caller gave tools, so that calls between tags are calls and not text."""

    def __post_init__(self) -> None:
        """Start with an empty reply."""
        chat_format = self.tokenizer.chat_format if self.may_call_tool else None
        self._format = chat_format
        prefix, stops = None, self.sampling.stop
        self._splitter = ThinkingSplitter(None)
        if chat_format is not None:
            layout = chat_format.layout_for(self.thinking)
            prefix, stops = layout.reply_space, (*stops, *chat_format.stop_texts)
            self._splitter = ThinkingSplitter(chat_format.thinking_tags, layout.opens_thinking)
        self._reader: ToolCallReader | None = None
        if self.has_tools and chat_format is not None and chat_format.tools is not None:
            first_call = int(self.call_id.removeprefix("call_"))
            self._reader = ToolCallReader(chat_format.tools, first_call)
        self._pieces = TextCallPieces()
        self._decoder = StreamDecoder(self.tokenizer, self.may_call_tool, prefix)
        self._watcher = StopWatcher(stops)
        self._thinking = ""
        self._text = ""
        self._stopped_by = ""
        self._new_tokens: list[TokenSampled] = []
        self.token_ids: list[int] = []
        self._sum_log_prob = 0.0
        self.is_tool_call = False
        self.finished: Finished | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the text is complete although the engine has not ended the request yet."""
        return bool(self._stopped_by) and self.finished is None

    def take(self, event: TokenSampled | RequestFinished) -> Iterator[ReplyEvent]:
        """Yield the reply events that one event of the engine causes.

        `Finished` is not among them; read it from `finished`.
        """
        if self.finished is not None or (self._stopped_by and isinstance(event, TokenSampled)):
            return
        if isinstance(event, RequestFinished):
            yield from self._finish(event)
        else:
            yield from self._take_token(event)

    def _take_token(self, event: TokenSampled) -> Iterator[ReplyEvent]:
        self.token_ids.append(event.token_id)
        self._sum_log_prob += event.log_prob
        self._new_tokens.append(event)
        if self._is_tool_call(event.token_id):
            self.is_tool_call = True
        elif self._reader is not None and event.token_id in self._reader.tag_ids:
            # The text before the tag ends here.
            yield from self._add(*self._splitter.push(self._decoder.finish()))
            yield from self._add(*self._splitter.finish())
            self._reader.take_tag(event.token_id)
        elif (name := self._stop_name(event.token_id)) is not None:
            self._stopped_by = name
        else:
            text = self._decoder.push_bytes(self._bytes_of(event.token_id))
            yield from self._add(*self._splitter.push(text))

    def _is_tool_call(self, token_id: int) -> bool:
        is_first = len(self.token_ids) == 1
        return is_first and self._format is not None and token_id == self._format.tool_call

    def _stop_name(self, token_id: int) -> str | None:
        """Return the name of a token that ends the reply; None for any other."""
        if self._format is not None:
            if token_id in self._format.thinking_ids:
                return None
            if token_id in self._format.stop_ids and not self.tokenizer.control.name_of(token_id):
                return self.tokenizer.token_bytes(token_id).decode("utf-8", errors="replace")
        return self.tokenizer.control.name_of(token_id)

    def _bytes_of(self, token_id: int) -> bytes:
        if self._format is not None and token_id in self._format.thinking_ids:
            return self._format.thinking_ids[token_id].encode()
        return self.tokenizer.token_bytes(token_id)

    def _add(self, thinking: str, answer: str) -> Iterator[ReplyEvent]:
        if thinking:
            self._thinking += thinking
            yield ThinkingDelta(thinking, self._take_new_tokens())
        deltas: list[ToolCallDelta] = []
        if self._reader is not None:
            answer = self._reader.push(answer)
            deltas = self._reader.take_deltas()
        text = self._watcher.push(answer)
        self._stopped_by = self._watcher.found
        if deltas:  # no text follows a call, so none can complete a stop text
            text += self._watcher.finish()
        yield from self._add_answer(text)
        if not self._stopped_by:
            yield from deltas

    def _add_answer(self, text: str) -> Iterator[ReplyEvent]:
        self._text += text
        if text and not self.is_tool_call:
            yield TextDelta(text, self._take_new_tokens())
        elif text and self.has_tools and (piece := self._pieces.next_piece(self._text)):
            yield ToolCallDelta(0, self._pieces.name, piece)

    def _take_new_tokens(self) -> tuple[TokenSampled, ...]:
        tokens = tuple(self._new_tokens)
        self._new_tokens = []
        return tokens

    def _finish(self, event: RequestFinished) -> Iterator[ReplyEvent]:
        if not self._watcher.found:
            stopped_by = self._stopped_by
            yield from self._add(*self._splitter.push(self._decoder.finish()))
            yield from self._add(*self._splitter.finish())
            if self._reader is not None:
                yield from self._add_answer(self._watcher.push(self._reader.finish()))
            yield from self._add_answer(self._watcher.finish())
            self._stopped_by = self._watcher.found or stopped_by
        reason: Reason = event.reason
        # At a stop text the assistant canceled the request; for the caller this is a stop, too.
        if self._stopped_by:
            has_call = self.is_tool_call or bool(self._reader and self._reader.calls)
            reason = "tool_call" if has_call else "stop"
        self.finished = Finished(
            reason,
            Usage(self.n_prompt_token, len(self.token_ids), event.n_cached),
            self._message(),
            self.sampling.seed,
            self._stopped_by,
            self._sum_log_prob / max(len(self.token_ids), 1),
            event.error,
            tuple(self._new_tokens),
        )

    def _message(self) -> Message:
        if self.is_tool_call:
            return tool_call_message(self._text, self.call_id)
        message = assistant_message(self._thinking, self._text)
        if self._reader is None or not self._reader.calls:
            return message
        parts = [part for part in message.parts if part != Text("")]
        return Message("assistant", (*parts, *self._reader.calls))
