"""Improve a model from feedback: `chatwright improve DIR --feedback SNAPSHOT`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from chatwright.cli.options import named_model


def print_rule(is_given: bool) -> None:
    """Print how `auto` chooses the method, and end the program."""
    if not is_given:
        return
    from chatwright.pipeline.improve.methods import SMALL, explanation

    header = ("method", "learns from", "smallest feedback", "auto takes it")
    rows = [header, *explanation()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print(f"\nauto takes the first that fits. With fewer than {SMALL} pairs or thumbs, an adapter")
    print("(LoRA) is trained; with more, all weights.")
    raise typer.Exit


def improve(
    directory: Annotated[
        Path,
        typer.Argument(
            help="The model: a directory of versions, the folder of a recipe's stages, the "
            "directory of a training run, or the name of a fetched model.",
            callback=named_model,
        ),
    ],
    feedback: Annotated[
        Path, typer.Option("--feedback", help="A snapshot of feedback: chatwright rate makes one.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="Settings as KEY=VALUE, for example samples.samples=2, or of a stage as "
            "STAGE.KEY=VALUE, for example dpo.loop.steps=200."
        ),
    ] = None,
    method: Annotated[str, typer.Option("--method", help="auto, dpo, kto, ppo or grpo.")] = "auto",
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help="Held-out prompts that both models answer; by default a part of the feedback's.",
        ),
    ] = None,
    rules: Annotated[
        str,
        typer.Option("--rules", help='Rules that judge the replies; "starter" for the starter.'),
    ] = "",
    any_weights: Annotated[
        bool,
        typer.Option(
            "--any-weights",
            help="Use feedback on replies of other models, too.",
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Print how auto chooses the method, and exit.",
            is_eager=True,
            callback=print_rule,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print progress and the result as one JSON object per line."),
    ] = False,
) -> None:
    """Train a model on feedback, compare it with before, and promote or refuse it.

    The same command continues an interrupted improvement.
    """
    from chatwright.cli.progress import terminal_watcher

    given: dict[str, Any] = {"method": method, "rules": rules, "any_weights": any_weights}
    given["prompts"] = str(prompts) if prompts else ""
    with terminal_watcher(as_json=as_json) as watcher:
        from chatwright.pipeline.improve.improve import closing_line
        from chatwright.pipeline.improve.improve import improve as improve_model
        from chatwright.pipeline.improve.read_settings import read_settings

        config = read_settings({key: value for key, value in given.items() if value}, settings)
        improvement = improve_model(directory, feedback, config, watcher)
    if not as_json:
        print(closing_line(improvement))
        return
    from chatwright.cli.output import print_json
    from chatwright.pipeline.improve.improve import COMPARISON

    print_json(
        {
            "version": improvement.version.name,
            "is_promoted": improvement.is_promoted,
            "reason": improvement.reason,
            "report": str(improvement.folder / COMPARISON / "report.html"),
        }
    )
