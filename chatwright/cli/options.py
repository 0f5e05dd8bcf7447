"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from chatwright.data.readers.data_source import ReadOptions


def named_model(path: Path | None) -> Path | None:
    """Return the directory that a path means, or the name of a fetched model."""
    from chatwright.pipeline.model_names import model_directory

    return None if path is None else model_directory(path)


MODEL_HELP = (
    "A model directory, the directory of a training run, or the name of a fetched model "
    "(chatwright fetch)."
)
ModelDirectory = Annotated[Path, typer.Argument(help=MODEL_HELP, callback=named_model)]
SamplingSettings = Annotated[
    list[str] | None,
    typer.Argument(
        help="Sampling settings as key=value, for example temperature=0.5 seed=7 max_tokens=200."
    ),
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as KEY=VALUE: loop.steps=200. --help-settings lists the keys."),
]
RecipeSettings = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as STAGE.KEY=VALUE, for example sft.loop.steps=200."),
]
RecipeData = Annotated[
    Path | None,
    typer.Option("--data", help="The file or folder to put for {data} in the recipe."),
]
Encoding = Annotated[
    str,
    typer.Option(
        "--encoding", help="Encoding of the files that are not UTF-8, for example cp1252."
    ),
]
Columns = Annotated[
    str,
    typer.Option(
        "--columns",
        help="New names of columns, OLD=NEW with commas between: customer=prompt,agent=completion.",
    ),
]
Port = Annotated[
    int, typer.Option("--port", help="Port on 127.0.0.1; 0 chooses a free port.", min=0, max=65535)
]
Beam = Annotated[int, typer.Option("--beam", help="Width of the beam search; 1 is greedy search.")]
LengthPenalty = Annotated[
    float,
    typer.Option(
        "--length-penalty",
        help="Above 0 favors longer translations; 0 compares log-probabilities unchanged.",
    ),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="Only 20 steps, to check that everything works.")
]
ProgressAsJson = Annotated[
    bool, typer.Option("--json", help="Print progress as one JSON object per line.")
]


def read_options(encoding: str, columns: str) -> "ReadOptions":
    """Return the options --encoding and --columns as settings of the readers.

    Raises InputError for an unknown encoding, and for columns that are not OLD=NEW.
    """
    from chatwright.data.readers.data_source import ReadOptions, parse_columns

    return ReadOptions(encoding=encoding, rename_columns=parse_columns(columns))
