"""Chat formats of known open models, as data, and how they become token ids.

The chat template in a model's files is searched for known markers and never run. Each string of a
format is a special token if the tokenizer has one of that spelling, otherwise ordinary text. The
markers of llama2 and mistral are ordinary words, so a user can type text that looks like them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import ChatFormat, Turn

Pieces = tuple[str, ...]
TurnPieces = tuple[Pieces, Pieces, Pieces]
"""Strings before the text of a turn, strings that end the turn, strings between it and the next."""


@dataclass(frozen=True)
class FormatPieces:
    """A chat format as strings; `build` turns it into the ids of a tokenizer."""

    turns: Mapping[str, TurnPieces]
    """Strings around the text of each turn, by role."""
    signs: Pieces
    """A Jinja template that holds all of these strings has this format."""
    begin: Pieces = ()
    """Strings before the first turn."""
    around_system: tuple[str, str] | None = None
    """See `ChatFormat.around_system`."""
    system_in: int | None = None
    """See `ChatFormat.system_in`."""
    before_last: Pieces = ()
    """See `ChatFormat.before_last`."""
    stops: Pieces = ()
    """Special tokens that end a reply, besides the one that ends an assistant turn."""
    default_system: str = ""
    """System text of conversations without one, if the template does not spell one out."""


def _chatml(*before_answer: str) -> dict[str, TurnPieces]:
    def turn(role: str, *opening: str) -> TurnPieces:
        return ("<|im_start|>", f"{role}\n", *opening), ("<|im_end|>",), ("\n",)

    return {
        "system": turn("system"),
        "user": turn("user"),
        "assistant": turn("assistant", *before_answer),
    }


def _llama3() -> dict[str, TurnPieces]:
    return {
        role: (("<|start_header_id|>", role, "<|end_header_id|>", "\n\n"), ("<|eot_id|>",), ())
        for role in ("system", "user", "assistant")
    }


def _mistral() -> dict[str, TurnPieces]:
    return {"user": (("[INST]",), ("[/INST]",), ()), "assistant": ((), ("</s>",), ())}


UNSUPPORTED_MARKERS = ("[SYSTEM_PROMPT]",)
"""Markers of unsupported formats, whose templates also hold the markers of a known format."""
FORMATS: dict[str, FormatPieces] = {
    # SmolLM 3 writes headings around its system text. Its template also writes today's date, which
    # is left out here, so that a conversation has the same ids on every day.
    "smollm3": FormatPieces(
        _chatml("<think>", "\n\n", "</think>", "\n"),
        ("<|im_start|>", "enable_thinking", "## Custom Instructions"),
        around_system=(
            "## Metadata\n\nKnowledge Cutoff Date: June 2025\nReasoning Mode: /no_think\n\n"
            "## Custom Instructions\n\n",
            "\n\n",
        ),
        default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face.",
    ),
    # Qwen 3: an empty reasoning block before the answer makes the model answer at once. Earlier
    # answers of the conversation have no such block.
    "qwen3": FormatPieces(
        _chatml(),
        ("<|im_start|>", "enable_thinking", "<think>"),
        before_last=("<think>", "\n\n", "</think>", "\n\n"),
    ),
    "chatml": FormatPieces(_chatml(), ("<|im_start|>", "<|im_end|>")),
    # Llama 3.1 to 3.3, with the date that the template uses by default.
    "llama3.1": FormatPieces(
        _llama3(),
        ("<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date"),
        begin=("<|begin_of_text|>",),
        stops=("<|end_of_text|>", "<|eom_id|>"),
        around_system=("Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n", ""),
    ),
    "llama3": FormatPieces(
        _llama3(),
        ("<|start_header_id|>", "<|eot_id|>"),
        begin=("<|begin_of_text|>",),
        stops=("<|end_of_text|>",),
    ),
    "llama2": FormatPieces(
        {"user": (("<s>", "[INST]"), ("[/INST]",), ()), "assistant": ((), ("</s>",), ())},
        ("[INST]", "<<SYS>>"),
        around_system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
        system_in=0,
    ),
    # Mistral 7B v0.3, Nemo and other models of 2024 put the system text into the last user turn.
    "mistral3": FormatPieces(
        _mistral(),
        ("[INST]", "[/INST]", "[AVAILABLE_TOOLS]"),
        begin=("<s>",),
        around_system=("", "\n\n"),
        system_in=-1,
    ),
    "mistral": FormatPieces(
        _mistral(), ("[INST]", "[/INST]"), begin=("<s>",), around_system=("", "\n\n"), system_in=0
    ),
}
"""Known formats by name, in the order in which a template is compared with them."""
DEFAULT_SYSTEM = re.compile(r"<\|im_start\|>system(?:\\n|\n)([^{}<>'\"\\]{1,500})<\|im_end\|>")
"""A system text that a template spells out for conversations without one."""


def recognize_format(template: str) -> str | None:
    """Return the name of the format of a Jinja template, by the markers in it; None if unknown."""
    if any(marker in template for marker in UNSUPPORTED_MARKERS):
        return None
    for name, pieces in FORMATS.items():
        if all(sign in template for sign in pieces.signs):
            return name
    return None


def default_system_text(template: str) -> str:
    """Return the system text that a template writes by default; "" if it spells none out."""
    match = DEFAULT_SYSTEM.search(template)
    return match.group(1) if match else ""


def build(
    name: str, markers: Mapping[str, int], encode: Callable[[str], Sequence[int]], system: str = ""
) -> ChatFormat:
    """Return the format called `name` in the ids of a tokenizer.

    Args:
        name: A key of `FORMATS`.
        markers: Ids of the tokenizer's special tokens by their spelling.
        encode: Encodes ordinary text.
        system: System text of conversations without one; "" keeps the format's own default.

    Raises InputError if the format is unknown or the tokenizer lacks one of its end tokens.
    """
    if name not in FORMATS:
        raise InputError(
            f"The chat format {name!r} is unknown.",
            remedy=f"Choose one of {', '.join(FORMATS)}.",
            field="chat_format",
            value=name,
        )
    pieces = FORMATS[name]
    _require_end_tokens(name, pieces, markers)

    def ids(strings: Pieces) -> tuple[int, ...]:
        return tuple(
            token_id
            for piece in strings
            for token_id in ([markers[piece]] if piece in markers else encode(piece))
        )

    turns = {
        role: Turn(ids(before), ids(after), between=ids(between))
        for role, (before, after, between) in pieces.turns.items()
    }
    stop_ids = {markers[stop] for stop in pieces.stops if stop in markers}
    stop_ids.add(turns["assistant"].after[0])
    return ChatFormat(
        name,
        ids(pieces.begin),
        turns,
        tuple(sorted(stop_ids)),
        default_system=system or pieces.default_system,
        around_system=pieces.around_system,
        system_in=pieces.system_in,
        before_last=ids(pieces.before_last),
    )


def _require_end_tokens(name: str, pieces: FormatPieces, markers: Mapping[str, int]) -> None:
    end_tokens = {
        piece for _, after, _ in pieces.turns.values() for piece in after if piece.startswith("<")
    }
    missing = sorted(end_tokens - markers.keys())
    if missing:
        raise InputError(
            f"The tokenizer has no token {missing[0]!r} of the chat format {name!r}, "
            "so the model was not trained with this format.",
            remedy="Choose another format with --chat-format.",
            field="chat_format",
            value=name,
        )
