"""chatwright new NAME: a few questions, then a folder with a recipe, a place for the data and what to do next."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from chatwright.commands import quoted
from chatwright.config import unquoted
from chatwright.data.check import Report
from chatwright.data.check import check as check_data
from chatwright.pipeline import own_recipe
from chatwright.pipeline.own_recipe import BUDGETS, RECIPE, OwnFolder

Answer = TypeVar("Answer")
FORBIDDEN = set('/\\:*?"<>|')
LONGEST_NAME, LONGEST_PURPOSE = 60, 300


def new(
    name: Annotated[
        str, typer.Argument(help="The folder to make; also what the page calls the model.")
    ],
    assistant: Annotated[
        str | None, typer.Option("--assistant", help="What the assistant is called.")
    ] = None,
    about: Annotated[
        str | None, typer.Option("--about", help='What it is for; completes "I am here to ...".')
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Your texts and conversations, a file or a folder. Without it examples are "
            "written, to replace by your own.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time", help="How long it may learn on this machine: minutes, hour or night."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the defaults.")] = False,
) -> None:
    """Begin a model of your own: a folder with a recipe and a place for your texts and conversations."""
    folder = Path(folder_name(name))
    own_recipe.require_free(folder)
    asks = sys.stdin.isatty() and not yes
    if asks:
        print(
            "Four questions at most; Enter takes what stands in [brackets]. Everything can be changed later."
        )
    own_name = name.replace("-", " ").replace("_", " ").title()
    called = _answer("What is your assistant called?", assistant, own_name, assistant_name, asks)
    found = _answer(
        "Where are your texts and conversations? A file or folder; without one you get examples to replace.",
        None if data is None else str(data),
        "",
        lambda text: data_at(text, folder),
        asks,
    )
    default = (
        "answer questions about a small bakery"
        if found is None
        else "answer questions about the texts I have read"
    )
    purpose = _answer(
        f'What is it for? Finish the sentence: "I am {called}. I am here to ..."',
        about,
        default,
        purpose_of,
        asks,
    )
    budget = _answer(
        "How long may it learn on this machine? minutes (about ten), hour, or night",
        time,
        "minutes",
        budget_of,
        asks,
    )
    wanted = OwnFolder(name=name, assistant=called, about=purpose, time=budget)
    if found is not None:
        wanted = OwnFolder(
            name=name,
            assistant=called,
            about=purpose,
            time=budget,
            data=Path(found.path),
            has_texts="text" in found.n_rows,
            has_conversations="conversation" in found.n_rows,
        )
    own_recipe.write(Path(), wanted)
    _say_what_is_next(wanted, found)


def _answer(
    question: str, given: str | None, default: str, read: Callable[[str], Answer], asks: bool
) -> Answer:
    """An option that was given is read as it is; a person is asked again until the answer can be read."""
    if given is not None or not asks:
        return read(default if given is None else given)
    while True:
        try:
            return read(input(f"\n{question}\n[{default or 'examples'}] > ").strip() or default)
        except EOFError:
            raise ValueError(
                "the questions were not answered, so nothing was written. Answer them, or take the defaults with --yes."
            ) from None
        except ValueError as error:
            print(error)


def folder_name(text: str) -> str:
    reason = ""
    if not text.strip():
        reason = "a name must not be empty"
    elif FORBIDDEN & set(text):
        reason = f"a name must not hold any of {' '.join(sorted(FORBIDDEN))}; the folder is made where you are"
    elif text.startswith("."):
        reason = "a name that begins with a dot is hidden"
    elif (
        not text.isprintable()
        or text != text.strip()
        or text.startswith("-")
        or len(text) > LONGEST_NAME
    ):
        reason = f"a name is at most {LONGEST_NAME} visible characters, without a space at either end or a dash at the front"
    if reason:
        raise ValueError(f"{text!r}: {reason}. For example: chatwright new my-assistant")
    return text


def assistant_name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_NAME:
        raise ValueError(f"the name {text!r}: give one line of 1 to {LONGEST_NAME} characters.")
    return text.strip()


def purpose_of(text: str) -> str:
    """The end of the sentence "I am here to ...", also where the whole sentence was written."""
    purpose = text.strip().rstrip(".!")
    for beginning in ("i am here to ", "i'm here to ", "to "):
        if f"{purpose} ".lower().startswith(beginning):
            purpose = purpose[len(beginning) :].strip()
    if not purpose or not purpose.isprintable() or len(purpose) > LONGEST_PURPOSE:
        raise ValueError(
            f'the purpose {text!r}: finish the sentence "I am here to ..." in one line of at most {LONGEST_PURPOSE} characters.'
        )
    return purpose


def budget_of(text: str) -> str:
    chosen = next(
        (
            name
            for name in BUDGETS
            if name.removesuffix("s") in text.lower().split() or name in text.lower().split()
        ),
        None,
    )
    if chosen is None:
        raise ValueError(f"the time {text!r}: choose one of {', '.join(BUDGETS)}.")
    return chosen


def data_at(text: str, folder: Path) -> Report | None:
    """What the readers find there; None for no place at all."""
    if not text:
        return None
    place = Path(unquoted(text)).expanduser()
    if not place.exists():
        raise ValueError(
            f"{place}: there is no such file or folder. Check the path, or leave it out to begin with examples."
        )
    if folder.resolve().is_relative_to(place.resolve()):
        raise ValueError(
            f"{place}: {folder} would lie inside it and be read as data too. Put the data into a folder of its own."
        )
    report = check_data(place)
    if not {"text", "conversation"} & report.n_rows.keys():
        why = (
            "only preferences, which no stage here reads yet"
            if report.n_rows
            else "nothing that can be read"
        )
        raise ValueError(
            f"{place}: {why}; texts or conversations are needed. See what is in it: chatwright data check {quoted(str(place))}"
        )
    return report


def _say_what_is_next(wanted: OwnFolder, found: Report | None) -> None:
    print(f"\nmade {wanted.name}/")
    print(
        f"  {RECIPE}   what it learns from, how large it is, how long it learns ({BUDGETS[wanted.time].words})"
    )
    print(
        "  data/         "
        + (
            "examples of every kind of row, for you to replace; "
            if found is None
            else "for more of your data; "
        )
        + "identity.jsonl says who it is"
    )
    print("  README.md     what to do next")
    if found is not None:
        rows = ", ".join(
            f"{count:,} {kind} {'row' if count == 1 else 'rows'}"
            for kind, count in sorted(found.n_rows.items())
        )
        print(f"It will learn from {found.path}: {rows}.")
        if not wanted.has_conversations:
            print(
                "There are no conversations in it: the model will say who it is and little else. Conversations can be added to data/."
            )
        if not wanted.has_texts:
            print("There are no texts in it: it learns from the conversations alone.")
        if found.problems:
            print(
                f"{len(found.problems):,} problems in it have to be mended first: chatwright data check {quoted(str(found.path))}"
            )
    checked = found.path if found else f"{wanted.name}/data"
    print(f"next:  chatwright data check {quoted(str(checked))}")
    print(f"       chatwright up {quoted(wanted.name)}")
