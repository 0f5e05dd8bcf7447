"""Checks of the model that a stage starts from."""

from pathlib import Path

from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.tokenizer.tokenizer import Tokenizer


def require_chat_format(tokenizer: Tokenizer, parent: Path) -> None:
    """Raise InputError if the model in `parent` cannot converse."""
    if tokenizer.chat_format is None:
        raise InputError(
            f"{parent}: this model cannot converse, so it has no replies to learn from.",
            remedy="Fine-tune it first: "
            + command_line("train", "sft", "--from", str(parent), "--data", "FILE"),
            field="--from",
            value=str(parent),
        )
