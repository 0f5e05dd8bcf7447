"""Entry point of the command line: register the commands, and print one line for each failure.

A command imports what it needs when it runs, so that `--help` does not load torch.
"""

import sys
import traceback
import warnings

import typer

from chatwright import __version__
from chatwright.cli import (
    bench,
    best_of_n,
    chat,
    classify,
    compare,
    data,
    doctor,
    embed,
    evaluate,
    feedback,
    fetch,
    forget,
    import_export,
    improve,
    inspect,
    keys,
    merge,
    models,
    new,
    rate,
    replay,
    score,
    serve,
    store,
    train,
    translate,
    up,
    users,
)
from chatwright.cli.output import escape_missing_characters

INTERRUPTED = 130  # exit status of a program that Ctrl-C stopped
WRONG_INPUT = 2
FAILED = 1
BUG = 70

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train, align, serve and look inside a language model, on machines you control.",
)

app.command("up")(up.up)
app.command("fetch")(fetch.fetch)
app.command("new")(new.new)
app.command("run")(train.run)
app.command("chat")(chat.chat)
app.command("generate")(chat.generate)
app.command("translate")(translate.translate)
app.command("classify")(classify.classify)
app.command("embed")(embed.embed)
app.command("score")(score.score)
app.command("replay")(replay.replay)
app.command("serve")(serve.serve)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("improve")(improve.improve)
app.command("merge")(merge.merge)
app.command("best-of-n")(best_of_n.best_of_n)
app.command("import")(import_export.import_)
app.command("export")(import_export.export)
app.command("forget")(forget.forget)
app.command("doctor")(doctor.doctor)
app.command("rate")(rate.rate)
app.add_typer(train.app, name="train")
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(feedback.app, name="feedback")
app.add_typer(inspect.app, name="inspect")
app.add_typer(users.app, name="users")
app.add_typer(store.app, name="store")
app.add_typer(keys.app, name="keys")
app.add_typer(bench.app, name="bench")


@app.command("version")
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Run the command line; a failure exits with the status that `report` returns."""
    escape_missing_characters()
    show_renamed_settings()
    try:
        app(standalone_mode=True)
    except Exception as error:
        sys.exit(report(error))


def show_renamed_settings() -> None:
    """Print a note where a recipe or a command uses the old name of a setting.

    The notes are DeprecationWarnings, which Python hides by default. Files that the program wrote,
    such as a model's config.json, need no change by the user and stay silent.
    """
    warnings.filterwarnings("default", category=DeprecationWarning, module="chatwright.config")
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=r".*\.json: ")
    warnings.formatwarning = lambda message, *_: f"note: {message}\n"


def report(error: Exception) -> int:
    """Print one line with cause and remedy, and return the exit status."""
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return _fail(str(error), WRONG_INPUT)
    if isinstance(error, OSError):
        return _fail(_file_system_message(error), FAILED)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return _fail(
            "out of memory. Lower batches.rows, raise batches.accumulate, or choose a smaller "
            "model.size. Saved checkpoints are intact, and the same command resumes from them.",
            FAILED,
        )
    # Only a run raises these two, so torch is loaded already and this import is cheap.
    from chatwright.training.checks import RunFailed
    from chatwright.training.watcher import Stopped

    if isinstance(error, Stopped):
        print(error, file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, RunFailed):
        return _fail(str(error), FAILED)
    traceback.print_exception(error)
    return _fail(
        f"a bug in Chatwright ({type(error).__name__}). "
        "Please report the lines above together with the output of: chatwright doctor",
        BUG,
    )


def _fail(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status


def _file_system_message(error: OSError) -> str:
    return (
        f"{error.filename or 'file system'}: {error.strerror or error}. Finished stages and "
        "checkpoints are kept. Make room or correct the path, then run the same command again."
    )
