"""Chat formats of known open models, which `--chat-format` names.

Models imported by an earlier version name one in their files, too. These formats are for models
where a model has no template, or one that cannot be expressed as a format. The markers
of llama2 and mistral are ordinary words, so a user can type text that looks like them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chatwright.errors import InputError
from chatwright.tokenizer.build_format import Markers, build_format
from chatwright.tokenizer.chat_format import LAST, WHITESPACE, ChatFormat
from chatwright.tokenizer.format_data import FormatData, LayoutData

DERIVED = "template"
"""Name of a format that was derived from the model's own template."""
Around = tuple[str, str]
"""Strings before and after a text."""


def _format(
    user: Around,
    assistant: Around,
    *,
    begin: str = "",
    system: Around | None = None,
    system_in_user: Around | None = None,
    system_goes_last: bool = False,
    always_system: bool = False,
    before_last: str = "",
    space: str = "",
    trimmed: tuple[str, ...] = (),
    default_system: str = "",
    stops: tuple[str, ...] = (),
) -> FormatData:
    """Return a format in which the text around a turn does not depend on other turns.

    Args:
        user: The strings before and after the text of a question.
        assistant: Those before and after the text of an answer.
        begin: The string before the first turn.
        system: The strings around the text of a system turn; None: there are no such turns.
        system_in_user: The strings around the system text inside of the first user turn.
        system_goes_last: Whether it is inside of the last user turn instead.
        always_system: Whether conversations without a system text have an empty system turn.
        before_last: Before the text of an answer that ends the conversation, and in a prompt.
        space: Before the text of an answer, but not in a prompt: the model writes it.
        trimmed: The kinds of texts from which white space is trimmed.
    """
    separators = {
        "begin>user": begin + user[0],
        "user>assistant": user[1] + assistant[0] + space,
        "user>last_assistant": user[1] + assistant[0] + before_last + space,
        "user>prompt": user[1] + assistant[0] + before_last,
        "user>end": user[1],
        "assistant>user": assistant[1] + user[0],
        "assistant>end": assistant[1],
    }
    if system is not None:
        separators |= _system_turn(begin, system, user, always_system)
    if system_in_user is not None:
        separators["begin>system"] = begin + user[0] + system_in_user[0]
        separators["assistant>system"] = assistant[1] + user[0] + system_in_user[0]
        separators["system>user"] = system_in_user[1]
    return FormatData(
        LayoutData(separators, _trims(separators, trimmed)),
        default_system=default_system,
        system_goes_last=system_goes_last,
        stops=stops,
    )


def _system_turn(begin: str, system: Around, user: Around, is_always: bool) -> dict[str, str]:
    before, after = system
    separators = {
        "begin>system": begin + before,
        "system>user": after + user[0],
        "system>end": after,
    }
    if is_always:
        separators["begin>user"] = begin + before + after + user[0]
    return separators


def _trims(separators: Mapping[str, str], trimmed: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return how the texts before and after each separator are trimmed."""

    def trim(kind: str) -> str:
        return WHITESPACE if kind.removeprefix(LAST) in trimmed else ""

    pairs = {key: tuple(map(trim, key.split(">"))) for key in separators}
    return {key: (before, after) for key, (before, after) in pairs.items() if before or after}


def _chatml(role: str) -> Around:
    return f"<|im_start|>{role}\n", "<|im_end|>\n"


def _llama3(role: str) -> Around:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"


def _smollm3() -> FormatData:
    """Return SmolLM 3's format without thinking, and without the date that its template writes."""
    before, after = _chatml("system")
    headings = (
        "## Metadata\n\nKnowledge Cutoff Date: June 2025\nReasoning Mode: /no_think\n\n"
        "## Custom Instructions\n\n"
    )
    answer, end = _chatml("assistant")
    return _format(
        _chatml("user"),
        (answer + "<think>\n\n</think>\n", end),
        system=(before + headings, "\n\n" + after),
        default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face.",
    )


def _llama31() -> FormatData:
    """Return the format of Llama 3.1 to 3.3, with the date that the template has by default."""
    before, after = _llama3("system")
    dates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    return _format(
        _llama3("user"),
        _llama3("assistant"),
        begin="<|begin_of_text|>",
        system=(before + dates, after),
        always_system=True,
        trimmed=("system", "user", "assistant"),
        stops=("<|end_of_text|>", "<|eom_id|>"),
    )


MISTRAL_TURNS = (("[INST] ", " [/INST]"), ("", "</s>"))
FORMATS: dict[str, FormatData] = {
    "smollm3": _smollm3(),
    # Qwen 3: an empty reasoning block before the answer makes the model answer at once. Earlier
    # answers of the conversation have no such block.
    "qwen3": _format(
        _chatml("user"),
        _chatml("assistant"),
        system=_chatml("system"),
        before_last="<think>\n\n</think>\n\n",
    ),
    "chatml": _format(_chatml("user"), _chatml("assistant"), system=_chatml("system")),
    "llama3.1": _llama31(),
    "llama3": _format(
        _llama3("user"),
        _llama3("assistant"),
        begin="<|begin_of_text|>",
        system=_llama3("system"),
        trimmed=("system", "user", "assistant"),
        stops=("<|end_of_text|>",),
    ),
    "llama2": _format(
        ("<s>[INST] ", " [/INST]"),
        ("", " </s>"),
        space=" ",
        system_in_user=("<<SYS>>\n", "\n<</SYS>>\n\n"),
        trimmed=("user", "assistant"),
    ),
    # Mistral 7B v0.3, Nemo and other models of 2024 put the system text into the last user turn.
    "mistral3": _format(
        *MISTRAL_TURNS,
        space=" ",
        begin="<s>",
        system_in_user=("", "\n\n"),
        system_goes_last=True,
    ),
    "mistral": _format(*MISTRAL_TURNS, space=" ", begin="<s>", system_in_user=("", "\n\n")),
}
"""Known formats by name."""


def build(name: str, markers: Markers, system: str | None = None) -> ChatFormat:
    """Return the known format called `name` in the ids of a tokenizer.

    Args:
        name: A key of `FORMATS`.
        markers: The ids of the tokenizer's special tokens.
        system: System text of conversations without one; None keeps the format's own.

    Raises InputError if the format is unknown or the tokenizer lacks one of its end tokens.
    """
    if name not in FORMATS:
        raise InputError(
            f"The chat format {name!r} is unknown.",
            remedy=f"Choose one of {', '.join(FORMATS)}.",
            field="chat_format",
            value=name,
        )
    data = FORMATS[name]
    _require_end_token(name, data, markers)
    # The separators of these formats do not hold the default system text, so it is set here.
    system = data.default_system if system is None else system
    return build_format(name, replace(data, default_system=""), markers, system or None)


def _require_end_token(name: str, data: FormatData, markers: Markers) -> None:
    """Raise InputError if the token that ends an answer is not in the tokenizer."""
    end = data.layout.separators["assistant>end"].strip()
    if end not in markers.ids:
        raise InputError(
            f"The tokenizer has no token {end!r} of the chat format {name!r}, "
            "so the model was not trained with this format.",
            remedy="Choose another format with --chat-format.",
            field="chat_format",
            value=name,
        )
