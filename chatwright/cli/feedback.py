"""Commands `chatwright feedback`: snapshots of ratings, their quality, and other formats."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chatwright.cli import simulated_feedback
from chatwright.cli.options import Columns, Encoding, read_options
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.data.snapshot import Snapshot

app = typer.Typer(no_args_is_help=True, help="Make, check and exchange feedback of raters.")
app.command("simulate")(simulated_feedback.simulate)
app.command("prompts")(simulated_feedback.prompts)

SnapshotPath = Annotated[Path, typer.Argument(help="A snapshot of feedback.")]
NewSnapshot = Annotated[Path, typer.Argument(help="The new snapshot, a file ending in .jsonl.")]
GoldLimit = Annotated[
    float,
    typer.Option(
        help="Leave out raters who surely answer fewer gold questions right than this share.",
    ),
]
AgreementLimit = Annotated[
    float,
    typer.Option(help="Leave out raters who surely agree with the others less often than this."),
]
MostPerRater = Annotated[
    int, typer.Option(help="Largest number of pieces of one rater; 0: no limit.")
]


@app.command("snapshot")
def snapshot(
    log: Annotated[Path, typer.Argument(help="The live file of feedback.")],
    out: NewSnapshot,
    previous: Annotated[
        Path | None,
        typer.Option("--previous", help="The snapshot before, whose hash the new one holds."),
    ] = None,
) -> None:
    """Copy a live file of feedback into a snapshot, which never changes and has a hash."""
    from chatwright.data.feedback_log import read_log
    from chatwright.data.snapshot import read_snapshot, write_snapshot

    read = read_log(log)
    if read.is_cut:
        print(f"left out: the last line of {log}, which a crash cut")
    before = None if previous is None else read_snapshot(previous)
    _say_written(write_snapshot(out, read.feedback, before))


@app.command("show")
def show(
    path: Annotated[Path, typer.Argument(help="A snapshot, or a live file of feedback.")],
    text: Annotated[
        bool, typer.Option("--text", help="Print the first conversations and replies too.")
    ] = False,
    rows: Annotated[int, typer.Option("--rows", help="Pieces that --text prints.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    gold_limit: GoldLimit = 0.6,
    agreement_limit: AgreementLimit = 0.5,
    most_per_rater: MostPerRater = 0,
) -> None:
    """Count feedback, measure how far raters agree, and say what training would leave out."""
    from rich.console import Console

    from chatwright.data.checks.show import show_row
    from chatwright.data.feedback_log import read_log
    from chatwright.data.preferences import feedback_row
    from chatwright.data.snapshot import is_snapshot, read_snapshot
    from chatwright.evaluation.feedback_quality.quality import FeedbackQualityConfig, assess
    from chatwright.evaluation.feedback_quality.report_lines import report_lines

    feedback = read_snapshot(path).feedback if is_snapshot(path) else read_log(path).feedback
    if not feedback:
        raise InputError(
            f"{path}: there is no feedback in it.",
            remedy="Collect some first.",
            field="path",
            value=str(path),
        )
    config = FeedbackQualityConfig(
        gold_limit=gold_limit, agreement_limit=agreement_limit, most_per_rater=most_per_rater
    )
    report = assess(feedback, config).report
    print(json.dumps(report.to_json(), indent=1) if as_json else "\n".join(report_lines(report)))
    console = Console(highlight=False)
    for item in feedback[:rows] if text else ():
        console.print(f"\n{item.location} ({item.rater})", markup=False, soft_wrap=True)
        console.print(show_row(feedback_row(item)), soft_wrap=True)


@app.command("filter")
def filter_(
    path: SnapshotPath,
    out: NewSnapshot,
    gold_limit: GoldLimit = 0.6,
    agreement_limit: AgreementLimit = 0.5,
    most_per_rater: MostPerRater = 0,
) -> None:
    """Write the feedback to train on into a new snapshot, and say what is left out and why."""
    from chatwright.data.snapshot import read_snapshot, write_snapshot
    from chatwright.evaluation.feedback_quality.quality import (
        FeedbackQualityConfig,
        choose_feedback,
    )
    from chatwright.evaluation.feedback_quality.report_lines import report_lines

    config = FeedbackQualityConfig(
        gold_limit=gold_limit, agreement_limit=agreement_limit, most_per_rater=most_per_rater
    )
    source = read_snapshot(path)
    good = choose_feedback(source, config)
    written = write_snapshot(out, good.kept, previous=source)
    print("\n".join(report_lines(good.report)))
    _say_written(written)


@app.command("export")
def export(
    path: SnapshotPath,
    out: Annotated[Path, typer.Argument(help="The new file, ending in .jsonl.")],
    layout: Annotated[
        Literal["trl-preference", "trl-unpaired"],
        typer.Option(
            "--as",
            help="trl-preference: prompt, chosen, rejected. trl-unpaired: prompt, completion, "
            "label.",
        ),
    ] = "trl-preference",
) -> None:
    """Write the rows of a snapshot for TRL."""
    from chatwright.data.snapshot import read_snapshot
    from chatwright.data.trl_rows import trl_lines

    source = read_snapshot(path)
    lines = trl_lines(source.feedback, layout)
    if not lines:
        raise InputError(
            f"{path}: its {len(source.feedback)} pieces of feedback state no rows of {layout}.",
            remedy="Thumbs state only --as trl-unpaired, and ties state nothing.",
            field="--as",
            value=layout,
        )
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    except FileExistsError:
        raise InputError(
            f"{out}: the file exists already.",
            remedy="Choose another name.",
            field="out",
            value=str(out),
        ) from None
    _say_simulated(source)
    print(f"{len(lines):,} rows from {len(source.feedback):,} pieces of feedback")
    print(f"done: {out}")


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="A file or folder with preferences.")],
    out: NewSnapshot,
    rater: Annotated[
        str, typer.Option("--rater", help="Who gave the feedback, where the rows do not say it.")
    ],
    encoding: Encoding = "",
    columns: Columns = "",
) -> None:
    """Make a snapshot of the preferences of other tools: pairs, or replies with a label."""
    from chatwright.data.feedback_import import import_feedback
    from chatwright.data.snapshot import write_snapshot

    options = read_options(encoding, columns)
    imported = import_feedback(path, rater, datetime.now(UTC).replace(microsecond=0), options)
    written = write_snapshot(out, imported.feedback)
    if imported.n_ignored:
        print(f"ignored: {imported.n_ignored:,} rows that are not preferences")
    if imported.n_several_turns:
        print(f"left out: {imported.n_several_turns:,} rows with a reply of several turns")
    for problem in imported.skipped:
        print(f"left out: {problem}")
    _say_written(written)


def _say_written(written: "Snapshot") -> None:
    _say_simulated(written)
    print(f"{len(written.feedback):,} pieces of feedback, sha256 {written.sha256}")
    print(f"done: {written.path}")


def _say_simulated(source: "Snapshot") -> None:
    if source.is_simulated:
        print("SIMULATED: programs, not people, gave some of this feedback")
