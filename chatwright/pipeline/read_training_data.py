"""Read and encode training data, and tell the user what was read and left out."""

from chatwright.data import corpus
from chatwright.data.readers import describe_source
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.watcher import Watcher


def read_texts(
    written: DataSources,
    tokenizer: Tokenizer,
    watcher: Watcher,
    validation_share: float,
    *,
    with_control: bool = True,
    skip_bad_rows: bool = False,
    leave_out_duplicates: bool = True,
    leave_out_overlaps: bool = False,
) -> tuple[corpus.EncodedCorpus, corpus.EncodedCorpus]:
    """Encode texts and return (training, validation).

    Args:
        written: The setting that names the texts.
        tokenizer: Encodes them.
        watcher: Receives what was read and left out.
        validation_share: Share of the texts kept for validation.
        with_control: Put <|bos|> and <|end|> around each text.
        skip_bad_rows: Leave out rows that cannot be read, instead of raising the first error.
        leave_out_duplicates: Leave out texts that repeat an earlier one.
        leave_out_overlaps: Leave out training texts that share 13 words in a row with validation.
    """
    source = to_data_source(written)
    watcher.say(f"reading {describe_source(source)}")
    texts, validation = corpus.encode_documents_split(
        source,
        tokenizer,
        validation_share,
        with_control=with_control,
        skip_bad_rows=skip_bad_rows,
        leave_out_duplicates=leave_out_duplicates,
        leave_out_overlaps=leave_out_overlaps,
    )
    report_read(
        watcher, texts, f"{texts.n_documents:,} texts, {len(texts.stream):,} tokens", "texts"
    )
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
    written: DataSources,
    tokenizer: Tokenizer,
    watcher: Watcher,
    context_length: int,
    validation_share: float,
    skip_bad_rows: bool,
) -> tuple[corpus.EncodedConversations, corpus.EncodedConversations]:
    """Encode conversations and return (training, validation). Say which file is being read."""
    source = to_data_source(written)
    watcher.say(f"reading {describe_source(source)}")
    return corpus.encode_conversations_split(
        source, tokenizer, context_length, validation_share, skip_bad_rows=skip_bad_rows
    )


def report_read(
    watcher: Watcher,
    read: corpus.EncodedCorpus | corpus.EncodedConversations,
    counts: str,
    kind: str,
) -> None:
    """Say what is trained on, and how many rows were of another kind or could not be read."""
    watcher.say(f"training on {counts}")
    if read.n_rows_ignored:
        watcher.say(f"ignored: {read.n_rows_ignored:,} rows that are not {kind}")
    for problem in read.skipped:
        watcher.say(f"left out: {problem}")
