"""The commands of the terminal chat: their forms, the help text, and parsing a line."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from chatwright.config import unquoted
from chatwright.errors import InputError


@dataclass(frozen=True)
class CommandForm:
    """One way to write a command, with its help text of one or more lines."""

    usage: str
    help: str

    @property
    def name(self) -> str:
        """The command, for example "/edit"."""
        return self.usage.split()[0]

    @property
    def has_argument(self) -> bool:
        """Whether an argument follows the name."""
        return " " in self.usage


FORMS = (
    CommandForm("/help", "show this help"),
    CommandForm("/undo", "remove the last question and its answer"),
    CommandForm("/retry", "answer the last question again"),
    CommandForm("/edit", "change the last question and answer it (keyboard only)"),
    CommandForm("/edit TEXT", "replace the last question with TEXT and answer it"),
    CommandForm("/edit #2 TEXT", "the same for question 2; what follows it is removed"),
    CommandForm("/why", "show the tokens of the last reply with their\nprobabilities"),
    CommandForm("/why 5", "show all alternatives to token 5"),
    CommandForm("/context", "show which messages the model sees, and the tokens left"),
    CommandForm("/system TEXT", "set the system message; without TEXT, remove it"),
    CommandForm("/think", "show what the model thought before the last answer"),
    CommandForm("/think on", "let the model think before it answers; also off, default"),
    CommandForm(
        "/set key=value",
        "change sampling settings: /set temperature=0.5 top_k=20;\n"
        "key=none restores the first value; without pairs, show all",
    ),
    CommandForm("/new", "start a new conversation; unsaved messages are lost"),
    CommandForm("/save FILE", "write the conversation to a new file"),
    CommandForm("/load FILE", "continue a saved conversation"),
    CommandForm("/quit", "leave; so does the end of the input"),
)
NAMES = tuple(dict.fromkeys(form.name for form in FORMS))
WITHOUT_ARGUMENT = frozenset(NAMES) - {form.name for form in FORMS if form.has_argument}
HELP_COLUMN = 16
"""Width of the column of commands in the help, in characters."""
KEYS_HELP = """Keys: Enter sends; Alt-Enter (or Esc, then Enter) starts a new line; pasted lines
stay one message; Up recalls earlier messages, Ctrl-R searches them; Ctrl-C stops
a reply."""


def help_text() -> str:
    """Return the text that /help shows."""
    rows = [(form.usage, form.help) for form in FORMS]
    rows.append(("//TEXT", "send a message that begins with /"))
    lines = [
        f"{usage if number == 0 else '':{HELP_COLUMN}} {line}"
        for usage, text in rows
        for number, line in enumerate(text.splitlines())
    ]
    return "\n".join([*lines, KEYS_HELP])


def parse_command(line: str) -> tuple[str, str]:
    """Return the name of the command in lower case and its argument, which may be "".

    Raises InputError for an unknown name, or an argument that the command does not take.
    """
    typed, *rest = line.split(maxsplit=1)
    name = typed.lower()
    argument = rest[0].strip() if rest else ""
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        suggestion = f"Did you mean {close[0]}? " if close else ""
        raise InputError(
            f"{typed} is not a command.",
            remedy=f"{suggestion}/help lists the commands. Begin with // to send the line.",
            field="command",
            value=typed,
        )
    if argument and name in WITHOUT_ARGUMENT:
        raise InputError(
            f"{typed} takes no argument, so nothing was done.",
            remedy="Begin with // to send the line as a message.",
            field="command",
            value=typed,
        )
    return name, argument


def parse_path(argument: str, command: str) -> Path:
    """Return the path that a command names, in quotes or not; InputError if there is none."""
    if not argument:
        raise InputError(f"{command} needs the name of a file.", field="FILE")
    # os.path, unlike Path.expanduser, leaves an unknown ~name as it is.
    return Path(os.path.expanduser(unquoted(argument)))
