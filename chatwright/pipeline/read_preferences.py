"""Read and encode preferences, and report how many were read and left out."""

from chatwright.data.encoded.preferences import EncodedPreferences, encode_preferences_split
from chatwright.data.encoded.rated_replies import EncodedReplies, encode_replies_split
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.watcher import Watcher


def read_pairs(
    data: DataSources,
    tokenizer: Tokenizer,
    max_length: int,
    validation_share: float,
    options: ReadOptions,
    watcher: Watcher,
) -> tuple[EncodedPreferences, EncodedPreferences]:
    """Encode pairs of replies and return (training, validation)."""
    source = to_data_source(data)
    watcher.say(f"reading {describe_source(source)}")
    training, validation = encode_preferences_split(
        source, tokenizer, max_length, validation_share, options
    )
    watcher.say(
        f"training on {len(training):,} pairs of replies, validation on {len(validation):,}"
    )
    if training.n_thumb:
        watcher.say(
            f"ignored: {training.n_thumb:,} ratings of single replies; loss=kto learns from them "
            "and from pairs"
        )
    n_other = training.n_rows_ignored - training.n_thumb
    _report_left_out(watcher, training, validation, "pairs", n_other)
    return training, validation


def read_rated_replies(
    data: DataSources,
    tokenizer: Tokenizer,
    max_length: int,
    validation_share: float,
    options: ReadOptions,
    seed: int,
    watcher: Watcher,
) -> tuple[EncodedReplies, EncodedReplies]:
    """Encode replies that were judged good or bad and return (training, validation)."""
    source = to_data_source(data)
    watcher.say(f"reading {describe_source(source)}")
    training, validation = encode_replies_split(
        source, tokenizer, max_length, validation_share, options, seed
    )
    n_bad = len(training) - training.n_good
    watcher.say(
        f"training on {training.n_good:,} good and {n_bad:,} bad replies, "
        f"validation on {len(validation):,}"
    )
    if not training.n_good or not n_bad:
        rating, other = ("good", "bad") if training.n_good else ("bad", "good")
        watcher.warn(
            f"All replies are {rating}, so the model is not shown what to prefer. "
            f"Add replies that were judged {other}."
        )
    _report_left_out(watcher, training, validation, "replies", training.n_rows_ignored)
    return training, validation


def _report_left_out(
    watcher: Watcher,
    training: EncodedPreferences | EncodedReplies,
    validation: EncodedPreferences | EncodedReplies,
    kind: str,
    n_other: int,
) -> None:
    """Report how many rows were left out, and why."""
    n_too_long = training.n_too_long + validation.n_too_long
    if n_too_long:
        watcher.say(f"left out: {n_too_long:,} {kind} with too long a conversation")
    if training.n_tie:
        watcher.say(f"left out: {training.n_tie:,} rankings in which all replies are equal")
    if training.n_duplicate:
        watcher.say(f"left out: {training.n_duplicate:,} {kind} that repeat an earlier one")
    if training.n_contradicting:
        watcher.say(
            f"{training.n_contradicting:,} {kind} are contradicted by other rows: the majority "
            "decides, and a tie is left out"
        )
    if n_other:
        watcher.say(f"ignored: {n_other:,} rows that are not preferences")
    for problem in training.skipped:
        watcher.say(f"left out: {problem}")
