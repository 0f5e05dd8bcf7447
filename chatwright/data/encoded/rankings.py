"""Rankings of replies as token ids, split into training and validation by prompt and by rater.

A pair of a chosen and a rejected reply is a ranking of two. Rankings in which all replies are tied
state no preference and are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from chatwright.conversation import Message
from chatwright.data.encoded.conversations import errors_naming
from chatwright.data.encoded.preferences import conversation_key, text_size
from chatwright.data.readers.data_source import DEFAULTS, DataSource, ReadOptions
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import DataError, RankedRow, ordered_pairs
from chatwright.data.split import choose_validation
from chatwright.tokenizer.chat_template import render_scored
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

HeldOut = Literal["", "prompt", "rater", "both"]
"""What training never sees of a ranking: nothing, its prompt, its rater, or both."""
FEWEST_RATERS = 4
"""With fewer raters, none is held out: too few would remain for training."""
REMEDY = (
    "a reward model reads feedback snapshots, rows with prompt, chosen and rejected, or chosen and "
    "rejected conversations that begin with the same turns"
)


@dataclass(frozen=True)
class EncodedRanking:
    """The replies to one prompt and the order in which a rater prefers them."""

    replies: tuple[list[int], ...]
    """The token ids of each conversation, prompt and reply."""
    ranks: tuple[int, ...]
    """One rank per reply; 1 is the best, and equal ranks are a tie."""
    texts: tuple[str, ...]
    """The text of each reply, without the prompt."""
    prompt: str
    """Hash of the prompt: rankings with equal hashes belong together."""
    rater: str
    """Name of the rater; "" if it is not known."""
    held_out: HeldOut = ""

    def pairs(self) -> list[tuple[int, int]]:
        """Return (better, worse) for every two replies with different ranks, as indices."""
        return ordered_pairs(self.ranks)


@dataclass(frozen=True)
class EncodedRankings:
    """Rankings, and what was left out of them."""

    rankings: list[EncodedRanking]
    sha256: str
    """Hash of the texts, the ranks and the raters."""
    n_too_long: int = 0
    """Rankings of which one conversation is longer than the limit: left out."""
    n_tied: int = 0
    """Rankings in which all replies are tied: left out."""
    n_rows_ignored: int = 0
    """Rows of other kinds, such as conversations."""
    skipped: tuple[str, ...] = ()
    """Files and rows that were left out because they cannot be read, one line per reason."""

    def __len__(self) -> int:
        return len(self.rankings)

    def raters(self) -> set[str]:
        """Return the names of the known raters."""
        return {ranking.rater for ranking in self.rankings} - {""}

    def describe(self) -> dict[str, Any]:
        """Return the counts and the hash that identify the data of a run."""
        replies = [reply for ranking in self.rankings for reply in ranking.replies]
        return {
            "rankings": len(self),
            "pairs": sum(len(ranking.pairs()) for ranking in self.rankings),
            "prompts": len({ranking.prompt for ranking in self.rankings}),
            "raters": len(self.raters()),
            "tokens": sum(len(reply) for reply in replies),
            "sha256": self.sha256,
        }


def encode_rankings_split(
    source: DataSource,
    tokenizer: Tokenizer,
    max_length: int,
    validation_share: float,
    rater_share: float,
    options: ReadOptions = DEFAULTS,
) -> tuple[EncodedRankings, EncodedRankings]:
    """Encode the rankings at `source` as (training, validation); `hold_out` splits them.

    Raises:
        DataError: There is no preference, or too few prompts to keep some for validation.
    """
    read = read_kind(RankedRow, source, options, name="preferences", remedy=REMEDY)
    rows = read.rows
    with_preference = [row for row in rows if len(set(row.ranks)) > 1]
    if not with_preference:
        raise DataError(
            rows[0].location,
            f"all {len(rows)} rankings are ties, so none prefers a reply",
            "collect rankings with a preference",
            field="ranks",
        )
    held_out = hold_out(with_preference, validation_share, rater_share)
    training, validation = (
        _encode_part(with_preference, held_out, is_training, tokenizer, max_length)
        for is_training in (True, False)
    )
    training = replace(
        training,
        n_tied=len(rows) - len(with_preference),
        n_rows_ignored=read.n_ignored,
        skipped=read.skipped,
    )
    return training, validation


def hold_out(
    rows: Sequence[RankedRow], validation_share: float, rater_share: float
) -> list[HeldOut]:
    """Return for every row what of it is held out; training reads the rows with "".

    The hash of the prompt decides, and with at least FEWEST_RATERS raters also that of the rater.
    So all rankings of a held-out prompt and all of a held-out rater are kept for validation.

    Raises:
        DataError: There are too few prompts to keep some for validation.
    """
    prompts = [conversation_key(row.prompt) for row in rows]
    sizes = [sum(text_size(ending) for ending in row.endings) for row in rows]
    new_prompt = choose_validation(prompts, sizes, validation_share)
    raters = [row.rater for row in rows]
    new_rater = [False] * len(rows)
    if rater_share and len(set(raters) - {""}) >= FEWEST_RATERS:
        new_rater = choose_validation(raters, [1] * len(rows), rater_share)
    names: dict[tuple[bool, bool], HeldOut] = {
        (False, False): "",
        (True, False): "prompt",
        (False, True): "rater",
        (True, True): "both",
    }
    held_out = [names[pair] for pair in zip(new_prompt, new_rater, strict=True)]
    if not any(new_prompt) or all(held_out):
        raise DataError(
            rows[0].location,
            f"the {len(rows)} rankings have too few different prompts to keep "
            f"{validation_share:.0%} for validation",
            "add rankings with other prompts, or make validation_share larger",
            field="validation_share",
        )
    return held_out


def _encode_part(
    rows: Sequence[RankedRow],
    held_out: Sequence[HeldOut],
    is_training: bool,
    tokenizer: Tokenizer,
    max_length: int,
) -> EncodedRankings:
    chosen = [i for i, kept in enumerate(held_out) if (not kept) == is_training]
    kept = [held_out[i] for i in chosen]
    part = encode_rankings([rows[i] for i in chosen], tokenizer, max_length, kept)
    if not len(part):
        name = "training" if is_training else "validation"
        raise DataError(
            rows[chosen[0]].location,
            f"each of the {len(chosen)} {name} rankings has a conversation longer than "
            f"{max_length} tokens",
            "make the context length larger or the conversations shorter",
            field="context_length",
        )
    return part


def encode_rankings(
    rows: Sequence[RankedRow],
    tokenizer: Tokenizer,
    max_length: int,
    held_out: Sequence[HeldOut] | None = None,
) -> EncodedRankings:
    """Encode rankings; leave out those of which a conversation is longer than `max_length` tokens.

    Args:
        rows: The rankings.
        tokenizer: Renders the conversations.
        max_length: Largest number of tokens of a conversation.
        held_out: What of each row is held out; None: nothing.
    """
    nothing: list[HeldOut] = [""] * len(rows)
    content = hashlib.sha256()
    rankings = []
    for row, kept in zip(rows, held_out or nothing, strict=True):
        for part in (row.prompt, *row.endings):
            content.update(conversation_key(part).encode() + b"\x00")
        content.update(f"{row.ranks} {row.rater}\x00".encode())
        replies = tuple(_render(row, ending, tokenizer) for ending in row.endings)
        if max(len(reply) for reply in replies) <= max_length:
            texts = tuple(" ".join(map(message_text, ending)) for ending in row.endings)
            prompt = hashlib.sha256(conversation_key(row.prompt).encode()).hexdigest()
            ranking = EncodedRanking(replies, row.ranks, texts, prompt, row.rater, kept)
            rankings.append(ranking)
    return EncodedRankings(rankings, content.hexdigest(), len(rows) - len(rankings))


def _render(row: RankedRow, ending: tuple[Message, ...], tokenizer: Tokenizer) -> list[int]:
    with errors_naming(row.location):
        return render_scored((*row.prompt, *ending), tokenizer)
