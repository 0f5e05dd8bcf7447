"""The table behind /why: each token of a reply with its probability, and what else might have stood there.

The probabilities are the model's own, those the engine drew from before temperature and the other settings changed them.
"""

from collections.abc import Sequence
from math import exp

from rich.cells import cell_len

from chatwright.engine.request import TokenSampled
from chatwright.tokenizer.tokenizer import Tokenizer

N_BESIDE = 4  # alternatives in the table of all places


def table(tokens: Sequence[TokenSampled], tokenizer: Tokenizer) -> list[str]:
    """One line a place: number, token, probability, the best others with theirs."""
    rows = [("place", "token", "prob", "most probable others")]
    for place, token in enumerate(tokens, 1):
        others = [
            (other, log_prob) for other, log_prob in token.alternatives if other != token.token_id
        ][:N_BESIDE]
        rows.append(
            (
                str(place),
                visible(token.token_id, tokenizer),
                probability(token.log_prob),
                "  ".join(
                    f"{visible(other, tokenizer)} {probability(log_prob)}"
                    for other, log_prob in others
                ),
            )
        )
    return aligned(rows)


def place_table(tokens: Sequence[TokenSampled], place: int, tokenizer: Tokenizer) -> list[str]:
    """Everything known of one place (counted from 1): every alternative the engine reported, the most probable first."""
    if not 1 <= place <= len(tokens):
        raise ValueError(
            f"/why {place}: the last reply has {len(tokens)} tokens. Give a place from 1 to {len(tokens)}."
        )
    token = tokens[place - 1]
    ranked = list(token.alternatives)
    if token.token_id not in dict(ranked):
        ranked.append((token.token_id, token.log_prob))
    rows = [("", "token", "prob")]
    rows += [
        ("->" if other == token.token_id else "", visible(other, tokenizer), probability(log_prob))
        for other, log_prob in ranked
    ]
    rest = max(0.0, 1.0 - sum(exp(log_prob) for _, log_prob in ranked))
    return [*aligned(rows), f"all other tokens together {rest:.4f}"]


def probability(log_prob: float) -> str:
    return "<.0001" if 0 < exp(log_prob) < 0.00005 else f"{exp(log_prob):.4f}"


def visible(token_id: int, tokenizer: Tokenizer) -> str:
    """A token as a person can tell it from every other: text in quotes, so that spaces show, and control tokens by name, without.

    What has no shape on a screen is written out: \\n, \\u200b for a character, \\xe2 for a byte that is only part of one.
    """
    control = tokenizer.control.string_of(token_id)
    if control is not None:
        return control
    if token_id >= tokenizer.vocab_size:
        return f"(id {token_id}, unused)"  # models round their vocabulary up
    return (
        '"'
        + "".join(
            map(_escaped, tokenizer.token_bytes(token_id).decode("utf-8", errors="surrogateescape"))
        )
        + '"'
    )


def _escaped(character: str) -> str:
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    if character in '"\\':
        return "\\" + character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
