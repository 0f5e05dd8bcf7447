"""The state of one reply from its first request to its end."""

from collections import deque

from chatwright.chat.receipt import AnsweredRequest
from chatwright.chat.reply_events import CompletionEvent, Finished, ReplyEvent
from chatwright.chat.reply_form import FREE
from chatwright.chat.reply_stream import ReplyStream
from chatwright.conversation import Message
from chatwright.engine.messages import Request, RequestId, SamplingConfig


class LiveReply:
    """A reply that is being sampled. After each tool that is run it needs a further request."""

    def __init__(
        self,
        request_id: RequestId,
        request: Request,
        streams: list[ReplyStream],
        sampling: SamplingConfig,
        messages: list[Message] | None,
    ) -> None:
        """Begin with the first request.

        Args:
            request_id: The id of the request that is being sampled now.
            request: This request.
            streams: One per choice that the request samples.
            sampling: The settings of all requests of this reply.
            messages: The conversation so far; None for plain continuation.
        """
        self.request_id = request_id
        self.request = request
        self.streams = streams
        self.sampling = sampling
        self.messages = messages
        self.events: deque[ReplyEvent | CompletionEvent] = deque()  # not yet yielded to the caller
        self.finished: Finished | None = None
        self.refused: Exception | None = None  # why the engine's process did not take the request
        self.answered: list[AnsweredRequest] = []  # the requests that have ended
        self.form = FREE
        self.n_tool_calls = 0
        self.n_completion_tokens = 0
