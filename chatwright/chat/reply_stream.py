"""One of the engine's replies in the making: sampled tokens in, text and an end out.

Decides what the tokens mean: text, a command (opened by its control token as the very first), or an end. Any other control
token ends the reply too, since a model that begins to speak for the user has nothing more to say for itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chatwright.chat.reply_events import Finished, Reason, ReplyEvent, TextDelta, Usage
from chatwright.chat.stream_decoder import StopWatcher, StreamDecoder
from chatwright.conversation import Message
from chatwright.engine.request import Event, RequestFinished, TokenSampled
from chatwright.engine.sampling import SamplingConfig
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass
class ReplyStream:
    tokenizer: Tokenizer
    sampling: SamplingConfig
    n_prompt: int
    may_command: bool = True  # False for plain continuation, where a command has no meaning

    def __post_init__(self) -> None:
        self._decoder, self._watcher = (
            StreamDecoder(self.tokenizer, is_opening=self.may_command),
            StopWatcher(self.sampling.stop),
        )
        chat_format = self.tokenizer.chat_format
        self._command = (
            chat_format.command if self.may_command and chat_format is not None else None
        )
        self._text, self._stopped_by = "", ""
        self._new_tokens: list[TokenSampled] = []
        self._n_token, self._sum_log_prob = 0, 0.0
        self.is_command = False
        self.finished: Finished | None = None

    @property
    def is_stopped(self) -> bool:
        """The text is complete although the engine has not ended: the request is no longer needed."""
        return bool(self._stopped_by) and self.finished is None

    def take(self, event: Event) -> Iterator[ReplyEvent]:
        """The reply's events that follow from one of the engine's. Finished is not among them: see `finished`."""
        if self.finished is not None or (self._stopped_by and isinstance(event, TokenSampled)):
            return
        if isinstance(event, RequestFinished):
            yield from self._finish(event)
            return
        self._n_token += 1
        self._sum_log_prob += event.log_prob
        self._new_tokens.append(event)
        if event.token_id == self._command and self._n_token == 1:
            self.is_command = True
        elif (name := self.tokenizer.control.name_of(event.token_id)) is not None:
            self._stopped_by = name
        else:
            text = self._watcher.push(self._decoder.push(event.token_id))
            self._stopped_by = self._watcher.found
            yield from self._show(text)

    def _show(self, text: str) -> Iterator[TextDelta]:
        self._text += text
        if text and not self.is_command:  # a command is told of when it is whole
            tokens, self._new_tokens = tuple(self._new_tokens), []
            yield TextDelta(text, tokens)

    def _finish(self, event: RequestFinished) -> Iterator[TextDelta]:
        if not self._watcher.found:
            yield from self._show(
                self._watcher.push(self._decoder.finish()) + self._watcher.finish()
            )
        reason: Reason = event.reason
        if (
            self._stopped_by
        ):  # then it was we who cancelled the request, or the engine's end means the same
            reason = "command" if self.is_command else "stop"
        usage, mean = (
            Usage(self.n_prompt, self._n_token),
            self._sum_log_prob / max(self._n_token, 1),
        )
        message = Message("command" if self.is_command else "assistant", self._text)
        self.finished = Finished(
            reason,
            usage,
            message,
            self.sampling.seed,
            self._stopped_by,
            mean,
            event.error,
            tuple(self._new_tokens),
        )
