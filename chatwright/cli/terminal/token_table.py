"""The tables that /why shows: the tokens of a reply, their probabilities and alternatives.

The probabilities are the model's own, before temperature and the other settings change them.
"""

from collections.abc import Sequence
from math import exp

from rich.cells import cell_len

from chatwright.engine.messages import TokenSampled
from chatwright.errors import InputError
from chatwright.tokenizer.tokenizer import Tokenizer

N_ALTERNATIVES = 4
"""Alternatives shown in the table of all tokens."""


def token_table(tokens: Sequence[TokenSampled], tokenizer: Tokenizer) -> list[str]:
    """Return one line per token: its number, its probability, and the best alternatives."""
    rows = [("number", "token", "prob", "most probable alternatives")]
    for number, token in enumerate(tokens, 1):
        others = [item for item in token.alternatives if item[0] != token.token_id]
        alternatives = "  ".join(
            f"{display_token(other, tokenizer)} {probability(log_prob)}"
            for other, log_prob in others[:N_ALTERNATIVES]
        )
        shown = display_token(token.token_id, tokenizer)
        rows.append((str(number), shown, probability(token.log_prob), alternatives))
    return aligned(rows)


def alternatives_table(
    tokens: Sequence[TokenSampled], number: int, tokenizer: Tokenizer
) -> list[str]:
    """Return all reported alternatives to one token, the most probable first.

    `number` counts from 1. Raises InputError if there is no such token.
    """
    if not 1 <= number <= len(tokens):
        raise InputError(
            f"The last reply has {len(tokens)} tokens and no token {number}.",
            remedy=f"Give a number from 1 to {len(tokens)}.",
            field="/why",
            value=number,
        )
    token = tokens[number - 1]
    ranked = list(token.alternatives)
    if token.token_id not in dict(ranked):
        ranked.append((token.token_id, token.log_prob))
    rows = [("", "token", "prob")]
    for other, log_prob in ranked:
        arrow = "->" if other == token.token_id else ""
        rows.append((arrow, display_token(other, tokenizer), probability(log_prob)))
    rest = max(0.0, 1.0 - sum(exp(log_prob) for _, log_prob in ranked))
    return [*aligned(rows), f"all other tokens together {rest:.4f}"]


def probability(log_prob: float) -> str:
    """Return a probability with four decimals, or "<.0001" if it would round to zero."""
    return "<.0001" if 0 < exp(log_prob) < 0.00005 else f"{exp(log_prob):.4f}"


def display_token(token_id: int, tokenizer: Tokenizer) -> str:
    r"""Return the display of a token; different tokens look different.

    Text is in quotes, so that spaces are visible. Control tokens have no quotes. Characters that do
    not print are escaped: \n, \u200b for a character, \xe2 for a byte that is only part of one.
    """
    control = tokenizer.control.string_of(token_id)
    if control is not None:
        return control
    if token_id >= tokenizer.vocab_size:
        return f"(id {token_id}, unused)"  # the model has more ids than its tokenizer
    text = tokenizer.token_bytes(token_id).decode("utf-8", errors="surrogateescape")
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    if character in '"\\':
        return "\\" + character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines whose columns are aligned by their width on the screen."""
    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
