"""The one renderer: conversation -> (token ids, loss mask), in code, by the chat format of the tokenizer (`chat_format.py`).

Training, evaluation, the terminal and the server all call it, so no two of them can disagree. Text is encoded apart from
the markers, so nothing a person wrote can become one. It does not cut to a length: that is the caller's decision to make
and to report.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chatwright.conversation import Conversation, Message
from chatwright.tokenizer.chat_format import ChatFormat
from chatwright.tokenizer.tokenizer import Tokenizer

# Who may speak after whom; "" is the beginning. A dead end (assistant after assistant) has no meaning in the format.
MAY_FOLLOW: dict[str, tuple[str, ...]] = {
    "system": ("",),
    "user": ("", "system", "assistant"),
    "assistant": ("user", "result"),
    "command": ("user", "result"),
    "result": ("command",),
}
REMEDY = {
    "system": "a system turn may only come first: move it to the front or join it with the first",
    "user": "a user turn comes first or answers an assistant turn: join neighbouring user turns into one",
    "assistant": "an assistant turn must answer a user or result turn: add the question, or join neighbouring assistant turns",
    "command": "a command turn must answer a user or result turn: add the missing question",
    "result": "a result turn must follow the command it answers",
}


@dataclass(frozen=True)
class Rendered:
    """`loss_mask[i]` is True where token i is something the model must learn to produce (a target, not an input)."""

    token_ids: list[int]
    loss_mask: list[bool]
    answers: tuple[
        tuple[int, int], ...
    ] = ()  # from and up to where the assistant speaks, learned or not, its end token included

    def __post_init__(self) -> None:
        assert len(self.token_ids) == len(self.loss_mask), (
            "every token needs its place in the loss mask"
        )


def render(conversation: Conversation, tokenizer: Tokenizer) -> Rendered:
    """A whole conversation for training: loss on what the assistant says and on the marker that ends it, but for what is not to be learned."""
    require_order(conversation)
    for index, message in enumerate(conversation):
        if message.role in ("assistant", "command") and not message.content:
            raise ValueError(
                f"turn {index} ({message.role}) is empty: it would teach the model to answer with nothing. Fill it or remove it"
            )
    rendered = render_turns(conversation, tokenizer)
    if not any(rendered.loss_mask):
        raise ValueError(
            f"none of the {len(conversation)} turns is an assistant or command turn to be learned, so there is nothing to learn from: "
            "add an answer or remove the conversation"
        )
    return rendered


def render_prompt(conversation: Conversation, tokenizer: Tokenizer) -> list[int]:
    """The ids after which the model answers: everything so far and what stands before an answer."""
    require_order(conversation)
    if conversation[-1].role not in ("user", "result"):
        raise ValueError(
            f"turn {len(conversation) - 1} ({conversation[-1].role}) is the last, so there is nothing to answer: "
            "end the conversation with a user or result turn"
        )
    chat_format = format_of(tokenizer)
    return [
        *render_turns(conversation, tokenizer).token_ids,
        *chat_format.turn("assistant").before,
        *chat_format.before_last,
    ]


def format_of(tokenizer: Tokenizer) -> ChatFormat:
    if tokenizer.chat_format is None:
        raise ValueError(
            "this model has no chat format, so it can continue a text but not converse: use chatwright generate, fine-tune it on "
            "conversations (chatwright train sft), or import it again and name the format it was trained with (--chat-format)"
        )
    return tokenizer.chat_format


def render_turns(conversation: Conversation, tokenizer: Tokenizer) -> Rendered:
    chat_format = format_of(tokenizer)
    token_ids: list[int] = []
    loss_mask: list[bool] = []
    answers: list[tuple[int, int]] = []

    def put(ids: tuple[int, ...] | list[int], learn: bool) -> None:
        token_ids.extend(ids)
        loss_mask.extend([learn] * len(ids))

    put(chat_format.begin, False)
    messages = with_system(conversation, chat_format)
    for number, message in enumerate(messages, 1):
        turn, is_answer = chat_format.turn(message.role), message.role in ("assistant", "command")
        put(turn.before, False)
        if is_answer and number == len(messages):
            put(chat_format.before_last, False)
        start = len(token_ids)
        put(
            [*turn.opens, *tokenizer.encode(message.content), *turn.after],
            is_answer and message.is_learned,
        )
        if is_answer:
            answers.append((start, len(token_ids)))
        put(turn.between, False)
    return Rendered(token_ids, loss_mask, tuple(answers))


def with_system(conversation: Conversation, chat_format: ChatFormat) -> Conversation:
    """The conversation with the system message, or the format's own, as the format wants it: in a turn of its own, or in a question."""
    system, rest = Message("system", chat_format.default_system), conversation
    if conversation and conversation[0].role == "system":
        system, rest = conversation[0], conversation[1:]
    before, after = chat_format.around_system or ("", "")
    text = f"{before}{system.content}{after}"
    if chat_format.system_in is None:
        return (
            [replace(system, content=text), *rest]
            if text or rest is not conversation
            else conversation
        )
    if rest is conversation:
        return conversation
    questions = [number for number, message in enumerate(rest) if message.role == "user"]
    if not questions:
        return [Message("user", text), *rest]
    opened = questions[chat_format.system_in]
    return [
        *rest[:opened],
        replace(rest[opened], content=text + rest[opened].content),
        *rest[opened + 1 :],
    ]


def require_order(conversation: Conversation) -> None:
    """Raise ValueError naming the first turn that stands where it cannot."""
    if not conversation:
        raise ValueError("the conversation is empty: give at least a user turn")
    previous = ""
    for index, message in enumerate(conversation):
        if message.role not in MAY_FOLLOW:
            raise ValueError(
                f"turn {index} has the unknown role {message.role!a}: known roles are {', '.join(MAY_FOLLOW)}"
            )
        if previous not in MAY_FOLLOW[message.role]:
            where = f"follows turn {index - 1} ({previous})" if previous else "is the first"
            raise ValueError(f"turn {index} ({message.role}) {where}: {REMEDY[message.role]}")
        previous = message.role
