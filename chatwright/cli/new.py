"""Make a folder for your own model: `chatwright new NAME` asks questions and writes it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from chatwright.cli.options import Columns, Encoding, read_options
from chatwright.commands import command_line
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.data.checks.check import Report
    from chatwright.pipeline.own_recipe import OwnFolder

Answer = TypeVar("Answer")
DEFAULT_PURPOSE = "answer questions about a small bakery"  # what the example data are about
DEFAULT_PURPOSE_OF_OWN_DATA = "answer questions about the texts of its training"


AssistantName = Annotated[str | None, typer.Option("--assistant", help="Name of the assistant.")]
About = Annotated[
    str | None,
    typer.Option("--about", help='Its purpose: completes the sentence "I am here to ...".'),
]
OwnData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Your texts and conversations: a file or a folder. Without it, examples are "
        "written for you to replace.",
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        help="The model to start from: a known name such as smollm2-135m-instruct, a model "
        "directory, or scratch.",
    ),
]
TrainingTime = Annotated[
    str | None,
    typer.Option("--time", help="Training time on this machine: minutes, hour or night."),
]


def new(
    name: Annotated[
        str, typer.Argument(help="Name of the folder, and of the model on the chat page.")
    ],
    assistant: AssistantName = None,
    about: About = None,
    data: OwnData = None,
    base: Base = None,
    time: TrainingTime = None,
    encoding: Encoding = "",
    columns: Columns = "",
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing and take the defaults.")] = False,
) -> None:
    """Make a folder for your own model.

    It holds a recipe, and a place for your texts and conversations.
    """
    from chatwright.pipeline import own_answers, own_recipe

    reading = read_options(encoding, columns)
    folder = Path(own_answers.folder_name(name))
    own_recipe.require_free(folder)
    asks = sys.stdin.isatty() and not yes
    if asks:
        print("At most five questions. Enter takes the answer in [brackets].")
        print("You can change everything later.")
    assistant_name = _answer(
        "What is the name of your assistant?",
        assistant,
        name.replace("-", " ").replace("_", " ").title(),
        own_answers.assistant_name,
        asks,
    )
    report = _answer(
        "Where are your texts and conversations? Give a file or folder, or take the examples.",
        None if data is None else str(data),
        "",
        lambda text: own_answers.data_report(text, folder, reading),
        asks,
    )
    purpose = _answer(
        f'What is it for? Complete the sentence: "I am {assistant_name}. I am here to ..."',
        about,
        DEFAULT_PURPOSE if report is None else DEFAULT_PURPOSE_OF_OWN_DATA,
        own_answers.purpose,
        asks,
    )
    base_name, budget = _base_and_time(base, time, asks)
    own = own_recipe.OwnFolder(
        name=name,
        assistant=assistant_name,
        about=purpose,
        time=budget,
        base=base_name,
        reading=reading,
        data=None if report is None else Path(report.path),
        has_texts=report is None or "text" in report.n_rows,
        has_conversations=report is None or "conversation" in report.n_rows,
    )
    own_recipe.write(Path(), own)
    _print_summary(own, report)


def _base_and_time(base: str | None, time: str | None, asks: bool) -> tuple[str, str]:
    """Return the open model to start from ("" for none), and the training time without one."""
    from chatwright.pipeline import own_answers, own_fine_tuning

    base_name = _answer(
        "What should it start from? scratch (it learns from your data alone), or an open model "
        "that already converses: smollm2-135m-instruct, or the directory of an imported model",
        base,
        own_fine_tuning.SCRATCH,
        own_fine_tuning.base_model,
        asks,
    )
    budget = _answer(
        "How long may it train on this machine? minutes (about ten), hour, or night",
        time,
        "minutes",
        own_answers.budget_name,
        asks and not base_name,
    )
    return base_name, budget


def _answer(
    question: str, option: str | None, default: str, check: Callable[[str], Answer], asks: bool
) -> Answer:
    """Check an option, the default, or what the user types; ask again until the answer is valid."""
    if option is not None or not asks:
        return check(default if option is None else option)
    while True:
        try:
            return check(input(f"\n{question}\n[{default or 'examples'}] > ").strip() or default)
        except EOFError:
            raise InputError(
                "The questions were not answered, so nothing was written.",
                remedy="Answer them, or take the defaults with --yes.",
            ) from None
        except ValueError as error:
            print(error)


def _print_summary(own: "OwnFolder", report: "Report | None") -> None:
    from chatwright.pipeline.own_recipe import BUDGETS, check_command
    from chatwright.pipeline.packaged_recipes import RECIPE

    examples = "examples of every kind of row, for you to replace"
    data = examples if report is None else "for more of your data"
    print(f"\nmade {own.name}/")
    if own.base:
        print(f"  {RECIPE}   {own.base} learns from the conversations: {_cost(own)}")
    else:
        print(f"  {RECIPE}   data, model size and training time ({BUDGETS[own.time].time})")
    print(f"  data/         {data}; identity.jsonl says who the assistant is")
    print("  README.md     the next steps")
    if report is not None:
        _print_data(own, report)
    print(f"next:  {check_command(own)}")
    if own.base and not _is_here(own.base):
        print(f"       {command_line('fetch', own.base)}")
    print(f"       {command_line('up', own.name)}")


def _cost(own: "OwnFolder") -> str:
    """Return the time and memory of the training, from the weights and the characters."""
    from chatwright.data.checks.check import check
    from chatwright.pipeline import own_fine_tuning

    paths = [Path(own.name) / "data", *([own.data] if own.data else [])]
    reports = [check(path, options=own.reading) for path in paths]
    cost = own_fine_tuning.estimated_cost(
        own_fine_tuning.n_weight(own.base),
        sum(report.n_rows["conversation"] for report in reports),
        sum(report.n_characters["conversation"] for report in reports),
    )
    return f"{cost} on two processor cores"


def _is_here(base: str) -> bool:
    """Return whether a base needs no download."""
    from chatwright.pipeline.model_names import model_directory

    try:
        return model_directory(base).exists()
    except InputError:
        return False


def _print_data(own: "OwnFolder", report: "Report") -> None:
    from chatwright.pipeline.own_recipe import check_command

    counts = sorted(report.n_rows.items())
    rows = ", ".join(f"{n:,} {kind} {'row' if n == 1 else 'rows'}" for kind, n in counts)
    print(f"It will learn from {report.path}: {rows}.")
    if not own.has_conversations:
        print(
            "There are no conversations in it. The model will say who it is and little else, "
            "until you add conversations to data/."
        )
    if not own.has_texts:
        print("There are no texts in it: the model learns from the conversations alone.")
    if report.problems:
        n = len(report.problems)
        print(f"Correct {n:,} {'problem' if n == 1 else 'problems'} first: {check_command(own)}")
