"""Write commands that a user can copy from a message into a shell."""

import re
import shlex
from pathlib import Path

# A word with a space whose other characters are not special in any shell.
ONLY_SPACES = re.compile(r"[\w ./\\:-]* [\w ./\\:-]*")


def command_line(*words: str | Path) -> str:
    """Write a `chatwright` command with these words, quoted where a shell needs it."""
    return " ".join(["chatwright", *map(quoted, words)])


def quoted(word: str | Path) -> str:
    """Quote one word of a command.

    Double quotes are enough for spaces, and every system's shell reads them. Other special
    characters take the single quotes of POSIX shells.
    """
    text = str(word)
    return f'"{text}"' if ONLY_SPACES.fullmatch(text) else shlex.quote(text)
