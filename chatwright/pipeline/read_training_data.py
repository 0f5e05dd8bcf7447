"""Read and encode training data, and report how much was read, kept for validation or left out."""

from chatwright.data.encoded.conversations import (
    EncodedConversations,
    encode_conversations_split,
)
from chatwright.data.encoded.corpus import EncodedCorpus, encode_documents_split
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.data.rows import Location
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.watcher import Watcher

N_FILES = 3
"""Number of files that a message names."""


def read_texts(
    data: DataSources,
    tokenizer: Tokenizer,
    watcher: Watcher,
    validation_share: float,
    options: ReadOptions,
    *,
    with_control: bool = True,
    leave_out_duplicates: bool = True,
    leave_out_overlaps: bool = False,
) -> tuple[EncodedCorpus, EncodedCorpus]:
    """Encode texts and return (training, validation).

    Args:
        data: Paths of the texts, as a setting of a stage holds them.
        tokenizer: The tokenizer.
        watcher: Receives messages about the number of texts read and left out.
        validation_share: Share of the texts kept for validation.
        options: How to read the files.
        with_control: Put <|bos|> and <|end|> around each text.
        leave_out_duplicates: Leave out texts that repeat an earlier one.
        leave_out_overlaps: Leave out training texts that share 13 words in a row with validation.
    """
    source = to_data_source(data)
    watcher.say(f"reading {describe_source(source)}")
    texts, validation = encode_documents_split(
        source,
        tokenizer,
        validation_share,
        with_control=with_control,
        options=options,
        leave_out_duplicates=leave_out_duplicates,
        leave_out_overlaps=leave_out_overlaps,
    )
    watcher.say(f"training on {texts.n_documents:,} texts, {len(texts.stream):,} tokens")
    watcher.say(
        f"validation on {validation.n_documents:,} texts, {len(validation.stream):,} tokens: "
        f"{_largest_files(validation)}"
    )
    _report_left_out(watcher, texts, "texts")
    if texts.n_duplicates:
        watcher.say(f"left out: {texts.n_duplicates:,} texts that repeat an earlier one")
    if texts.n_overlaps:
        action = "left out" if leave_out_overlaps else "kept (leave_out_overlaps=true removes them)"
        watcher.say(
            f"{texts.n_overlaps:,} training texts share 13 words in a row with a validation text: "
            f"{action}"
        )
    return texts, validation


def read_conversations(
    data: DataSources,
    tokenizer: Tokenizer,
    watcher: Watcher,
    context_length: int,
    validation_share: float,
    options: ReadOptions,
) -> tuple[EncodedConversations, EncodedConversations]:
    """Encode conversations of at most `context_length` tokens; return (training, validation)."""
    source = to_data_source(data)
    watcher.say(f"reading {describe_source(source)}")
    train, validation = encode_conversations_split(
        source, tokenizer, context_length, validation_share, options=options
    )
    watcher.say(
        f"training on {len(train.conversations):,} conversations, {train.n_tokens:,} tokens, "
        f"{train.n_supervised_tokens:,} of them in answers to learn"
    )
    _report_left_out(watcher, train, "conversations")
    if train.n_overlaps:
        watcher.say(
            f"{train.n_overlaps:,} training conversations share 13 words in a row with a "
            "validation conversation. No question is in both parts, but the shared words make the "
            "validation loss slightly too low"
        )
    for part, name in ((train, "training"), (validation, "validation")):
        _report_shortened(watcher, part, name, context_length)
    return train, validation


def _report_shortened(
    watcher: Watcher, read: EncodedConversations, part: str, context_length: int
) -> None:
    """Report how many conversations lost turns or were left out."""
    if read.n_cut or read.n_too_long:
        watcher.say(
            f"{part}: {read.n_cut:,} conversations lost later turns and {read.n_too_long:,} were "
            f"left out, because they are longer than {context_length:,} tokens"
        )
    if read.n_not_learned:
        watcher.say(
            f"{part}: {read.n_not_learned:,} conversations were left out, because their field "
            "`weight`, `train` or `loss` excludes every answer from training"
        )


def _report_left_out(
    watcher: Watcher, read: EncodedCorpus | EncodedConversations, kind: str
) -> None:
    """Report how many rows were of another kind, and which could not be read."""
    if read.n_rows_ignored:
        watcher.say(f"ignored: {read.n_rows_ignored:,} rows that are not {kind}")
    for problem in read.skipped:
        watcher.say(f"left out: {problem}")


def _largest_files(corpus: EncodedCorpus) -> str:
    """Return the largest files of a corpus, as "97 % server.log, 2 % notes.txt, 12 more files"."""
    total = max(sum(corpus.n_characters_by_file.values()), 1)
    largest = sorted(corpus.n_characters_by_file.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{100 * n / total:.0f} % {Location(file)}" for file, n in largest[:N_FILES]]
    n_more = len(largest) - len(parts)
    return ", ".join([*parts, f"{n_more:,} more files"] if n_more else parts)
