"""The system prompt of conversations without one, in training: say it, and replace it."""

from chatwright.errors import InputError
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.watcher import Watcher


def with_system_prompt(tokenizer: Tokenizer, system: str | None, watcher: Watcher) -> Tokenizer:
    """Return the tokenizer with another default system prompt, and say which one rows get.

    Args:
        tokenizer: The model's tokenizer.
        system: The system prompt of rows without one; None keeps the model's own.
        watcher: Receives the line.

    Raises InputError if the model's chat format has no default that could be replaced.
    """
    if system is not None:
        if not isinstance(tokenizer, ImportedTokenizer) or tokenizer.chat_format is None:
            raise InputError(
                "system is set, but this model's chat format adds no system prompt of its own.",
                remedy="Write the system prompt into the rows, as their first message.",
                field="system",
                value=system,
            )
        tokenizer = tokenizer.with_system(system)
    chat_format = tokenizer.chat_format
    if chat_format is not None and (line := chat_format.system_line()):
        watcher.say(line if system is not None else f"{line}; the setting system replaces it")
    return tokenizer
