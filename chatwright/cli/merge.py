"""Merge an adapter into its base: `chatwright merge ADAPTER OUT`."""

from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.options import named_model
from chatwright.commands import command_line


def merge(
    adapter: Annotated[
        Path,
        typer.Argument(
            help="The directory of an adapter, or of the run that trained it.",
            callback=named_model,
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The directory of the merged model.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Texts or conversations on which the merged model is compared with the unmerged "
            "one; by default packaged examples, and samples of the training.",
        ),
    ] = None,
) -> None:
    """Merge an adapter into its base model.

    The result is one model that needs neither. It is compared with the unmerged model, and kept if
    it differs by rounding only.
    """
    from chatwright.pipeline.merge import merge as merge_adapter

    gap = merge_adapter(adapter, out, data)
    print(f"merged and unmerged logits: {gap}")
    print(f"done: {out}. Talk to it: {command_line('chat', out)}")
