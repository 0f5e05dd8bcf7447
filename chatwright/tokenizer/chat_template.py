"""The one chat format: conversation -> (token ids, loss mask), in code.

    <|bos|> [<|system|> text <|end|>] <|user|> text <|end_of_question|> <|assistant|> text <|end|> <|user|> ...
    a command:  <|assistant|> <|command|> text <EOC> <|result|> text <|end|> <|assistant|> ...

Training, evaluation, the terminal and the server all call it, so no two of them can disagree. Text is encoded apart from
the markers, so nothing a person wrote can become one. It does not cut to a length: that is the caller's decision to make
and to report.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatwright.conversation import Conversation
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

    def __post_init__(self) -> None:
        assert len(self.token_ids) == len(self.loss_mask), "every token needs its place in the loss mask"


def render(conversation: Conversation, tokenizer: Tokenizer) -> Rendered:
    """A whole conversation for training: loss on what the assistant says and on the marker that ends it, but for what is not to be learned."""
    require_order(conversation)
    for index, message in enumerate(conversation):
        if message.role in ("assistant", "command") and not message.content:
            raise ValueError(
                f"turn {index} ({message.role}) is empty: it would teach the model to answer with nothing. Fill it or remove it"
            )
    token_ids, loss_mask = render_turns(conversation, tokenizer)
    if not any(loss_mask):
        raise ValueError(
            f"none of the {len(conversation)} turns is an assistant or command turn to be learned, so there is nothing to learn from: "
            "add an answer or remove the conversation"
        )
    return Rendered(token_ids, loss_mask)


def render_prompt(conversation: Conversation, tokenizer: Tokenizer) -> list[int]:
    """The ids after which the model answers: everything so far and <|assistant|>."""
    require_order(conversation)
    if conversation[-1].role not in ("user", "result"):
        raise ValueError(
            f"turn {len(conversation) - 1} ({conversation[-1].role}) is the last, so there is nothing to answer: "
            "end the conversation with a user or result turn"
        )
    return [*render_turns(conversation, tokenizer)[0], tokenizer.control.assistant]


def render_turns(conversation: Conversation, tokenizer: Tokenizer) -> tuple[list[int], list[bool]]:
    control = tokenizer.control
    token_ids: list[int] = [control.bos]
    loss_mask: list[bool] = [False]

    def put(ids: list[int], learn: bool) -> None:
        token_ids.extend(ids)
        loss_mask.extend([learn] * len(ids))

    for message in conversation:
        text: list[int] = tokenizer.encode(message.content)
        match message.role:
            case "system":
                put([control.system, *text, control.end], False)
            case "user":
                put([control.user, *text, control.end_of_question], False)
            case "result":
                put([control.result, *text, control.end], False)
            case "assistant":
                put([control.assistant], False)  # we place it, the model never samples it
                put([*text, control.end], message.is_learned)
            case "command":
                put([control.assistant], False)
                put([control.command, *text, control.end_of_command], message.is_learned)
    return token_ids, loss_mask


def require_order(conversation: Conversation) -> None:
    """Raise ValueError naming the first turn that stands where it cannot."""
    if not conversation:
        raise ValueError("the conversation is empty: give at least a user turn")
    previous = ""
    for index, message in enumerate(conversation):
        if message.role not in MAY_FOLLOW:
            raise ValueError(f"turn {index} has the unknown role {message.role!a}: known roles are {', '.join(MAY_FOLLOW)}")
        if previous not in MAY_FOLLOW[message.role]:
            where = f"follows turn {index - 1} ({previous})" if previous else "is the first"
            raise ValueError(f"turn {index} ({message.role}) {where}: {REMEDY[message.role]}")
        previous = message.role
