"""Print what works on this machine: `chatwright doctor`."""

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.options import named_model


def doctor(
    directory: Annotated[
        Path | None,
        typer.Argument(
            help="A model to check too: its replies must be bit-identical alone and in a batch, "
            "and its log-probabilities those of training.",
            callback=named_model,
        ),
    ] = None,
) -> None:
    """Check this installation and machine.

    Exit status 1 if a requirement is not met.
    """
    from chatwright.pipeline.machine_checks import (
        check_batch_invariance,
        check_log_probs,
        checks,
        describe_machine,
    )

    for name, value in describe_machine().items():
        print(f"      {name:22} {value}")
    all_met = True
    model_checks = []
    if directory is not None:
        model_checks = [check_batch_invariance(directory), check_log_probs(directory)]
    for check in chain(checks(), model_checks):
        mark = "ok" if check.is_met else "BAD"
        remedy = "" if check.is_met else f" -> {check.remedy}"
        print(f"{mark:5} {check.name:22} {check.value}{remedy}")
        all_met = all_met and check.is_met
    if not all_met:
        raise typer.Exit(1)
