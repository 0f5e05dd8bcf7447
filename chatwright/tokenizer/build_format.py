"""Turn a chat format of strings into the ids of a tokenizer.

Each special token or marker in a string becomes its id; what stands between them stays text, which
is encoded together with the texts of the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chatwright.tokenizer.chat_format import (
    END,
    LAST,
    PROMPT,
    THINKING,
    ChatFormat,
    Layout,
    Pieces,
    Separator,
)
from chatwright.tokenizer.format_data import FormatData, LayoutData
from chatwright.tokenizer.tool_format import ToolFormat


@dataclass(frozen=True)
class Markers:
    """The special tokens and markers of a tokenizer."""

    ids: Mapping[str, int] = field(default_factory=dict)
    """By their spelling. Without any, a format is built from texts alone."""
    rstrip_ids: frozenset[int] = frozenset()
    """Those that remove the white space after them."""
    lstrip_ids: frozenset[int] = frozenset()
    """Those that remove the white space before them."""
    end: int | None = None
    """The token that ends a document, if there is one."""
    encode_after_marker: Callable[[str], Sequence[int]] | None = None
    """See `ChatFormat.encode_after_marker`."""

    def split(self, text: str) -> Pieces:
        """Return the text with its markers as ids. Of several markers the longest counts."""
        present = [marker for marker in self.ids if marker in text]
        if not present:
            return (text,) if text else ()
        longest_first = sorted(present, key=len, reverse=True)
        pattern = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
        pieces = (piece for piece in pattern.split(text) if piece)
        return tuple(self.ids.get(piece, piece) for piece in pieces)


def build_format(
    name: str, data: FormatData, markers: Markers, system: str | None = None
) -> ChatFormat:
    """Return a chat format in the ids of a tokenizer.

    Args:
        name: Name for messages to the user.
        data: The format.
        markers: The tokenizer's special tokens and markers.
        system: Replaces the format's default system text.
    """
    layouts = {
        is_on: _layout(layout, data, markers)
        for is_on, layout in ((True, data.thinking_on), (False, data.thinking_off))
        if layout is not None
    }
    layout = _layout(data.layout, data, markers)
    stop_ids = {markers.ids[stop] for stop in data.stops if stop in markers.ids}
    end_of_answer = _first_marker(
        layout.separator("assistant", END).ends + layout.separator("assistant", "user").ends
    )
    if end_of_answer is not None:
        stop_ids.add(end_of_answer)
    if markers.end is not None:
        stop_ids.add(markers.end)
    return ChatFormat(
        name,
        layout,
        tuple(sorted(stop_ids)),
        thinking_layouts=layouts,
        thinking_tags=data.thinking_tags,
        thinking_ids={
            markers.ids[tag]: tag for tag in data.thinking_tags or () if tag in markers.ids
        },
        tools=ToolFormat.of(markers.ids) if "system" in layout.kinds else None,
        stop_texts=() if end_of_answer is not None else _stop_texts(data.layout),
        default_system=data.default_system,
        system=system,
        system_goes_last=data.system_goes_last,
        empty_system=data.empty_system,
        rstrip_ids=markers.rstrip_ids,
        lstrip_ids=markers.lstrip_ids,
        encode_after_marker=markers.encode_after_marker,
    )


def _layout(layout: LayoutData, data: FormatData, markers: Markers) -> Layout:
    prompt = layout.separators.get(f"user>{PROMPT}", "")
    separators = {}
    for key, text in layout.separators.items():
        left, right = key.split(">")
        before, after = layout.trims.get(key, ("", ""))
        separator = _separator(left, right, text, prompt, markers)
        separators[left, right] = replace(separator, trim_before=before, trim_after=after)
    tags = data.thinking_tags
    return Layout(
        separators,
        opens_thinking=tags is not None and prompt.rstrip().endswith(tags[0]),
        reply_space=_reply_space(layout.separators, markers),
    )


def _separator(left: str, right: str, text: str, prompt: str, markers: Markers) -> Separator:
    if right.removeprefix(LAST) == THINKING and text.startswith(prompt):
        # The model writes itself what the prompt lacks, for example "<think>".
        opens = markers.split(text.removeprefix(prompt))
        return Separator(middle=markers.split(prompt), opens=opens)
    if left.removeprefix(LAST) == THINKING:
        return Separator(ends=markers.split(text))
    if left == "assistant":
        return _after_answer(markers.split(text))
    return Separator(middle=markers.split(text))


def _after_answer(pieces: Pieces) -> Separator:
    """Return the separator after an answer, which ends with its first marker."""
    for index, piece in enumerate(pieces):
        if isinstance(piece, int):
            return Separator(ends=pieces[: index + 1], middle=pieces[index + 1 :])
    return Separator(middle=pieces)


def _first_marker(pieces: Pieces) -> int | None:
    return next((piece for piece in pieces if isinstance(piece, int)), None)


def _stop_texts(layout: LayoutData) -> tuple[str, ...]:
    """Return the text that ends a reply in a format without end token: what follows an answer."""
    following = layout.separators.get("assistant>user", "").rstrip()
    return (following,) if following.strip() else ()


def _reply_space(separators: Mapping[str, str], markers: Markers) -> str | None:
    """Return the white space that stands between the prompt and the text of an answer.

    None if nothing stands between the prompt's last marker and the reply: then it is the
    tokenizer's prefix.
    """
    prompt = separators.get(f"user>{PROMPT}", "")
    answer = separators.get(f"user>{LAST}assistant", separators.get("user>assistant", ""))
    space = answer.removeprefix(prompt) if answer.startswith(prompt) else ""
    if space.isspace():
        return space
    *before, last = markers.split(prompt) or ("",)
    if not isinstance(last, str):
        return None
    is_removed = last.isspace() and before[-1:] != [] and before[-1] in markers.rstrip_ids
    return None if is_removed else ""
