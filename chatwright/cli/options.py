"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

ModelDirectory = Annotated[
    Path, typer.Argument(help="A model directory, or the directory of a training run.")
]
SamplingSettings = Annotated[
    list[str] | None,
    typer.Argument(
        help="Sampling settings as key=value, for example temperature=0.5 seed=7 max_tokens=200."
    ),
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as key=value, for example loop.steps=200 model.d_model=128."),
]
RecipeData = Annotated[
    Path | None,
    typer.Option("--data", help="The file or folder that replaces {data} in the recipe."),
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
