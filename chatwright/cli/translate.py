"""chatwright translate DIR TEXT: sentences to their translations, from the command line, a file or a pipe."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.texts import file_called, from_file, from_pipe, require_place, require_some
from chatwright.commands import quoted

if TYPE_CHECKING:
    from chatwright.tasks.translate import Translated, Translator

LINES_AT_ONCE = 512
MOST_MAPS = 20


def translate(
    directory: Annotated[
        Path, typer.Argument(help="A model directory, or the folder of a training run.")
    ],
    text: Annotated[
        str | None,
        typer.Argument(help="What to translate. Without it, --file or standard input is read."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A file with a sentence a line.")
    ] = None,
    beam: Annotated[
        int,
        typer.Option(
            "--beam", help="How many beginnings are followed at once; 1 is greedy search."
        ),
    ] = 5,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="The most probable token each time: --beam 1.")
    ] = False,
    length_penalty: Annotated[
        float,
        typer.Option(
            "--length-penalty",
            help="Above 0 favours longer translations; 0 compares log-probabilities as they are.",
        ),
    ] = 1.0,
    n_best: Annotated[
        int,
        typer.Option(
            "--n-best",
            help="So many translations of each sentence, best first, each with its score.",
        ),
    ] = 1,
    attention: Annotated[
        Path | None,
        typer.Option("--attention", help="Also write a page that shows who looked at whom."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help="Also write each translation and its text, tab between: pairs to train "
            "the other direction on (back-translation).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a sentence.")] = False,
) -> None:
    """Translate sentences with a model that learned it: one line in, one line out."""
    from chatwright.cli.load_model import open_translator
    from chatwright.engine.beam_search import BeamConfig

    config = BeamConfig(width=1 if greedy else beam, length_penalty=length_penalty, n_best=n_best)
    texts = list(require_some(_read(text, file)))
    for place in (attention, pairs):
        if place is not None:
            require_place(place)
    if attention is not None and len(texts) > MOST_MAPS:
        raise ValueError(
            f"--attention shows at most {MOST_MAPS} sentences, and {len(texts)} were given: choose the ones to look at."
        )
    translator = open_translator(directory)
    translator.read(texts)  # a sentence too long is said before the first is translated
    everything: list[list[Translated]] = []
    for start in range(0, len(texts), LINES_AT_ONCE):
        here = texts[start : start + LINES_AT_ONCE]
        found = translator.translate(here, config)
        _print(here, found, start, n_best, as_json)
        everything += found
    if attention is not None:
        _write_page(translator, texts, everything, attention)
    if pairs is not None:
        write_pairs(texts, everything, pairs)


def _read(text: str | None, file: Path | None) -> Iterable[str]:
    if text is not None and file is not None:
        raise ValueError("a text and --file are both given: leave out one of them.")
    if text is not None:
        if named := file_called(text):
            raise ValueError(
                f"{named}: is a file, not a sentence. To translate what is in it: --file {quoted(named)}"
            )
        return [text]
    if file is None and sys.stdin.isatty():
        raise ValueError(
            "nothing to translate: write a sentence after the directory, or give --file FILE, or pipe lines in."
        )
    return from_file(file) if file is not None else from_pipe()


def _print(
    texts: "Sequence[str]",
    found: "Sequence[Sequence[Translated]]",
    start: int,
    n_best: int,
    as_json: bool,
) -> None:
    for number, (text, translations) in enumerate(zip(texts, found, strict=True), start + 1):
        if as_json:
            rows = [
                {"text": t.text, "score": t.score, "log_prob": t.log_prob, "ended": t.ended}
                for t in translations
            ]
            print(
                json.dumps({"source": text, "translations": rows}, ensure_ascii=False), flush=True
            )
            continue
        for translation in translations:
            print(
                translation.text
                if n_best == 1
                else f"{translation.score:8.4f}  {translation.text}",
                flush=True,
            )
        if n_best > 1 and len(texts) > 1:
            print()
        if not translations[0].ended:
            print(f"line {number}: the translation came to no end and was cut off", file=sys.stderr)


def write_pairs(texts: Sequence[str], found: "Sequence[Sequence[Translated]]", place: Path) -> None:
    """Made sources beside the true targets (Sennrich et al. 2016). A translation that came to no end teaches nothing and is left out."""
    good = [
        (" ".join(best.text.split()), " ".join(text.split()))
        for text, (best, *_) in zip(texts, found, strict=True)
        if best.ended
    ]
    good = [(made, text) for made, text in good if made and text]
    place.write_text("".join(f"{made}\t{text}\n" for made, text in good), encoding="utf-8")
    print(
        f"pairs: {len(good):,} of {len(texts):,} texts in {place}; the others are blank or came to no end",
        file=sys.stderr,
    )


def _write_page(
    translator: "Translator",
    texts: Sequence[str],
    found: "Sequence[Sequence[Translated]]",
    page: Path,
) -> None:
    from chatwright.inspection.attention_maps import translation_maps
    from chatwright.inspection.attention_page import attention_page

    model, tokenizer = translator.forward.model, translator.tokenizer
    end = [int(tokenizer.control.end)]
    shown = [
        (
            text,
            best.text,
            translation_maps(model, tokenizer, text.strip(), [*best.token_ids, *end * best.ended]),
        )
        for text, (best, *_) in zip(texts, found, strict=True)
        if text.strip()
    ]
    page.write_text(attention_page("Who looked at whom", shown), encoding="utf-8")
    print(f"attention: {page} (opens in any browser, without a network)", file=sys.stderr)
