"""chatwright run RECIPE, and one stage at a time: chatwright train pretrain, sft, masked-lm, classify, translation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.commands import quoted

if TYPE_CHECKING:  # torch takes seconds to load, and --help needs none of it
    from chatwright.pipeline.prepared_stage import Prepared
    from chatwright.training.watcher import Watcher

app = typer.Typer(
    no_args_is_help=True, help="Train one stage: pretrain, sft, masked-lm, classify or translation."
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="key=value settings, for example loop.steps=200 model.d_model=128."),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="The same path with 20 steps: to see that everything works.")
]
FindRate = Annotated[
    bool,
    typer.Option(
        "--find-learning-rate",
        help="Train nothing: try ever higher learning rates for a hundred steps, suggest "
        "one, and leave the curve in the --out folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Progress as one JSON object a line.")]

TALK = "Talk to it: chatwright chat {last}"
# By the kind of the last stage; the others can be talked to.
WHAT_NEXT = {
    "pretrain": 'Try it: chatwright generate {last} "Once upon a time"',
    "translation": 'Try it: chatwright translate {last} "a sentence"',
    "classify": 'Try it: chatwright classify {last} "Your text."',
    "masked-lm": "Teach it labels: chatwright train classify --from {last} --data FILE --out DIR",
    "word-vectors": "Try it: chatwright inspect embeddings {last} king",
}


def run(
    recipe: Annotated[
        Path,
        typer.Argument(
            help="A recipe file, or the name of one in recipes/, which ship with the program."
        ),
    ],
    overrides: Overrides = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="File or folder that {data} in the recipe stands for."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--from", help='The model to go on from, where the recipe says from = "{model}".'
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the stages go; default runs/<recipe name>.")
    ] = None,
    smoke: Smoke = False,
    as_json: AsJson = False,
) -> None:
    """Run a whole pipeline: what is done is skipped, what was killed goes on, what is stale runs anew."""
    from chatwright.cli.progress import terminal
    from chatwright.pipeline.recipe import read_recipe, recipe_called, run_recipe

    recipe = recipe_called(recipe)
    plan = read_recipe(recipe, overrides or [], smoke)
    where = out or Path("runs") / (recipe.stem + ("-smoke" if smoke else ""))
    with terminal(as_json=as_json) as watcher:
        last = run_recipe(plan, where, data, watcher, model)
    print(f"done: {last}. " + WHAT_NEXT.get(plan.stages[-1].kind, TALK).format(last=quoted(last)))


@app.command("pretrain")
def pretrain(
    data: Annotated[str, typer.Option("--data", help="Text: a file or a folder.")],
    out: Annotated[Path, typer.Option("--out", help="Where the run goes.")],
    overrides: Overrides = None,
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A model to go on from, or a folder with only a tokenizer. "
            "Without it a vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: Annotated[
        int, typer.Option("--vocab-size", help="Size of the vocabulary to learn.")
    ] = 4096,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: AsJson = False,
) -> None:
    """Learn to continue plain text."""
    from chatwright.pipeline.single_stage import pretrain as prepare

    _train(
        "pretrain",
        partial(prepare, data, out, overrides or [], parent, vocab_size, smoke),
        out,
        find_learning_rate,
        as_json,
    )


@app.command("sft")
def sft(
    parent: Annotated[Path, typer.Option("--from", help="The pretrained model to start from.")],
    data: Annotated[str, typer.Option("--data", help="Conversations: a file or a folder.")],
    out: Annotated[Path, typer.Option("--out", help="Where the run goes.")],
    overrides: Overrides = None,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: AsJson = False,
) -> None:
    """Learn to answer from example conversations."""
    from chatwright.pipeline.single_stage import sft as prepare

    _train(
        "sft",
        partial(prepare, data, out, overrides or [], parent, smoke),
        out,
        find_learning_rate,
        as_json,
    )


@app.command("masked-lm")
def masked_lm(
    data: Annotated[str, typer.Option("--data", help="Text: a file or a folder.")],
    out: Annotated[Path, typer.Option("--out", help="Where the run goes.")],
    overrides: Overrides = None,
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="An encoder to go on from, or a folder with only a tokenizer. "
            "Without it a vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: Annotated[
        int, typer.Option("--vocab-size", help="Size of the vocabulary to learn.")
    ] = 8192,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: AsJson = False,
) -> None:
    """Let an encoder learn to guess hidden words of plain text."""
    from chatwright.pipeline.single_stage import masked_lm as prepare

    _train(
        "masked-lm",
        partial(prepare, data, out, overrides or [], parent, vocab_size, smoke),
        out,
        find_learning_rate,
        as_json,
    )


@app.command("classify")
def classify(
    data: Annotated[
        str,
        typer.Option(
            "--data", help="Labelled texts: a .jsonl, .csv or .tsv file with text and label."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the run goes.")],
    overrides: Overrides = None,
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="An encoder to start from: of masked-lm, of classify, or imported. "
            "Without it a vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: Annotated[
        int, typer.Option("--vocab-size", help="Size of the vocabulary to learn.")
    ] = 8192,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: AsJson = False,
) -> None:
    """Learn the labels of texts."""
    from chatwright.pipeline.single_stage import classify as prepare

    _train(
        "classify",
        partial(prepare, data, out, overrides or [], parent, vocab_size, smoke),
        out,
        find_learning_rate,
        as_json,
    )


@app.command("translation")
def translation(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Sentence pairs: a .tsv, .jsonl or .txt file with tabs; or, with --target, "
            "a file with a sentence a line.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the run goes.")],
    overrides: Overrides = None,
    target: Annotated[
        str, typer.Option("--target", help="A file with the translations of --data's lines.")
    ] = "",
    parent: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A translator to go on from, also an imported one, or a folder with "
            "only a tokenizer. Without it a vocabulary is learned from the data first.",
        ),
    ] = None,
    vocab_size: Annotated[
        int,
        typer.Option(
            "--vocab-size", help="Size of the vocabulary to learn, of both languages together."
        ),
    ] = 8192,
    smoke: Smoke = False,
    find_learning_rate: FindRate = False,
    as_json: AsJson = False,
) -> None:
    """Learn to translate from sentence pairs."""
    from chatwright.pipeline.single_stage import translation as prepare

    _train(
        "translation",
        partial(prepare, data, out, overrides or [], parent, target, vocab_size, smoke),
        out,
        find_learning_rate,
        as_json,
    )


def _train(
    kind: str,
    prepare: Callable[["Watcher"], "Prepared"],
    out: Path,
    find_learning_rate: bool,
    as_json: bool,
) -> None:
    from chatwright.cli.progress import terminal

    with terminal(as_json=as_json) as watcher:
        prepared = prepare(watcher)
        if find_learning_rate:
            return _find_learning_rate(prepared, out)
        prepared.train(out, watcher)
    print(
        f"done: {out}. See {out / 'report.html'}. "
        + WHAT_NEXT.get(kind, TALK).format(last=quoted(out))
    )


def _find_learning_rate(prepared: "Prepared", out: Path) -> None:
    found = prepared.find_learning_rate(out)
    print(f"{'factor':>10} {'loss':>8}")
    for number in range(0, len(found.factors), max(1, len(found.factors) // 15)):
        print(f"{found.factors[number]:10.4f} {found.smoothed[number]:8.4f}")
    if found.smoothed[-1] == min(found.smoothed):
        print(
            "the loss was still falling at the end: a higher rate than the suggested one may be better still"
        )
    print(
        f"suggested: {found.suggested:.2g} times these settings. The curve: {out / 'learning-rate.html'}"
    )
    print(f"the same command without --find-learning-rate, and with: {found.overrides()}")
