"""Show which tokens of a row carry loss.

If a model learns the wrong things, check the loss mask first. Every line begins with
`loss |` or `     |`, so the mask can be read without colors, in a log or a pipe. Unlike logs and
errors, this output holds the text of the row.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from chatwright.data.checks.plain_text import endings_of, texts_of
from chatwright.data.encoded.conversations import has_learned_answer
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    PreferenceRow,
    PromptRow,
    RankedRow,
    Row,
    ScoredPair,
    SentencePair,
    TextPair,
    TextRow,
    ThumbRow,
)
from chatwright.tokenizer.chat_template import Rendered, render
from chatwright.tokenizer.sentence_pair import source_ids, target_ids, target_tokenizer
from chatwright.tokenizer.tokenizer import Tokenizer

# Styles of the library rich.
LEARNED = "green"
NOT_LEARNED = "dim"
CONTROL = "bold magenta"  # so that the text "<|end|>" does not look like the control token


@dataclass(frozen=True)
class Segment:
    """Adjacent tokens of one kind."""

    text: str
    is_learned: bool
    is_control: bool


def show_row(row: Row) -> Text:
    """Return the row as it was read: each text with its role or column."""
    shown = Text()
    for name, text in texts_of(row):
        shown.append(f"{name}: ", style="bold").append(f"{printable(text)}\n")
    return shown


def show_mask(row: Row, tokenizer: Tokenizer) -> Text:
    """Return the tokens of a row with their loss mask; of feedback, every ending."""
    if isinstance(row, TextRow):
        return show_rendered(_render_text(row, tokenizer), tokenizer)
    if isinstance(row, ChatRow):
        if not has_learned_answer(row):
            return show_row(row).append(
                "no answer is to be learned: left out of training\n", style="bold"
            )
        return show_rendered(render(row.messages, tokenizer, row.learned or None), tokenizer)
    if isinstance(row, SentencePair):
        return _show_pair(row, tokenizer)
    if isinstance(row, PromptRow):
        message = "no token carries loss: the model's own replies are learned\n"
        return show_row(row).append(message, style="bold")
    if isinstance(row, TextPair | ScoredPair):
        message = "no token carries loss: whole texts are compared\n"
        return show_row(row).append(message, style="bold")
    return _show_endings(row, tokenizer)


def _render_text(row: TextRow, tokenizer: Tokenizer) -> Rendered:
    """Pretraining learns every token but <bos>."""
    ids = [tokenizer.control.bos, *tokenizer.encode(row.text), tokenizer.control.end]
    return Rendered(ids, [False] + [True] * (len(ids) - 1))


def _show_pair(row: SentencePair, tokenizer: Tokenizer) -> Text:
    side = target_tokenizer(tokenizer)
    source = source_ids(tokenizer.encode(row.source), tokenizer.control)
    target = target_ids(side.encode(row.target), tokenizer.control)
    shown = Text().append("source\n", style="bold")
    shown.append_text(show_rendered(Rendered(source, [False] * len(source)), tokenizer))
    shown.append("target\n", style="bold")
    loss_mask = [False] + [True] * (len(target) - 1)
    return shown.append_text(show_rendered(Rendered(target, loss_mask), side))


def _show_endings(
    row: PreferenceRow | RankedRow | ThumbRow | CorrectionRow, tokenizer: Tokenizer
) -> Text:
    shown = Text()
    for name, ending in endings_of(row).items():
        shown.append(f"{name}\n", style="bold")
        shown.append_text(show_rendered(render((*row.prompt, *ending), tokenizer), tokenizer))
    return shown


def show_rendered(rendered: Rendered, tokenizer: Tokenizer) -> Text:
    """Return the tokens as text, a line for each change between loss and no loss."""
    shown = Text()
    was_learned: bool | None = None
    at_line_start = True
    for segment in segments(rendered, tokenizer):
        if was_learned is not None and segment.is_learned != was_learned and not at_line_start:
            shown.append("\n")
            at_line_start = True
        was_learned = segment.is_learned
        style = CONTROL if segment.is_control else LEARNED if segment.is_learned else NOT_LEARNED
        for line in printable(segment.text).splitlines(keepends=True):
            if at_line_start:
                shown.append("loss | " if segment.is_learned else "     | ", style="bold")
            shown.append(line, style=style)
            at_line_start = line.endswith("\n")
    if not at_line_start:
        shown.append("\n")
    count = f"{sum(rendered.loss_mask)} of {len(rendered.token_ids)} tokens carry loss\n"
    return shown.append(count, style="bold")


def segments(rendered: Rendered, tokenizer: Tokenizer) -> list[Segment]:
    """Cut a rendered row into segments: text with loss, text without, and control tokens."""
    result: list[Segment] = []
    ids: list[int] = []
    was_learned = False

    def flush() -> None:
        if ids:
            result.append(Segment(tokenizer.decode(ids), was_learned, is_control=False))
            ids.clear()

    for token_id, is_learned in zip(rendered.token_ids, rendered.loss_mask, strict=True):
        name = tokenizer.control.string_of(token_id)
        if name is not None or is_learned != was_learned:
            flush()
        was_learned = is_learned
        if name is None:
            ids.append(token_id)
        else:
            result.append(Segment(name, is_learned, is_control=True))
    flush()
    return result


def printable(text: str) -> str:
    """Return the text with control characters escaped, so that it cannot control the terminal.

    Newlines and tabs stay.
    """
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\u{ord(c):04x}" for c in text)
