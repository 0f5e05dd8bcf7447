"""The token ids of a text to look at: plain text, a user's message, or a reply that was served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.pipeline.replay_replies import read_receipts
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class InspectedText:
    """A model, and the tokens of a text for it."""

    model: GPT
    tokenizer: Tokenizer
    token_ids: tuple[int, ...]


def read_text(
    directory: Path, text: str, is_message: bool = False, reply: Path | None = None
) -> InspectedText:
    """Load a decoder and the tokens of a text.

    Args:
        directory: A model directory, a training run, or a directory of versions.
        text: The text; with `reply` it must be empty.
        is_message: Whether the text is a user's message, to be written in the chat format.
        reply: A file with a full receipt: the prompt and the reply as they were served.

    Raises:
        InputError: There is no text, or two.
    """
    if bool(text) == (reply is not None):
        raise InputError(
            "There is no text to look at." if not text else "A text and a receipt were given.",
            remedy="Give a text, or --reply FILE with a response of the server.",
            field="text",
            value=text,
        )
    model, tokenizer = model_directory.load(directory)
    if reply is not None:
        request = read_receipts(reply)[0].requests[-1]
        return InspectedText(model, tokenizer, (*request.request.token_ids, *request.token_ids))
    if is_message:
        ids: Sequence[int] = render_prompt([Message("user", text)], tokenizer)
    else:
        ids = [tokenizer.control.bos, *tokenizer.encode(text)]
    return InspectedText(model, tokenizer, tuple(ids))
