"""A conversation between one user and the model: replying, retrying, editing, saving.

This module prints nothing; `cli/terminal` shows the conversation. A failed reply, command or file
leaves the conversation unchanged.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from chatwright.chat import saved_conversation
from chatwright.chat.assistant import Assistant
from chatwright.chat.context_meter import ContextUse, measure_context
from chatwright.chat.reply_events import (
    Finished,
    ReplyEvent,
    TextDelta,
    ThinkingDelta,
    ToolReturned,
)
from chatwright.conversation import Message, assistant_message, tool_result_message
from chatwright.engine.messages import MAX_ALTERNATIVES, SamplingConfig, TokenSampled
from chatwright.errors import InputError
from chatwright.tokenizer.chat_template import ROLES_AWAITING_REPLY, format_of
from chatwright.tokenizer.tool_call_text import message_text

CHAT_TEMPERATURE = 0.3
"""Default temperature of a chat: near 0, as in the evaluations, but high enough for variety."""


class Dialogue:
    """The messages of a chat, with the system text and the sampling settings."""

    def __init__(
        self, assistant: Assistant, sampling: SamplingConfig | None = None, system: str = ""
    ) -> None:
        """Start without messages.

        Raises InputError if the settings ask for several replies.
        """
        self.assistant = assistant
        self.sampling = sampling or SamplingConfig()
        self.initial_sampling = self.sampling
        require_one_reply(self.sampling)
        self.system = system
        self.thinking: bool | None = None
        """Whether the model thinks before it answers; None is the model's default."""
        self.messages: list[Message] = []
        self._last_reply: tuple[Message, list[TokenSampled]] | None = None

    @property
    def conversation(self) -> list[Message]:
        """The messages, after the system message if there is a system text."""
        return self._with_system(self.messages)

    @property
    def waits_for_reply(self) -> bool:
        """Whether the last message is a question or a tool result without an answer."""
        return bool(self.messages) and self.messages[-1].role in ROLES_AWAITING_REPLY

    @property
    def waits_for_tool_result(self) -> bool:
        """Whether the last message is a tool call without a result."""
        return bool(self.messages) and bool(self.messages[-1].tool_calls)

    @property
    def questions(self) -> list[int]:
        """Indices of the user's messages."""
        return [index for index, message in enumerate(self.messages) if message.role == "user"]

    @property
    def sampled_tokens(self) -> list[TokenSampled] | None:
        """Sampled tokens of the last message; None unless that is the reply sampled last."""
        if self._last_reply is None or not self.messages:
            return None
        reply, tokens = self._last_reply
        return tokens if self.messages[-1] is reply else None

    def context_use(self) -> ContextUse:
        """Measure how much of the model's context the conversation takes."""
        return measure_context(
            self.conversation,
            self.assistant.tokenizer,
            self.assistant.engine.context_length,
            self.sampling.max_tokens,
        )

    def with_next(self, text: str) -> list[Message]:
        """Return the messages and `text`: as a tool result after a tool call, else as a question.

        Raises InputError if the last question has no answer.
        """
        if self.waits_for_reply:
            raise InputError(
                "The last question has no answer yet.",
                remedy="/retry answers it, /undo removes it.",
                field="messages",
            )
        if self.waits_for_tool_result:
            return [*self.messages, tool_result_message(self.messages[-1].tool_calls[0], text)]
        return [*self.messages, Message("user", text)]

    def with_last_question(self) -> list[Message]:
        """Return the messages up to the last question, to answer it again.

        If a seed is set, it is increased by 1, since the same seed would give the same answer.
        Raises InputError if there is no question.
        """
        if not self.messages:
            raise InputError("There is no question to answer again.", field="messages")
        if self.sampling.seed is not None:
            self.sampling = replace(self.sampling, seed=self.sampling.seed + 1)
        return self.messages[: self.questions[-1] + 1]

    def with_edited(self, question: int, text: str) -> list[Message]:
        """Return the messages up to question number `question` (from 1), with a new text."""
        index = self.questions[question - 1]
        return [*self.messages[:index], Message("user", text)]

    def undo(self) -> None:
        """Remove the last question and all messages after it; InputError if there is none."""
        if not self.messages:
            raise InputError("There is nothing to undo.", field="messages")
        self.messages = self.messages[: self.questions[-1]]

    def clear(self) -> None:
        """Remove all messages. The system text and the settings stay."""
        self.messages = []

    def reply_to(self, messages: Sequence[Message]) -> Generator[ReplyEvent, None, None]:
        """Yield the events of a reply to `messages`, and keep both as the conversation.

        Closing the generator keeps the text sampled so far. A reply without text is not kept, and
        the conversation stays unchanged.
        """
        prompt = list(messages)
        text = thinking = ""
        tokens: list[TokenSampled] = []
        is_finished = False
        # The terminal command /why shows alternative tokens. Asking for them here is cheap and
        # saves a second forward pass.
        sampling = replace(self.sampling, top_log_probs=MAX_ALTERNATIVES)
        with closing(self._events(prompt, sampling)) as events:
            try:
                for event in events:
                    match event:
                        case TextDelta():
                            text += event.text
                            tokens += event.tokens
                        case ThinkingDelta():
                            thinking += event.text
                            tokens += event.tokens
                        case ToolReturned():
                            prompt.append(Message("assistant", (event.call,)))
                            prompt.append(Message("tool", (event.result,)))
                        case Finished():
                            is_finished = True
                            self._keep(prompt, event.message, [*tokens, *event.tokens])
                    yield event
            except GeneratorExit:
                if not is_finished:
                    self._keep(prompt, assistant_message(thinking, text), tokens)
                raise

    def _events(
        self, messages: Sequence[Message], sampling: SamplingConfig
    ) -> Generator[ReplyEvent, None, None]:
        conversation = self._with_system(messages)
        return self.assistant.reply(conversation, sampling, self.thinking)

    def set_thinking(self, is_on: bool | None) -> None:
        """Switch thinking on or off; None is the model's default.

        Raises InputError if the model cannot be switched that way.
        """
        format_of(self.assistant.tokenizer).layout_for(is_on)
        self.thinking = is_on

    def save(self, path: Path) -> int:
        """Write the conversation to a new file; return its number of messages.

        The system message counts as one. Raises InputError if there are no messages, or if the
        file cannot be written.
        """
        if not self.conversation:
            raise InputError("There is nothing to save yet.", field="messages")
        saved_conversation.save(path, self.conversation)
        return len(self.conversation)

    def load(self, path: Path) -> int:
        """Replace the conversation by a saved one.

        Return the number of its messages, without the system message. Raises InputError, and
        changes nothing, if the file holds no conversation.
        """
        messages = saved_conversation.load(path)
        self.system = messages.pop(0).text if messages[0].role == "system" else ""
        self.messages = messages
        return len(messages)

    def _with_system(self, messages: Sequence[Message]) -> list[Message]:
        return [Message("system", self.system), *messages] if self.system else list(messages)

    def _keep(self, messages: list[Message], reply: Message, tokens: list[TokenSampled]) -> None:
        if message_text(reply) or reply.thinking:
            self.messages = [*messages, reply]
            self._last_reply = (reply, tokens)


def require_one_reply(sampling: SamplingConfig) -> None:
    """Raise InputError if the settings ask for several replies."""
    if sampling.n_generated > 1:
        raise InputError(
            f"n is {sampling.n} and best_of is {sampling.best_of}, "
            "but a chat samples one reply at a time.",
            remedy="Leave them out; /retry gives another reply.",
            field="n",
            value=sampling.n,
        )
