"""Read the sentence pairs that the settings of a stage name."""

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.sentence_pairs import read_pairs
from chatwright.data.rows import DataError, SentencePair
from chatwright.errors import InputError
from chatwright.pipeline.data_sources import DataSources, to_data_source


def require_both_sides(source: DataSources, target: DataSources, prefix: str) -> None:
    """Raise InputError if only one of the settings source and target is given."""
    if bool(source) != bool(target):
        missing = f"{prefix}target" if source else f"{prefix}source"
        raise InputError(
            f"{prefix}source and {prefix}target belong together: line n of one is the translation "
            "of line n of the other.",
            remedy=f"Give {missing} too.",
            field=missing,
        )


def read_sentence_pairs(
    pairs: DataSources,
    source: DataSources,
    target: DataSources,
    columns: tuple[int, int],
    options: ReadOptions,
    skipped: list[DataError],
) -> list[SentencePair]:
    """Read pairs from files that hold both sides, from two files line by line, or from both.

    Args:
        pairs: Files that hold both sides.
        source: Files with one sentence per line.
        target: Files with the translations of `source`'s lines.
        columns: Columns of source and target in files without a header, counted from 1.
        options: How to read the files.
        skipped: Receives the errors of rows and files that are left out.
    """
    result: list[SentencePair] = []
    if pairs:
        result += read_pairs(
            to_data_source(pairs), columns=columns, options=options, skipped=skipped
        )
    if source:
        result += read_pairs(
            to_data_source(source), to_data_source(target), options=options, skipped=skipped
        )
    return result
