"""The chat formats of known open models, written down as data and turned into ids. Templates in a model's files are looked at, never run.

A piece is a marker of the tokenizer where it has one of that spelling, else ordinary text. llama2's and the oldest mistral's markers are
ordinary words: what a person types can look like them, which no renderer can prevent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chatwright.tokenizer.chat_format import ChatFormat, Turn

Pieces = tuple[str, ...]


@dataclass(frozen=True)
class Markup:
    """A format before it is ids. Per role: what stands before a turn, what ends it, what follows the end."""

    turns: Mapping[str, tuple[Pieces, Pieces, Pieces]]
    signs: Pieces  # a template that holds all of these is of this format
    begin: Pieces = ()
    around_system: tuple[str, str] | None = None
    system_in: int | None = None
    before_last: Pieces = ()
    stops: Pieces = field(default=())  # besides what ends an answer
    default_system: str = (
        ""  # for conversations without a system message, where no template spells one out
    )


def _chatml(*before_answer: str) -> dict[str, tuple[Pieces, Pieces, Pieces]]:
    def turn(role: str, *opening: str) -> tuple[Pieces, Pieces, Pieces]:
        return ("<|im_start|>", f"{role}\n", *opening), ("<|im_end|>",), ("\n",)

    return {
        "system": turn("system"),
        "user": turn("user"),
        "assistant": turn("assistant", *before_answer),
    }


def _llama3() -> dict[str, tuple[Pieces, Pieces, Pieces]]:
    return {
        role: (("<|start_header_id|>", role, "<|end_header_id|>", "\n\n"), ("<|eot_id|>",), ())
        for role in ("system", "user", "assistant")
    }


def _mistral() -> dict[str, tuple[Pieces, Pieces, Pieces]]:
    return {"user": (("[INST]",), ("[/INST]",), ()), "assistant": ((), ("</s>",), ())}


# Later formats with other markers besides the ones known here.
STRANGE = ("[SYSTEM_PROMPT]",)
# In the order in which a template is compared with them: the first whose signs it bears.
MARKUPS: dict[str, Markup] = {
    # SmolLM 3 puts headings around its system message; of these, today's date is left out: a conversation is the same ids on every day.
    "smollm3": Markup(
        _chatml("<think>", "\n\n", "</think>", "\n"),
        ("<|im_start|>", "enable_thinking", "## Custom Instructions"),
        around_system=(
            "## Metadata\n\nKnowledge Cutoff Date: June 2025\nReasoning Mode: /no_think\n\n## Custom Instructions\n\n",
            "\n\n",
        ),
        default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face.",
    ),
    # Qwen 3: the empty thought in front of an answer tells it to answer at once. Answers that were given stand without.
    "qwen3": Markup(
        _chatml(),
        ("<|im_start|>", "enable_thinking", "<think>"),
        before_last=("<think>", "\n\n", "</think>", "\n\n"),
    ),
    "chatml": Markup(_chatml(), ("<|im_start|>", "<|im_end|>")),
    # Llama 3.1 to 3.3, with the date that the template falls back on.
    "llama3.1": Markup(
        _llama3(),
        ("<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date"),
        begin=("<|begin_of_text|>",),
        stops=("<|end_of_text|>", "<|eom_id|>"),
        around_system=("Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n", ""),
    ),
    "llama3": Markup(
        _llama3(),
        ("<|start_header_id|>", "<|eot_id|>"),
        begin=("<|begin_of_text|>",),
        stops=("<|end_of_text|>",),
    ),
    "llama2": Markup(
        {"user": (("<s>", "[INST]"), ("[/INST]",), ()), "assistant": ((), ("</s>",), ())},
        ("[INST]", "<<SYS>>"),
        around_system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
        system_in=0,
    ),
    # Mistral 7B v0.3, Nemo and their contemporaries put the system message before the newest question.
    "mistral3": Markup(
        _mistral(),
        ("[INST]", "[/INST]", "[AVAILABLE_TOOLS]"),
        begin=("<s>",),
        around_system=("", "\n\n"),
        system_in=-1,
    ),
    "mistral": Markup(
        _mistral(), ("[INST]", "[/INST]"), begin=("<s>",), around_system=("", "\n\n"), system_in=0
    ),
}
# A system message that a template spells out for conversations without one.
DEFAULT_SYSTEM = re.compile(r"<\|im_start\|>system(?:\\n|\n)([^{}<>'\"\\]{1,500})<\|im_end\|>")


def recognised(template: str) -> str | None:
    """The name of the format a Jinja template stands for, by the markers it holds."""
    if any(sign in template for sign in STRANGE):
        return None
    return next(
        (
            name
            for name, markup in MARKUPS.items()
            if all(sign in template for sign in markup.signs)
        ),
        None,
    )


def default_system(template: str) -> str:
    found = DEFAULT_SYSTEM.search(template)
    return found.group(1) if found else ""


def build(
    name: str, markers: Mapping[str, int], encode: Callable[[str], Sequence[int]], system: str = ""
) -> ChatFormat:
    """The format called `name` in a tokenizer's own ids. `markers` are its special tokens by their spelling."""
    if name not in MARKUPS:
        raise ValueError(f"chat format {name!r}: not known here. Known are {', '.join(MARKUPS)}.")
    markup = MARKUPS[name]

    def ids(pieces: Pieces) -> tuple[int, ...]:
        return tuple(
            token_id
            for piece in pieces
            for token_id in ([markers[piece]] if piece in markers else encode(piece))
        )

    needed = [
        piece for _, after, _ in markup.turns.values() for piece in after if piece.startswith("<")
    ]
    if missing := sorted({*needed} - markers.keys()):
        raise ValueError(
            f"chat format {name!r}: this tokenizer has no token {missing[0]!r}, so the model was not trained with it. Choose another."
        )
    turns = {
        role: Turn(ids(before), ids(after), between=ids(between))
        for role, (before, after, between) in markup.turns.items()
    }
    stops = {
        turns["assistant"].after[0],
        *(markers[stop] for stop in markup.stops if stop in markers),
    }
    return ChatFormat(
        name,
        ids(markup.begin),
        turns,
        tuple(sorted(stops)),
        default_system=system or markup.default_system,
        around_system=markup.around_system,
        system_in=markup.system_in,
        before_last=ids(markup.before_last),
    )
