"""Print the translation of each text: `chatwright translate DIR TEXT`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import (
    Beam,
    Columns,
    Encoding,
    LengthPenalty,
    ModelDirectory,
    read_options,
)
from chatwright.cli.output import print_json
from chatwright.commands import quoted
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.data.readers.data_source import ReadOptions
    from chatwright.pipeline.translate_texts import TranslatedText


PairsFile = Annotated[
    Path | None,
    typer.Option(
        "--pairs",
        help="Also write each translation, a tab and its text: pairs to train the other "
        "direction on (back-translation).",
    ),
]


def translate(
    directory: ModelDirectory,
    text: Annotated[
        str | None,
        typer.Argument(help="The text to translate. Without it, --file or standard input is read."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A file with one sentence per line.")
    ] = None,
    beam: Beam = 5,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always take the most probable token: --beam 1.")
    ] = False,
    length_penalty: LengthPenalty = 1.0,
    n_best: Annotated[
        int,
        typer.Option(
            "--n-best", help="Number of translations of each sentence, best first, with scores."
        ),
    ] = 1,
    attention: Annotated[
        Path | None,
        typer.Option(
            "--attention", help="Also write an HTML page of the attention between both texts."
        ),
    ] = None,
    pairs: PairsFile = None,
    encoding: Encoding = "",
    columns: Columns = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per sentence.")
    ] = False,
) -> None:
    """Translate sentences, line by line.

    The direction is that of the training pairs. For the other direction, train a second model with
    columns=[2,1].
    """
    from chatwright.engine.beam_search import BeamConfig
    from chatwright.pipeline.translate_texts import TextTranslator

    config = BeamConfig(width=1 if greedy else beam, length_penalty=length_penalty, n_best=n_best)
    texts = _texts(text, file, read_options(encoding, columns))
    translator = TextTranslator(directory, texts, config, attention, pairs)
    translated: list[TranslatedText] = []
    for result in translator.translate():
        _print(result, n_best, as_json, is_only_one=len(translator.texts) == 1)
        translated.append(result)
    for message in translator.write_files(translated):
        print(message, file=sys.stderr)


def _texts(text: str | None, file: Path | None, options: "ReadOptions") -> Iterable[str]:
    from chatwright.cli.standard_input import piped_lines
    from chatwright.pipeline.text_input import file_named_by, read_texts

    if text is not None and file is not None:
        raise InputError(
            "A text and --file are both given.", remedy="Leave out one of them.", field="--file"
        )
    if file is not None:
        return read_texts(file, options)
    if text is None:
        return piped_lines("sentence")
    if named := file_named_by(text):
        raise InputError(
            f"{named}: this is a file, not a sentence.",
            remedy=f"To translate what is in it: --file {quoted(named)}",
            field="TEXT",
            value=text,
        )
    return [text]


def _print(result: "TranslatedText", n_best: int, as_json: bool, is_only_one: bool) -> None:
    if as_json:
        rows = [
            {"text": t.text, "score": t.score, "log_prob": t.log_prob, "ended": t.ended}
            for t in result.translations
        ]
        pieces = {"pieces": [piece.source for piece in result.pieces]} if result.pieces else {}
        print_json({"source": result.source, "translations": rows} | pieces)
        return
    for translation in result.translations:
        score = "" if n_best == 1 else f"{translation.score:8.4f}  "
        print(score + translation.text, flush=True)
    if n_best > 1 and not is_only_one:
        print()
    if result.pieces:
        n = len(result.pieces)
        message = f"line {result.number}: longer than the model's context, translated in {n} pieces"
        print(message, file=sys.stderr)
    if not result.translations[0].ended:
        message = f"line {result.number}: the translation had no end and was cut off"
        print(message, file=sys.stderr)
