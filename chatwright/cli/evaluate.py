"""Measure a model: `chatwright eval DIR` prints figures as a table or as JSON."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chatwright.cli.figures import figure_lines
from chatwright.cli.options import (
    Beam,
    Columns,
    Encoding,
    LengthPenalty,
    ModelDirectory,
    read_options,
)

SUITE_HELP = (
    "What to measure: bits-per-byte, blimp, stop-rate, labels, translation, analogies, similarity, "
    "retrieval or starter."
)
DATA_HELP = (
    "What to measure on. bits-per-byte: texts; stop-rate: conversations; blimp: BLiMP.zip; "
    "labels: labeled texts; translation: sentences; analogies: questions-words.txt; "
    "similarity: pairs with a score; retrieval: text pairs; "
    "starter: the corpus folder a recipe wrote (by default the packaged corpus)."
)


def evaluate(
    directory: ModelDirectory,
    suite: Annotated[str, typer.Option("--suite", help=SUITE_HELP)] = "bits-per-byte",
    data: Annotated[Path | None, typer.Option("--data", help=DATA_HELP)] = None,
    references: Annotated[
        Path | None,
        typer.Option("--references", help="Reference translations, line by line, for translation."),
    ] = None,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            help="Language of the references, for translation (de, fr, zh, ...): chooses BLEU's "
            "tokenizer and, where Moses knows it, adds tokenized lower-case BLEU.",
        ),
    ] = "",
    beam: Beam = 5,
    length_penalty: LengthPenalty = 1.0,
    encoding: Encoding = "",
    columns: Columns = "",
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Only a few items, to check that everything works.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure a model.

    --suite chooses what is measured, --data names what it is measured on.
    """
    from chatwright.engine.beam_search import BeamConfig
    from chatwright.pipeline.evaluate import evaluate as measure
    from chatwright.pipeline.translation_suite import TranslationSettings

    settings = TranslationSettings(
        references=references,
        language=language,
        beam=BeamConfig(width=beam, length_penalty=length_penalty),
    )
    options = read_options(encoding, columns)
    figures = measure(directory, suite, data, smoke, settings, options)
    if as_json:
        print(json.dumps(figures))
        return
    if "skills" in figures:
        _print_skills(figures.pop("skills"))
    for line in figure_lines(figures):
        print(line)


def _print_skills(skills: dict[str, dict[str, Any]]) -> None:
    """Print one line per skill of the starter's exam.

    A line holds the score on held-out items, its 95 % interval, the number of items, and the score
    of a lookup: the answer to the most similar training question. Below it are the phrasings that
    fail more often than chance explains.
    """
    print(f"{'skill':20}{'score':>7}  {'95 % interval':15}{'items':>6}{'lookup':>9}")
    for name, entry in skills.items():
        print(f"{name:20}{_score(entry)}{entry['lookup']:9.3f}")
        for book, part in entry.get("books", {}).items():
            print(f"  {book + ' book':18}{_score(part)}")
        for phrasing, part in entry["templates"].items():
            if part["high"] < entry["low"]:
                print(f"{'':20}{_score(part)}  {phrasing}")


def _score(part: dict[str, Any]) -> str:
    return f"{part['score']:7.3f}  {part['low']:.3f} - {part['high']:.3f}  {part['n']:6}"
