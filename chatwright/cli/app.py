"""The command line: parses, builds, calls. Every failure ends with one line that says cause and remedy."""

import os
import sys
import traceback

# OpenMP's threads spin while they wait; with anything else running on a small machine that makes training ten times slower.
# A thousand turns cover most gaps of a training step alone and cost little beside others (docs/LOG.md, "Speed of a training step").
# "passive" would mean no turn at all to GNU's OpenMP (torch's on Linux) as soon as a served model has threads of its own beside the training's.
# Both must be set before torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "active" if sys.platform == "linux" else "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import typer

from chatwright import __version__
from chatwright.cli import (
    chat,
    classify,
    data,
    doctor,
    evaluate,
    import_export,
    inspect,
    merge,
    new,
    serve,
    train,
    translate,
    up,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="ChatGPT, whole, to own: train, align, serve and look inside a language model on machines you control.",
)

app.command("up")(up.up)
app.command("new")(new.new)
app.command("run")(train.run)
app.command("chat")(chat.chat)
app.command("generate")(chat.generate)
app.command("translate")(translate.translate)
app.command("classify")(classify.classify)
app.command("serve")(serve.serve)
app.command("eval")(evaluate.evaluate)
app.command("merge")(merge.merge)
app.command("import")(import_export.import_)
app.command("export")(import_export.export)
app.command("doctor")(doctor.doctor)
app.add_typer(train.app, name="train")
app.add_typer(data.app, name="data")
app.add_typer(inspect.app, name="inspect")


@app.command("version")
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    try:
        app(standalone_mode=True)
    except Exception as error:
        sys.exit(report(error))


def report(error: Exception) -> int:
    """Print what a person needs and return the exit status: 2 for input they can correct, 1 for a run that failed, 70 for a bug."""
    from chatwright.training.checks import RunFailed
    from chatwright.training.watcher import Stopped

    if isinstance(error, Stopped):
        print(str(error), file=sys.stderr)
        return 130
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        print(f"error: {error}", file=sys.stderr)
        return 2
    if isinstance(error, RunFailed):
        print(f"error: {error}", file=sys.stderr)
        return 1
    if isinstance(error, OSError):
        print(
            f"error: {error.filename or 'file system'}: {error.strerror or error}. Nothing that was finished is lost; "
            "make room or correct the path, then give the same command again.",
            file=sys.stderr,
        )
        return 1
    if isinstance(error, (MemoryError,)) or "can't allocate memory" in str(error):
        print(
            "error: out of memory. Lower batches.rows, or raise batches.accumulate, or take a smaller model.size; "
            "what was saved is intact and the same command goes on from it.",
            file=sys.stderr,
        )
        return 1
    traceback.print_exception(error)
    print(
        f"error: a bug in Chatwright ({type(error).__name__}). Please report the lines above together with: chatwright doctor",
        file=sys.stderr,
    )
    return 70
