"""Repeat a reply from its receipt and compare every byte: `chatwright replay DIR RECEIPT`."""

from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.options import Adapters, ModelDirectory, named_adapters
from chatwright.cli.output import print_json


def replay(
    directory: ModelDirectory,
    file: Annotated[
        Path,
        typer.Argument(
            help="Receipts, or responses of the API that hold receipts: JSON, or one JSON value "
            "in each line."
        ),
    ],
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="Replies that are repeated together.")
    ] = 8,
    adapters: Adapters = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each receipt.")
    ] = False,
) -> None:
    """Repeat replies from their receipts, and compare every token and the text.

    A receipt comes with a reply if the request has "receipt": true. The command ends with status 1
    if a reply differs, and names what has changed: weights, tokenizer, program or processor.
    """
    from chatwright.pipeline.replay_replies import read_receipts, replay_replies

    results = replay_replies(directory, read_receipts(file), at_once, named_adapters(adapters))
    for number, result in enumerate(results, 1):
        if as_json:
            print_json(
                {
                    "same": result.is_same,
                    "tokens": result.n_token,
                    "differences": result.differences,
                    "causes": result.causes,
                }
            )
            continue
        if result.is_same:
            print(f"reply {number}: the same {result.n_token} tokens and the same text")
            continue
        print(f"reply {number}: DIFFERENT. {'; '.join(result.differences)}.")
        causes = result.causes or (
            "nothing: weights, tokenizer and build are the same, so the receipt was changed",
        )
        print("".join(f"  changed: {cause}\n" for cause in causes), end="")
    n_different = sum(not result.is_same for result in results)
    if n_different:
        raise typer.Exit(1)
