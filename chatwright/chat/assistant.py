"""Reply to conversations, and continue texts, with one model.

The terminal, the server and the evaluations all reply through `Assistant`. It shortens the
conversation to the model's context, renders it as token ids, submits them to the engine and decodes
the sampled tokens. Several replies can be live at once: asking one for its next event steps the
engine for all. An assistant reads all events of its engine, so do not step the engine elsewhere;
assistants for its adapters come from `with_adapter` and share the events.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from copy import copy
from dataclasses import replace

from chatwright.chat.context_window import FittedConversation, fit_to_context
from chatwright.chat.live_reply import LiveReply
from chatwright.chat.receipt import AnsweredRequest
from chatwright.chat.reply_events import (
    CompletionEvent,
    Finished,
    ReplyEvent,
    TextDelta,
    ToolCalled,
    ToolReturned,
    Truncated,
    Waiting,
)
from chatwright.chat.reply_form import FREE, ReplyForm
from chatwright.chat.reply_grammar import reply_constraint
from chatwright.chat.reply_stream import ReplyStream
from chatwright.chat.tools import MAX_TOOL_CALLS, Tools
from chatwright.chat.vocabulary import vocabulary_of
from chatwright.conversation import (
    Conversation,
    Message,
    ToolDefinition,
    ToolResult,
    next_call_id,
)
from chatwright.engine.messages import (
    AnyEngine,
    Constraint,
    EngineFull,
    EngineUnavailable,
    PromptScored,
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    refused,
)
from chatwright.errors import InputError
from chatwright.tokenizer.read_reply import reply_stop_ids
from chatwright.tokenizer.tokenizer import Tokenizer, unused_ids


class Assistant:
    """Replies to conversations, and continues texts, with one model."""

    def __init__(
        self,
        engine: AnyEngine,
        tokenizer: Tokenizer,
        tools: Tools | None = None,
        reports_waiting: bool = False,
        adapter: str = "",
    ) -> None:
        """Use `engine` for all replies.

        Args:
            engine: The engine with the model.
            tokenizer: The model's tokenizer.
            tools: Runs tool calls; without it they are returned to the caller.
            reports_waiting: Whether a reply yields `Waiting` after each step without its events,
                so that the caller can deliver the events of other replies.
            adapter: Name of a loaded adapter that all replies use; "" for none.

        Raises:
            InputError: The tokenizer has more ids than the model.
        """
        if tokenizer.vocab_size > engine.vocab_size:
            raise InputError(
                f"The tokenizer has {tokenizer.vocab_size} ids and the model only "
                f"{engine.vocab_size}, so they do not belong together.",
                remedy="Load both from the same model directory.",
                field="vocab_size",
                value=tokenizer.vocab_size,
            )
        self.engine = engine
        self.tokenizer = tokenizer
        self.tools = tools
        self.reports_waiting = reports_waiting
        self.adapter = adapter
        self._live: dict[RequestId, LiveReply] = {}
        self._engine_has_vocabulary = False

    def with_adapter(self, name: str) -> Assistant:
        """Return an assistant for a loaded adapter of the same engine; both reply together."""
        other = copy(self)  # with the same live replies, so either may read an event of the other's
        other.adapter = name
        return other

    @property
    def context_length(self) -> int:
        """Longest text in tokens, prompt and reply together."""
        return self.engine.context_length

    def reply(
        self,
        conversation: Conversation,
        sampling: SamplingConfig | None = None,
        thinking: bool | None = None,
        form: ReplyForm = FREE,
        *,
        user: str = "",
    ) -> Generator[ReplyEvent, None, None]:
        """Yield the events of the reply while it is sampled. Closing the generator cancels it.

        Args:
            conversation: The messages to answer.
            sampling: The sampling settings.
            thinking: Whether a reasoning model thinks before it answers; None is its default.
            form: What the reply may be.
            user: Whose request it is (`Request.user`).

        Raises InputError if the model's thinking cannot be switched that way, or if it cannot
        reply in this form.
        """
        sampling = _with_seed(sampling)
        for event in self._events(self._start(conversation, sampling, thinking, form, user)):
            assert not isinstance(event, PromptScored), "the prompt is not scored"
            yield event

    def continue_text(
        self, prompt: str, sampling: SamplingConfig | None = None
    ) -> Generator[TextDelta | Finished, None, None]:
        """Yield the events of a plain continuation of `prompt` while it is sampled."""
        token_ids = [self.tokenizer.control.bos, *self.tokenizer.encode(prompt)]
        for event in self.continue_ids(token_ids, sampling):
            if isinstance(event, TextDelta | Finished):
                yield event

    def continue_ids(
        self,
        token_ids: Sequence[int],
        sampling: SamplingConfig | None = None,
        *,
        scores_prompt: bool = False,
        is_sampled: bool = True,
        constraint: Constraint | None = None,
        user: str = "",
    ) -> Generator[CompletionEvent, None, None]:
        """Yield the events of a plain continuation of token ids while it is sampled.

        Args:
            token_ids: The prompt.
            sampling: The sampling settings.
            scores_prompt: Whether the first event is `PromptScored`.
            is_sampled: False: read the prompt only; the text is empty.
            constraint: What the continuation may be; None for any text.
            user: Whose request it is (`Request.user`).
        """
        sampling = _with_seed(sampling)
        request = self._request(token_ids, sampling, may_call_tool=False)
        request = replace(request, scores_prompt=scores_prompt, is_sampled=is_sampled, user=user)
        if constraint is not None:
            self._require_vocabulary()
            request = replace(request, constraint=constraint)
        for event in self._events(self._submit(request, None)):
            assert isinstance(event, PromptScored | TextDelta | Waiting | Finished), (
                "a continuation has no other events"
            )
            yield event

    def complete(self, prompt: str, sampling: SamplingConfig | None = None) -> Finished:
        """Return the whole continuation; its text is `message.text`."""
        *_, last = self.continue_text(prompt, sampling)
        assert isinstance(last, Finished), "the last event is always Finished"
        return last

    def stream_completion(
        self, prompt: str, sampling: SamplingConfig | None = None
    ) -> Iterator[str]:
        """Yield the text of the continuation in pieces."""
        for event in self.continue_text(prompt, sampling):
            if isinstance(event, TextDelta):
                yield event.text

    def replies(
        self,
        conversations: Sequence[Conversation],
        sampling: SamplingConfig | Sequence[SamplingConfig] | None = None,
    ) -> list[Finished]:
        """Return one reply per conversation, in order, sampled in batches.

        `sampling` holds the settings of all replies, or one for each. Settings of all replies have
        one seed. Each reply equals the reply to its conversation alone, unless the engine gives a
        `batch_dependence_reason`.
        """
        if isinstance(sampling, SamplingConfig | None):
            sampling = [_with_seed(sampling)] * len(conversations)
        results: dict[int, Finished] = {}
        live: dict[int, LiveReply] = {}
        waiting = deque(enumerate(zip(conversations, sampling, strict=True)))
        try:
            while waiting or live:
                while waiting and len(live) < self.engine.n_slot:
                    index, (conversation, settings) = waiting.popleft()
                    live[index] = self._start(conversation, _with_seed(settings))
                self._step()
                for index, reply in list(live.items()):
                    if reply.finished is not None:
                        results[index] = reply.finished
                        del live[index]
        finally:
            for reply in live.values():
                self._abandon(reply)
        return [results[index] for index in range(len(conversations))]

    def choices(self, conversation: Conversation, sampling: SamplingConfig) -> list[Finished]:
        """Return `n` replies to one conversation; if `best_of` is larger, its `n` most probable.

        Tool calls are returned and not run.
        """
        return self.choices_of([conversation], [sampling])[0]

    def choices_of(
        self, conversations: Sequence[Conversation], sampling: Sequence[SamplingConfig]
    ) -> list[list[Finished]]:
        """Return the `choices` of each conversation, in order, sampled in batches.

        The replies to one conversation share the reading of its prompt.
        """
        results: dict[int, list[Finished]] = {}
        live: dict[int, LiveReply] = {}
        waiting = deque(enumerate(zip(conversations, sampling, strict=True)))
        try:
            while waiting or live:
                n_live = sum(reply.sampling.n_generated for reply in live.values())
                while waiting and n_live < self.engine.n_slot:
                    index, (conversation, settings) = waiting.popleft()
                    live[index] = self._start_choices(conversation, _with_seed(settings))
                    n_live += settings.n_generated
                self._step()
                for index, reply in list(live.items()):
                    if all(stream.finished is not None for stream in reply.streams):
                        results[index] = [s.finished for s in reply.streams if s.finished]
                        self._abandon(live.pop(index))
        finally:
            for reply in live.values():
                self._abandon(reply)
        return [results[index] for index in range(len(conversations))]

    def _start_choices(self, conversation: Conversation, sampling: SamplingConfig) -> LiveReply:
        fitted = self._fit(conversation, sampling)
        prompt = fitted.token_ids
        sampling = replace(sampling, max_tokens=fitted.max_tokens)  # the room that is left
        request = self._request(prompt, sampling, may_call_tool=True)
        request_id = self.engine.submit(request)
        call_id = next_call_id(conversation)
        streams = [
            ReplyStream(self.tokenizer, sampling, len(prompt), call_id=call_id)
            for _ in range(sampling.n)
        ]
        reply = LiveReply(request_id, request, streams, sampling, None)
        self._live[request_id] = reply
        return reply

    def _fit(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        thinking: bool | None = None,
        tools: Sequence[ToolDefinition] = (),
    ) -> FittedConversation:
        return fit_to_context(
            conversation,
            self.tokenizer,
            self.engine.context_length,
            sampling.max_tokens,
            thinking,
            tools,
        )

    def _start(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        thinking: bool | None = None,
        form: ReplyForm = FREE,
        user: str = "",
        adapter: str | None = None,
    ) -> LiveReply:
        """Submit the request of a reply; `adapter` is by default the assistant's own."""
        tools = form.tools if form.tool_choice != "none" else ()
        fitted = self._fit(conversation, sampling, thinking, tools)
        limited = replace(sampling, max_tokens=fitted.max_tokens)
        request = self._request(fitted.token_ids, limited, may_call_tool=True)
        if (constraint := reply_constraint(form, self.tokenizer, thinking)) is not None:
            self._require_vocabulary()
            request = replace(request, constraint=constraint)
        if form.tool_choice == "none":
            request = replace(request, banned_ids={*request.banned_ids, *self._call_ids()})
        request = replace(request, user=user)
        if adapter is not None:
            request = replace(request, adapter=adapter)
        reply = self._submit(request, list(conversation), thinking, bool(form.callable_tools))
        reply.sampling = sampling  # a request after a tool call has a room of its own
        reply.form = form
        if fitted.n_cut:
            n_kept = len(fitted.messages)
            reply.events.append(Truncated(fitted.n_cut, n_kept, self.engine.context_length))
        return reply

    def _call_ids(self) -> set[int]:
        """Return the control ids that begin or end a tool call."""
        chat_format = self.tokenizer.chat_format
        if chat_format is None:
            return set()
        begin = () if chat_format.tool_call is None else (chat_format.tool_call,)
        return {*begin, *(chat_format.tools.call_ids if chat_format.tools else ())}

    def _require_vocabulary(self) -> None:
        """Give the engine the bytes of the tokens, once."""
        if not self._engine_has_vocabulary:
            self.engine.set_vocabulary(vocabulary_of(self.tokenizer))
            self._engine_has_vocabulary = True

    def _submit(
        self,
        request: Request,
        messages: list[Message] | None,
        thinking: bool | None = None,
        has_tools: bool = False,
    ) -> LiveReply:
        """Submit a request; `messages` is None for plain continuation."""
        sampling = request.sampling
        if sampling.n_generated > 1:
            raise InputError(
                f"n is {sampling.n} and best_of is {sampling.best_of}, "
                "but this call returns one reply.",
                remedy="Leave them at 1, or call choices() for several replies.",
                field="n",
                value=sampling.n,
            )
        request_id = self.engine.submit(request)
        stream = ReplyStream(
            self.tokenizer,
            sampling,
            len(request.token_ids),
            messages is not None,
            next_call_id(messages or ()),
            thinking,
            has_tools,
        )
        reply = LiveReply(request_id, request, [stream], sampling, messages)
        self._live[request_id] = reply
        return reply

    def _request(
        self, token_ids: Sequence[int], sampling: SamplingConfig, may_call_tool: bool
    ) -> Request:
        stop_ids = reply_stop_ids(self.tokenizer, may_call_tool)
        return Request(
            token_ids, sampling, stop_ids, unused_ids(self.tokenizer), adapter=self.adapter
        )

    def _events(self, reply: LiveReply) -> Generator[ReplyEvent | CompletionEvent, None, None]:
        try:
            while True:
                while reply.events:
                    yield reply.events.popleft()
                if reply.refused is not None:
                    raise reply.refused
                if reply.finished is not None:
                    yield reply.finished
                    return
                self._step()
                is_over = reply.finished is not None or reply.refused is not None
                if self.reports_waiting and not reply.events and not is_over:
                    yield Waiting()
        finally:
            self._abandon(reply)

    def _abandon(self, reply: LiveReply) -> None:
        self._live.pop(reply.request_id, None)
        self.engine.cancel(reply.request_id)

    def _step(self) -> None:
        """Step the engine once and hand its events to their replies."""
        for event in self.engine.step():
            reply = self._live.get(event.request_id)
            if reply is None:
                continue
            if isinstance(event, RequestFinished) and event.refusal:
                reply.refused = refused(event)
                del self._live[event.request_id]
                continue
            if isinstance(event, PromptScored):
                reply.events.append(event)
                continue
            stream = reply.streams[event.index]
            reply.events.extend(stream.take(event))
            is_only_stream = len(reply.streams) == 1
            if stream.is_stopped and is_only_stream:
                # A stop text was found. With several streams the others still need the request.
                self.engine.cancel(reply.request_id)
            if isinstance(event, RequestFinished) and is_only_stream:
                del self._live[event.request_id]
                self._conclude(reply, stream)

    def _conclude(self, reply: LiveReply, stream: ReplyStream) -> None:
        """Finish the reply of an ended request, or run its tool and submit the next request."""
        finished = stream.finished
        assert finished is not None, "the engine reported the end of the request"
        reply.n_completion_tokens += finished.usage.completion_tokens
        reply.answered.append(
            AnsweredRequest(
                reply.request,
                tuple(stream.token_ids),
                finished.usage.cached_tokens,
                reply.messages is not None,
                stream.thinking,
                stream.has_tools,
            )
        )
        if finished.reason == "tool_call":
            reply.events.extend(ToolCalled(call) for call in finished.message.tool_calls)
            is_own = self.tools is not None and not reply.form.tools  # else the caller runs them
            if self.tools is not None and is_own and reply.n_tool_calls < MAX_TOOL_CALLS:
                try:
                    return self._run_tool(reply, finished.message, self.tools)
                except (ValueError, EngineFull, EngineUnavailable) as error:
                    # Fail this reply only: other replies share the engine step.
                    finished = replace(finished, reason="failed", error=str(error))
        usage = replace(finished.usage, completion_tokens=reply.n_completion_tokens)
        reply.finished = replace(finished, usage=usage, requests=tuple(reply.answered))

    def _run_tool(self, reply: LiveReply, message: Message, tools: Tools) -> None:
        assert reply.messages is not None, "a plain continuation calls no tools"
        call = message.tool_calls[0]
        result = ToolResult(call.id, tools.run(call))
        reply.n_tool_calls += 1
        reply.events.append(ToolReturned(call, result))
        reply.messages += [message, Message("tool", (result,))]
        thinking = reply.streams[0].thinking
        user, adapter = reply.request.user, reply.request.adapter
        continued = self._start(reply.messages, reply.sampling, thinking, reply.form, user, adapter)
        reply.events.extend(continued.events)
        reply.request_id = continued.request_id
        reply.request = continued.request
        reply.streams = continued.streams
        self._live[reply.request_id] = reply


def _with_seed(sampling: SamplingConfig | None) -> SamplingConfig:
    """Return the settings with a seed, so that the reply can report how to repeat it."""
    sampling = sampling or SamplingConfig()
    return sampling if sampling.seed is not None else replace(sampling, seed=secrets.randbits(63))
