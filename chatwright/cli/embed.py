"""Print vectors of texts, compare texts, find the nearest: `chatwright embed DIR TEXT`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import Columns, Encoding, ModelDirectory, read_options
from chatwright.cli.output import print_json
from chatwright.commands import quoted
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.data.readers.data_source import ReadOptions
    from chatwright.pipeline.embed_texts import TextEmbedder
    from chatwright.tasks.embed import TextVector


Texts = Annotated[
    list[str] | None,
    typer.Argument(help="The texts. Without any, --file or standard input is read."),
]
TextFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        help='A file with one text per line, or a table (.jsonl, .csv, .tsv) with a column "text".',
    ),
]
Compare = Annotated[bool, typer.Option("--compare", help="Print the cosine of every two texts.")]
Nearest = Annotated[
    Path | None,
    typer.Option("--nearest", help="Print the texts of this file that are nearest to each text."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Write the vectors to this NumPy file (.npy) instead."),
]


def embed(
    directory: ModelDirectory,
    texts: Texts = None,
    file: TextFile = None,
    compare: Compare = False,
    nearest: Nearest = None,
    n: Annotated[int, typer.Option("-n", help="Number of nearest texts.")] = 5,
    out: Out = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
    encoding: Encoding = "",
    columns: Columns = "",
) -> None:
    """Print the vector of each text.

    The cosine of two vectors says how similar the texts are: 1 means the same direction.
    """
    _require_one_output(compare, nearest, out)
    from chatwright.pipeline.embed_texts import TextEmbedder, require_vector_file
    from chatwright.pipeline.text_input import read_texts

    if out is not None:
        require_vector_file(out)
    options = read_options(encoding, columns)
    given = _texts(texts, file, options)
    is_live = not texts and file is None
    embedder = TextEmbedder(directory)
    if compare:
        _print_compared(embedder, given, as_json)
    elif nearest is not None:
        _print_nearest(embedder, given, read_texts(nearest, options), n, is_live, as_json)
    elif out is not None:
        _write(embedder, given, out)
    else:
        for text in embedder.vectors(given, is_live):
            _print_vector(text, as_json)
    _print_note(embedder)


def _print_note(embedder: "TextEmbedder") -> None:
    """Say how many texts lost their end."""
    if embedder.n_too_long:
        print(
            f"note: {embedder.n_too_long:,} texts are longer than {embedder.max_length:,} tokens; "
            "the model reads only their beginning",
            file=sys.stderr,
        )


def _require_one_output(compare: bool, nearest: Path | None, out: Path | None) -> None:
    given = {"--compare": compare, "--nearest": nearest is not None, "--out": out is not None}
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise InputError(
            f"{' and '.join(names)} print different things.",
            remedy="Give one of them.",
            field=names[1],
        )


def _texts(texts: list[str] | None, file: Path | None, options: "ReadOptions") -> Iterable[str]:
    from chatwright.cli.standard_input import piped_lines
    from chatwright.pipeline.text_input import file_named_by, read_texts

    if texts and file is not None:
        raise InputError(
            "A text and --file are both given.", remedy="Leave out one of them.", field="--file"
        )
    if file is not None:
        return read_texts(file, options)
    if not texts:
        return piped_lines("text")
    for text in texts:
        if named := file_named_by(text):
            raise InputError(
                f"{named}: this is a file, not a text.",
                remedy=f"To embed the texts in it: --file {quoted(named)}",
                field="TEXTS",
                value=text,
            )
    return texts


def _print_vector(text: "TextVector", as_json: bool) -> None:
    numbers = text.vector.tolist()
    if as_json:
        print_json(
            {
                "text": text.text,
                "vector": numbers,
                "tokens": text.n_token,
                "tokens_left_out": text.n_left_out,
            }
        )
    else:
        print(*(f"{number:.6g}" for number in numbers), flush=True)


def _print_compared(embedder: "TextEmbedder", texts: Iterable[str], as_json: bool) -> None:
    compared = list(embedder.compare(texts))
    for pair in compared:
        if as_json:
            print_json({"texts": [pair.first, pair.second], "cosine": pair.cosine})
        elif len(compared) == 1:
            print(f"{pair.cosine:.4f}")
        else:
            print(f"{pair.cosine:.4f}\t{pair.first}\t{pair.second}")


def _print_nearest(
    embedder: "TextEmbedder",
    texts: Iterable[str],
    among: Iterator[str],
    n: int,
    is_live: bool,
    as_json: bool,
) -> None:
    for found in embedder.nearest(texts, among, n, is_live):
        if as_json:
            print_json({"text": found.text, "nearest": [vars(near) for near in found.nearest]})
            continue
        print(found.text)
        for near in found.nearest:
            print(f"  {near.cosine:7.4f}  {near.text}", flush=True)


def _write(embedder: "TextEmbedder", texts: Iterable[str], out: Path) -> None:
    from chatwright.pipeline.embed_texts import write_vectors

    n_text, size = write_vectors(list(embedder.vectors(texts)), out)
    print(f"done: {out} ({n_text:,} vectors of {size:,} numbers)")
