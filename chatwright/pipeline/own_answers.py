"""Check the answers to the questions of `chatwright new`."""

from pathlib import Path

from chatwright.commands import command_line
from chatwright.config import unquoted
from chatwright.data.checks.check import Report
from chatwright.data.checks.check import check as check_data
from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.errors import InputError
from chatwright.pipeline.open_models.known_models import known_model
from chatwright.pipeline.own_recipe import BUDGETS
from chatwright.pipeline.packaged_recipes import is_packaged_recipe

FORBIDDEN_CHARACTERS = set('/\\:*?"<>|')  # each is forbidden in file names on some system
MAX_NAME = 60  # characters
MAX_PURPOSE = 300
SENTENCE_BEGINNINGS = ("i am here to ", "i'm here to ", "to ")


def folder_name(text: str) -> str:
    """Return the name of the new folder unchanged, after checking it.

    Raises:
        InputError: Some operating system does not allow the name, or it is a path.
    """
    reason = ""
    if not text.strip():
        reason = "the name is empty"
    elif FORBIDDEN_CHARACTERS & set(text):
        forbidden = " ".join(sorted(FORBIDDEN_CHARACTERS))
        reason = f"a name must not contain any of {forbidden} (it is not a path)"
    elif text.startswith("."):
        reason = "a name that begins with a dot is hidden"
    elif not text.isprintable():
        reason = "a name must not contain invisible characters"
    elif text != text.strip() or text.startswith("-"):
        reason = "a name must not begin or end with a space, nor begin with a dash"
    elif len(text) > MAX_NAME:
        reason = f"a name has at most {MAX_NAME} characters"
    elif is_packaged_recipe(text) or known_model(text):
        reason = (
            "a packaged recipe or a known model has this name, so chatwright up could mean both"
        )
    if reason:
        example = command_line("new", "my-assistant")
        raise InputError(f"{text!r}: {reason}.", remedy=f"Try {example}", field="NAME", value=text)
    return text


def assistant_name(text: str) -> str:
    """Return the name of the assistant, without spaces around it."""
    if not text.strip() or not text.isprintable() or len(text) > MAX_NAME:
        raise InputError(
            f"The assistant's name {text!r} is not one line of 1 to {MAX_NAME} characters.",
            remedy="Give a shorter name, or one without invisible characters.",
            field="--assistant",
            value=text,
        )
    return text.strip()


def purpose(text: str) -> str:
    """Return the end of the sentence "I am here to ...". An answer may hold the whole sentence."""
    rest = text.strip().rstrip(".!")
    for beginning in SENTENCE_BEGINNINGS:
        if f"{rest} ".lower().startswith(beginning):
            rest = rest[len(beginning) :].strip()
    if not rest or not rest.isprintable() or len(rest) > MAX_PURPOSE:
        raise InputError(
            f'{text!r} does not complete the sentence "I am here to ..." '
            f"in one line of at most {MAX_PURPOSE} characters.",
            remedy="For example: answer questions about our museum",
            field="--about",
            value=text,
        )
    return rest


def budget_name(text: str) -> str:
    """Return the key of BUDGETS that an answer means: "an hour" is "hour"."""
    words = text.lower().split()
    for name in BUDGETS:
        if name in words or name.removesuffix("s") in words:
            return name
    raise InputError(
        f"The time {text!r} is not known.",
        remedy=f"Choose one of {', '.join(BUDGETS)}.",
        field="--time",
        value=text,
    )


def data_report(text: str, new_folder: Path, reading: ReadOptions = DEFAULTS) -> Report | None:
    """Check the user's data at the path `text`; return None if `text` is empty.

    Raises:
        InputError: The path does not exist, holds no texts or conversations, or would contain the
            new folder.
    """
    if not text:
        return None
    path = Path(unquoted(text)).expanduser()
    if not path.exists():
        raise InputError(
            f"{path}: there is no such file or folder.",
            remedy="Check the path, or leave it out to start with example data.",
            field="--data",
            value=text,
        )
    if new_folder.resolve().is_relative_to(path.resolve()):
        raise InputError(
            f"{path}: the new folder {new_folder} would be inside this folder and be read as data.",
            remedy="Put the data into a separate folder.",
            field="--data",
            value=text,
        )
    report = check_data(path, options=reading)
    if not {"text", "conversation"} & report.n_rows.keys():
        content = (
            "only preferences, which chatwright train dpo reads"
            if report.n_rows
            else "no readable rows"
        )
        raise InputError(
            f"{path}: expected texts or conversations, but the path holds {content}.",
            remedy=f"List the rows and problems: {command_line('data', 'check', path)}",
            field="--data",
            value=text,
        )
    return report
