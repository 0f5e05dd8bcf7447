"""The command `/think`, and what the terminal says about thinking and the system prompt."""

from collections.abc import Sequence

from chatwright.chat.dialogue import Dialogue
from chatwright.conversation import Message
from chatwright.errors import InputError

SWITCHES: dict[str, bool | None] = {"on": True, "off": False, "default": None}


def think(argument: str, dialogue: Dialogue) -> str:
    """Switch thinking as the argument says, or return what the model thought last.

    Raises InputError for an unknown argument, or if the model cannot be switched that way.
    """
    if not argument:
        return _last_thinking(dialogue.messages)
    if argument not in SWITCHES:
        raise InputError(
            f"/think {argument}: there is no such switch.",
            remedy="Write /think on, off or default; /think alone shows the thinking.",
            field="/think",
            value=argument,
        )
    dialogue.set_thinking(SWITCHES[argument])
    return f"Thinking: {argument}."


def _last_thinking(messages: Sequence[Message]) -> str:
    answers = [message for message in messages if message.role == "assistant"]
    thinking = answers[-1].thinking if answers else ""
    return thinking or "The model wrote its last answer without thinking."


def thinking_summary(message: Message) -> str:
    """Return a line for an answer after thinking; "" for one without."""
    n_words = len(message.thinking.split())
    return f"(it thought {n_words} words first; /think shows them)" if n_words else ""


def system_note(dialogue: Dialogue) -> str:
    """Return which system prompt the model brings; "" if none, or if the user gave another."""
    chat_format = dialogue.assistant.tokenizer.chat_format
    line = chat_format.system_line() if chat_format else ""
    return (
        f"{line[0].upper()}{line[1:]}; /system replaces it." if line and not dialogue.system else ""
    )
