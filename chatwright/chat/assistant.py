"""From messages to a reply: the only road. The terminal, the server and the evaluations all come through here.

A conversation is cut to the model's context (and the cut is told), rendered to ids, submitted to the engine, and its tokens
turned back into text. Many replies can be under way together: whichever is asked for its next event steps the engine, and the
others find theirs waiting. One assistant owns its engine's events; do not step the engine beside it.
"""

import secrets
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from chatwright.chat.context_window import fit
from chatwright.chat.reply_events import (
    Finished,
    Reason,
    ReplyEvent,
    TextDelta,
    ToolCalled,
    ToolReturned,
    Truncated,
    Usage,
)
from chatwright.chat.reply_stream import ReplyStream
from chatwright.conversation import Conversation, Message
from chatwright.engine.engine import Engine, EngineFull
from chatwright.engine.request import Request, RequestFinished, RequestId
from chatwright.engine.sampling import SamplingConfig
from chatwright.tokenizer.tokenizer import Tokenizer, unused_ids

__all__ = [
    "Assistant",
    "Finished",
    "Reason",
    "ReplyEvent",
    "TextDelta",
    "ToolCalled",
    "ToolReturned",
    "Tools",
    "Truncated",
    "Usage",
]

MAX_COMMANDS = 4  # in one reply; a model that goes on asking would never answer


class Tools(Protocol):
    def run(self, command: str) -> str:
        """Outside data for a command, as text. Whatever goes wrong is text too, for the model to tell of."""
        ...


class Assistant:
    def __init__(self, engine: Engine, tokenizer: Tokenizer, tools: Tools | None = None) -> None:
        if tokenizer.vocab_size > engine.vocab_size:
            raise ValueError(
                f"the tokenizer knows {tokenizer.vocab_size} ids and the model only {engine.vocab_size}: "
                "they were not made for each other. Take both from one model's directory."
            )
        self.engine, self.tokenizer, self.tools = engine, tokenizer, tools
        self._turns: dict[RequestId, _Turn] = {}

    def reply(
        self, conversation: Conversation, sampling: SamplingConfig | None = None
    ) -> Generator[ReplyEvent, None, None]:
        """The reply to a conversation, as it is made. Closing the generator cancels it."""
        sampling = _seeded(sampling)
        yield from self._drain(self._start(conversation, sampling))

    def continue_text(
        self, prompt: str, sampling: SamplingConfig | None = None
    ) -> Generator[TextDelta | Finished, None, None]:
        """What a base model writes after `prompt`, as it is made."""
        sampling = _seeded(sampling)
        token_ids = [self.tokenizer.control.bos, *self.tokenizer.encode(prompt)]
        for event in self._drain(self._submit(token_ids, sampling, None)):
            assert isinstance(event, TextDelta | Finished), (
                "plain continuation knows no commands and cuts nothing"
            )
            yield event

    def complete(self, prompt: str, sampling: SamplingConfig | None = None) -> Finished:
        """The whole continuation; its text is `message.content`."""
        *_, last = self.continue_text(prompt, sampling)
        assert isinstance(last, Finished), "the last event is always Finished"
        return last

    def stream_completion(
        self, prompt: str, sampling: SamplingConfig | None = None
    ) -> Iterator[str]:
        """The continuation's text, piece by piece."""
        return (
            event.text
            for event in self.continue_text(prompt, sampling)
            if isinstance(event, TextDelta)
        )

    def replies(
        self, conversations: Sequence[Conversation], sampling: SamplingConfig | None = None
    ) -> list[Finished]:
        """Each conversation's reply, in order: as many together as the engine has places. All get the same seed, as one alone would."""
        sampling = _seeded(sampling)
        results: dict[int, Finished] = {}
        live: dict[int, _Turn] = {}
        waiting = deque(enumerate(conversations))
        try:
            while waiting or live:
                while waiting and len(live) < self.engine.config.n_slot:
                    index, conversation = waiting.popleft()
                    live[index] = self._start(conversation, sampling)
                self._step()
                for index, turn in list(live.items()):
                    if turn.finished is not None:
                        results[index] = live.pop(index).finished or turn.finished
        finally:
            for turn in live.values():
                self._abandon(turn)
        return [results[index] for index in range(len(conversations))]

    def choices(self, conversation: Conversation, sampling: SamplingConfig) -> list[Finished]:
        """`n` replies to one conversation, the best of `best_of` where that is given. Commands are returned, not run."""
        sampling = _seeded(sampling)
        prompt = fit(
            conversation, self.tokenizer, self.engine.context_length, sampling.max_tokens
        ).token_ids
        request_id = self.engine.submit(self._request(prompt, sampling, may_command=True))
        streams = [ReplyStream(self.tokenizer, sampling, len(prompt)) for _ in range(sampling.n)]
        self._turns[request_id] = _Turn(request_id, streams, sampling, None)
        try:
            while any(stream.finished is None for stream in streams):
                self._step()
        finally:
            self._abandon(self._turns.pop(request_id))
        return [stream.finished for stream in streams if stream.finished is not None]

    def _start(self, conversation: Conversation, sampling: SamplingConfig) -> "_Turn":
        fitted = fit(conversation, self.tokenizer, self.engine.context_length, sampling.max_tokens)
        turn = self._submit(fitted.token_ids, sampling, list(conversation))
        if fitted.n_cut:
            turn.events.append(
                Truncated(fitted.n_cut, len(fitted.messages), self.engine.context_length)
            )
        return turn

    def _submit(
        self, token_ids: list[int], sampling: SamplingConfig, messages: list[Message] | None
    ) -> "_Turn":
        if sampling.n_made > 1:
            raise ValueError(
                f"n = {sampling.n}, best_of = {sampling.best_of}: only one reply is given here. Leave n and best_of out."
            )
        may_command = messages is not None
        request_id = self.engine.submit(self._request(token_ids, sampling, may_command))
        turn = _Turn(
            request_id,
            [ReplyStream(self.tokenizer, sampling, len(token_ids), may_command)],
            sampling,
            messages,
        )
        self._turns[request_id] = turn
        return turn

    def _request(
        self, token_ids: list[int], sampling: SamplingConfig, may_command: bool
    ) -> Request:
        chat_format = self.tokenizer.chat_format
        stops = {*self.tokenizer.control.all(), *(chat_format.stop_ids if chat_format else ())}
        return Request(
            token_ids,
            sampling,
            sorted(stops - {chat_format.command} if chat_format and may_command else stops),
            unused_ids(self.tokenizer),
        )

    def _drain(self, turn: "_Turn") -> Generator[ReplyEvent, None, None]:
        try:
            while True:
                while turn.events:
                    yield turn.events.popleft()
                if turn.finished is not None:
                    yield turn.finished
                    return
                self._step()
        finally:
            self._abandon(turn)

    def _abandon(self, turn: "_Turn") -> None:
        self._turns.pop(turn.request_id, None)
        self.engine.cancel(turn.request_id)

    def _step(self) -> None:
        """One step of the engine; everyone's events go to their turns."""
        for event in self.engine.step():
            turn = self._turns.get(event.request_id)
            if turn is None:
                continue
            stream = turn.streams[event.index]
            turn.events.extend(stream.take(event))
            if stream.is_stopped and len(turn.streams) == 1:
                self.engine.cancel(
                    turn.request_id
                )  # a stop text; of several replies the others still need theirs
            if isinstance(event, RequestFinished) and len(turn.streams) == 1:
                del self._turns[event.request_id]
                self._conclude(turn, stream)

    def _conclude(self, turn: "_Turn", stream: ReplyStream) -> None:
        """The engine is done with a request: the end of the reply, or outside data and another request."""
        finished = stream.finished
        assert finished is not None, "the engine said that it finished"
        turn.n_completion += finished.usage.completion_tokens
        if finished.reason == "command":
            turn.events.append(ToolCalled(finished.message.content))
            if self.tools is not None and turn.n_command < MAX_COMMANDS:
                try:
                    return self._go_on(turn, finished.message, self.tools)
                except (
                    ValueError,
                    EngineFull,
                ) as error:  # others share this step: it is this reply's end, not theirs
                    finished = replace(finished, reason="failed", error=str(error))
        turn.finished = replace(
            finished, usage=replace(finished.usage, completion_tokens=turn.n_completion)
        )

    def _go_on(self, turn: "_Turn", command: Message, tools: Tools) -> None:
        assert turn.messages is not None, "plain continuation knows no commands"
        result = tools.run(command.content)
        turn.n_command += 1
        turn.events.append(ToolReturned(command.content, result))
        turn.messages += [command, Message("result", result)]
        following = self._start(turn.messages, turn.sampling)
        turn.events.extend(following.events)
        turn.request_id, turn.streams = following.request_id, following.streams
        self._turns[turn.request_id] = turn


class _Turn:
    """A reply under way, from its first request to its end."""

    def __init__(
        self,
        request_id: RequestId,
        streams: list[ReplyStream],
        sampling: SamplingConfig,
        messages: list[Message] | None,
    ) -> None:
        self.request_id, self.streams, self.sampling, self.messages = (
            request_id,
            streams,
            sampling,
            messages,
        )
        self.events: deque[ReplyEvent] = deque()
        self.finished: Finished | None = None
        self.n_command = self.n_completion = 0


def _seeded(sampling: SamplingConfig | None) -> SamplingConfig:
    """Settings with a seed in them, so that the reply can say how to have it again."""
    sampling = sampling or SamplingConfig()
    return sampling if sampling.seed is not None else replace(sampling, seed=secrets.randbits(63))
