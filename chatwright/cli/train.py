"""Train: `chatwright run RECIPE` runs a whole recipe, `chatwright train KIND` one stage."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import ProgressAsJson, RecipeData, Smoke, TrainingSettings
from chatwright.commands import quoted

if TYPE_CHECKING:
    from chatwright.pipeline.prepared_stage import Prepared
    from chatwright.training.watcher import Watcher

app = typer.Typer(
    no_args_is_help=True, help="Train one stage: pretrain, sft, masked-lm, classify or translation."
)

Out = Annotated[Path, typer.Option("--out", help="The directory of the run.")]
VocabSize = Annotated[int, typer.Option("--vocab-size", help="Size of the learned vocabulary.")]
FindRate = Annotated[
    bool,
    typer.Option(
        "--find-learning-rate",
        help="Train nothing: try ever higher learning rates for a hundred steps, suggest one, and "
        "write the curve into the --out directory.",
    ),
]
TextData = Annotated[str, typer.Option("--data", help="Texts: a file or a folder.")]

CHAT = "Talk to it: chatwright chat {model}"
# By the kind of the last stage; every other kind leaves a model to chat with.
NEXT_COMMAND = {
    "pretrain": 'Try it: chatwright generate {model} "Once upon a time"',
    "translation": 'Try it: chatwright translate {model} "a sentence"',
    "classify": 'Try it: chatwright classify {model} "Your text."',
    "masked-lm": "Teach it labels: chatwright train classify --from {model} --data FILE --out DIR",
    "word-vectors": "Try it: chatwright inspect embeddings {model} king",
}


def next_command(kind: str, model: Path) -> str:
    """Say what to do with the model that a stage of this kind left."""
    return NEXT_COMMAND.get(kind, CHAT).format(model=quoted(model))


def run(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe file, or the name of a packaged recipe: starter.")
    ],
    settings: TrainingSettings = None,
    data: RecipeData = None,
    model: Annotated[
        Path | None,
        typer.Option("--from", help='The model to start from, where the recipe says "{model}".'),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The folder of the stages; by default runs/RECIPE."),
    ] = None,
    smoke: Smoke = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Run a recipe: skip finished stages, resume an interrupted one, run outdated ones again."""
    from chatwright.cli.progress import terminal_watcher
    from chatwright.pipeline.recipe import read_recipe, recipe_called, run_recipe

    recipe = recipe_called(recipe)
    plan = read_recipe(recipe, settings or [], smoke)
    folder = out or Path("runs") / (recipe.stem + ("-smoke" if smoke else ""))
    with terminal_watcher(as_json=as_json) as watcher:
        last = run_recipe(plan, folder, data, watcher, model)
    print(f"done: {last}. {next_command(plan.stages[-1].kind, last)}")


@app.command("pretrain")
def pretrain(
    data: TextData,
    out: Out,
    settings: TrainingSettings = None,
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A model to start from, or the directory of a tokenizer. Without it a "
            "vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: VocabSize = 4096,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Train a decoder to continue plain text."""
    from chatwright.pipeline.single_stage import pretrain as prepare

    prepare_stage = partial(prepare, data, out, settings or [], parent, vocab_size, smoke)
    _train("pretrain", prepare_stage, out, find_learning_rate, as_json)


@app.command("sft")
def sft(
    parent: Annotated[Path, typer.Option("--from", help="The pretrained model to start from.")],
    data: Annotated[str, typer.Option("--data", help="Conversations: a file or a folder.")],
    out: Out,
    settings: TrainingSettings = None,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Fine-tune a decoder on example conversations (supervised fine-tuning)."""
    from chatwright.pipeline.single_stage import sft as prepare

    prepare_stage = partial(prepare, data, out, settings or [], parent, smoke)
    _train("sft", prepare_stage, out, find_learning_rate, as_json)


@app.command("masked-lm")
def masked_lm(
    data: TextData,
    out: Out,
    settings: TrainingSettings = None,
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="An encoder to start from, or the directory of a tokenizer. Without it a "
            "vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: VocabSize = 8192,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Train an encoder to predict masked words of plain text."""
    from chatwright.pipeline.single_stage import masked_lm as prepare

    prepare_stage = partial(prepare, data, out, settings or [], parent, vocab_size, smoke)
    _train("masked-lm", prepare_stage, out, find_learning_rate, as_json)


@app.command("classify")
def classify(
    data: Annotated[
        str,
        typer.Option(
            "--data", help='A .jsonl, .csv or .tsv file with the columns "text" and "label".'
        ),
    ],
    out: Out,
    settings: TrainingSettings = None,
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="An encoder to start from: trained by masked-lm or classify, or imported. "
            "Without it a vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: VocabSize = 8192,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Train an encoder to classify texts."""
    from chatwright.pipeline.single_stage import classify as prepare

    prepare_stage = partial(prepare, data, out, settings or [], parent, vocab_size, smoke)
    _train("classify", prepare_stage, out, find_learning_rate, as_json)


@app.command("translation")
def translation(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Sentence pairs: a .tsv, .jsonl or tab-separated .txt file. Or, with --target, a "
            "file with one sentence per line.",
        ),
    ],
    out: Out,
    settings: TrainingSettings = None,
    target: Annotated[
        str, typer.Option("--target", help="A file with the translation of each line of --data.")
    ] = "",
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A translation model to start from, also an imported one, or the directory of a "
            "tokenizer. Without it a vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: Annotated[
        int, typer.Option("--vocab-size", help="Size of the vocabulary of both languages.")
    ] = 8192,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Train an encoder-decoder to translate, from the first column of the pairs to the second.

    The setting columns=[2,1] trains the other direction.
    """
    from chatwright.pipeline.single_stage import translation as prepare

    prepare_stage = partial(prepare, data, out, settings or [], parent, target, vocab_size, smoke)
    _train("translation", prepare_stage, out, find_learning_rate, as_json)


def _train(
    kind: str,
    prepare: Callable[["Watcher"], "Prepared"],
    out: Path,
    find_learning_rate: bool,
    as_json: bool,
) -> None:
    from chatwright.cli.progress import terminal_watcher

    with terminal_watcher(as_json=as_json) as watcher:
        prepared = prepare(watcher)
        if find_learning_rate:
            _find_learning_rate(prepared, out)
            return
        prepared.train(out, watcher)
    print(f"done: {out}. See {out / 'report.html'}. {next_command(kind, out)}")


def _find_learning_rate(prepared: "Prepared", out: Path) -> None:
    found = prepared.find_learning_rate(out)
    print(f"{'factor':>10} {'loss':>8}")
    for number in range(0, len(found.factors), max(1, len(found.factors) // 15)):
        print(f"{found.factors[number]:10.4f} {found.smoothed[number]:8.4f}")
    if found.smoothed[-1] == min(found.smoothed):
        print("The loss was still falling at the end: a higher rate may be better still.")
    print(f"suggested: {found.suggested:.2g} times these settings")
    print(f"curve: {out / 'learning-rate.html'}")
    print(f"To train: leave out --find-learning-rate and add {found.overrides()}")
