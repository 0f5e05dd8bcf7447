"""chatwright eval DIR: measured figures of a model, as a table or as JSON."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def evaluate(
    directory: Annotated[
        Path, typer.Argument(help="A model directory, or the folder of a training run.")
    ],
    suite: Annotated[
        str,
        typer.Option(
            "--suite",
            help="bits-per-byte, blimp, stop-rate, labels, translation, analogies, or starter.",
        ),
    ] = "bits-per-byte",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Text for bits-per-byte, conversations for stop-rate, "
            "BLiMP.zip for blimp, sentences for translation, questions-words.txt "
            "for analogies; for starter the folder a recipe wrote its world into (default: "
            "the world as it ships).",
        ),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option("--references", help="For translation: the right ones, line by line."),
    ] = None,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            help="For translation: that of the references (de, en, fr); adds the "
            "literature's tokenised lower-case BLEU.",
        ),
    ] = "",
    beam: Annotated[
        int,
        typer.Option(
            "--beam", help="For translation: beginnings followed at once; 1 is greedy search."
        ),
    ] = 5,
    length_penalty: Annotated[
        float,
        typer.Option("--length-penalty", help="For translation: above 0 favours longer ones."),
    ] = 1.0,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A few items only: to see that everything works.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
) -> None:
    """Measure a model: bits per byte on a text, BLiMP accuracy, how often replies end by themselves, BLEU, word analogies,
    the starter's skills."""
    from chatwright.engine.beam_search import BeamConfig
    from chatwright.pipeline.evaluate import TranslationSettings
    from chatwright.pipeline.evaluate import evaluate as measure

    settings = TranslationSettings(
        references=references,
        language=language,
        beam=BeamConfig(width=beam, length_penalty=length_penalty),
    )
    figures = measure(directory, suite, data, smoke, settings)
    if as_json:
        print(json.dumps(figures))
        return
    if "skills" in figures:
        _print_skills(figures.pop("skills"))
    for name, value in _flat(figures).items():
        print(f"{name:40} {value:.4f}" if isinstance(value, float) else f"{name:40} {value}")


def _print_skills(skills: dict[str, dict[str, Any]]) -> None:
    """One line a skill: right answers on held-out items, the 95 % interval, and what the nearest training question's answer would score; below
    it the ways of asking that fail beyond chance."""
    print(f"{'skill':20}{'score':>7}  {'95 % interval':15}{'items':>6}{'lookup':>9}")
    for name, entry in skills.items():
        print(
            f"{name:20}{entry['score']:7.3f}  {entry['low']:.3f} - {entry['high']:.3f}  {entry['n']:6}{entry['lookup']:9.3f}"
        )
        for book, part in entry.get("books", {}).items():
            print(
                f"  {book + ' book':18}{part['score']:7.3f}  {part['low']:.3f} - {part['high']:.3f}  {part['n']:6}"
            )
        for template, part in entry["templates"].items():
            if part["high"] < entry["low"]:
                print(
                    f"{part['score']:27.3f}  {part['low']:.3f} - {part['high']:.3f}  {part['n']:6}  {template}"
                )


def _flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in table.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
