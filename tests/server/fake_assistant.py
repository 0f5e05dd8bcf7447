"""An assistant without a model; its reply depends only on the seed and the number of tokens."""

from collections.abc import Callable, Iterator

from chatwright.chat.reply_events import Finished, ReplyEvent, TextDelta, Usage
from chatwright.chat.reply_form import FREE, ReplyForm
from chatwright.conversation import Conversation, Message
from chatwright.engine.messages import SamplingConfig
from chatwright.tokenizer.characters import CharacterTokenizer

WORDS = [
    "sea",
    "salt ",
    "ship, ",
    "é",
    "🙂",
    "\n\n",
    "data: x\n\n",
    "<script>alert(1)</script>",
    '"',
    "\\",
    " ",
]


class FakeAssistant:
    """Calls `before` at the start of each reply; an endless reply goes on until it is closed."""

    context_length = 64

    def __init__(self, before: Callable[[], None] = lambda: None, endless: bool = False) -> None:
        self.before = before
        self.endless = endless
        self.n_closed = 0
        self.tokenizer = CharacterTokenizer.train(["ab"])
        self.seen: list[tuple[Conversation, SamplingConfig]] = []

    def words(self, seed: int, count: int) -> list[str]:
        return [WORDS[(seed * 7 + index * index) % len(WORDS)] for index in range(count)]

    def reply(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        thinking: bool | None = None,
        form: ReplyForm = FREE,
        *,
        user: str = "",
    ) -> Iterator[ReplyEvent]:
        self.before()
        self.seen.append((conversation, sampling))
        try:
            words = self.words(sampling.seed or 0, sampling.max_tokens or 12)
            while self.endless:
                yield TextDelta("word ")
            for word in words:
                yield TextDelta(word)
            yield Finished("stop", Usage(3, len(words)), Message("assistant", "".join(words)))
        finally:
            self.n_closed += 1
