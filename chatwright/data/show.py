"""Show which tokens of a row carry loss, the first thing to look at when a model learns the wrong thing.

Every line begins with `loss |` or `     |`, so the mask can be read without colours, in a log or a pipe. This prints the
row's text, which is its purpose; everything else in Chatwright keeps texts out of its output.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from chatwright.conversation import Message
from chatwright.data.rows import ChatRow, PreferenceRow, Row, TextRow
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.chat_template import Rendered, render
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

LEARNED, GIVEN = "green", "dim"
CONTROL = "bold magenta"  # so that "<|end|>" typed by a person does not look like the control token


@dataclass(frozen=True)
class Segment:
    """Neighbouring tokens of one kind."""

    text: str
    is_learned: bool
    is_control: bool


def show_row(row: Row) -> Text:
    """The row as it was read: who says what."""
    shown = Text()
    parts = (
        [("text", row.text)]
        if isinstance(row, TextRow)
        else [(turn_kind(m), message_text(m)) for m in _messages(row)]
    )
    for name, content in parts:
        shown.append(f"{name}: ", style="bold").append(f"{content}\n")
    return shown


def _messages(row: ChatRow | PreferenceRow) -> tuple[Message, ...]:
    return row.messages if isinstance(row, ChatRow) else (*row.prompt, *row.chosen, *row.rejected)


def show_mask(row: Row, tokenizer: Tokenizer) -> Text:
    """The row as the model is trained on it. Of a preference row both endings are shown, one after the other."""
    shown = Text()
    if isinstance(row, PreferenceRow):
        for name, ending in (("chosen", row.chosen), ("rejected", row.rejected)):
            shown.append(f"{name}\n", style="bold")
            shown.append_text(show_rendered(render((*row.prompt, *ending), tokenizer), tokenizer))
        return shown
    return show_rendered(render_row(row, tokenizer), tokenizer)


def render_row(row: Row, tokenizer: Tokenizer) -> Rendered:
    assert not isinstance(row, PreferenceRow), "a preference row is two conversations"
    if isinstance(row, TextRow):
        ids = [tokenizer.control.bos, *tokenizer.encode(row.text), tokenizer.control.end]
        return Rendered(
            ids, [False] + [True] * (len(ids) - 1)
        )  # pretraining learns everything after <|bos|>
    return render(row.messages, tokenizer, row.learned or None)


def show_rendered(rendered: Rendered, tokenizer: Tokenizer) -> Text:
    shown = Text()
    before: bool | None = None
    at_line_start = True
    for segment in segments(rendered, tokenizer):
        if before is not None and segment.is_learned != before and not at_line_start:
            shown.append("\n")
            at_line_start = True
        before = segment.is_learned
        style = CONTROL if segment.is_control else (LEARNED if segment.is_learned else GIVEN)
        for line in printable(segment.text).splitlines(keepends=True):
            if at_line_start:
                shown.append("loss | " if segment.is_learned else "     | ", style="bold")
            shown.append(line, style=style)
            at_line_start = line.endswith("\n")
    if not at_line_start:
        shown.append("\n")
    shown.append(
        f"{sum(rendered.loss_mask)} of {len(rendered.token_ids)} tokens carry loss\n", style="bold"
    )
    return shown


def segments(rendered: Rendered, tokenizer: Tokenizer) -> list[Segment]:
    found: list[Segment] = []
    ids: list[int] = []
    was_learned = False

    def flush() -> None:
        if ids:
            found.append(Segment(tokenizer.decode(ids), was_learned, is_control=False))
            ids.clear()

    for token_id, is_learned in zip(rendered.token_ids, rendered.loss_mask, strict=True):
        name = tokenizer.control.string_of(token_id)
        if name is not None or is_learned != was_learned:
            flush()
        was_learned = is_learned
        if name is None:
            ids.append(token_id)
        else:
            found.append(Segment(name, is_learned, is_control=True))
    flush()
    return found


def printable(text: str) -> str:
    """Control characters written out, so that a row cannot drive the terminal. Newlines and tabs stay."""
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\u{ord(c):04x}" for c in text)
