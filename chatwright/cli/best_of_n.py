"""Keep the best of several replies: `chatwright best-of-n`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from chatwright.cli.options import ProgressAsJson, TrainingSettings, named_model
from chatwright.cli.train import print_settings
from chatwright.commands import command_line
from chatwright.pipeline.stage_kinds import stage_kind

KIND = stage_kind("best-of-n")


def _print_settings(is_given: bool) -> None:
    if is_given:
        print_settings(KIND)
        raise typer.Exit


def best_of_n(
    data: Annotated[str, typer.Option("--data", help=KIND.data_help)],
    out: Annotated[Path, typer.Option("--out", help="The directory of the written replies.")],
    parent: Annotated[Path, typer.Option("--from", help=KIND.parent_help, callback=named_model)],
    settings: TrainingSettings = None,
    as_json: ProgressAsJson = False,
    help_settings: Annotated[
        bool,
        typer.Option(
            "--help-settings",
            help="List every setting with its default and meaning, and exit.",
            is_eager=True,
            callback=_print_settings,
        ),
    ] = False,
) -> None:
    """Sample several replies to each prompt and write the best ones as conversations.

    The reward is a setting: reward.rules.right_number=1.0. An interrupted command continues when it
    is repeated.
    """
    from chatwright.cli.progress import terminal_watcher

    with terminal_watcher(as_json=as_json) as watcher:  # shows something while torch is loaded
        from chatwright import config as config_files
        from chatwright.pipeline.prepared_stage import StageInputs

        table: dict[str, Any] = {"data": data}
        table = config_files.merge(table, config_files.parse_overrides(settings or []))
        config = config_files.build(KIND.config_class(), table, command_line("best-of-n"))
        inputs = StageInputs(out=out, watcher=watcher, parent=parent)
        KIND.prepare_function()(config, inputs).run(out, watcher)
    replies = out / "replies.jsonl"
    learn = command_line("train", "sft", "--from", parent, "--data", replies, "--out", "DIR")
    print(f"done: {replies}. Learn from it: {learn}")
