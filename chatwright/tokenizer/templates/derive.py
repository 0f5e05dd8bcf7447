"""Derive a chat format from a model's template: render probes, read what stands between the texts.

The format is then compared with the template on other conversations (`compare.py`). A template that
does something else with its texts, such as numbering the turns, gives no format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chatwright.tokenizer.chat_format import BEGIN, END, LAST, PROMPT, THINKING, WHITESPACE
from chatwright.tokenizer.format_data import FormatData, LayoutData
from chatwright.tokenizer.templates.probes import (
    ANSWER,
    FIRST,
    LATER_THOUGHT,
    N_LEFT,
    N_RIGHT,
    PADS,
    REPLY,
    SECOND,
    SYSTEM,
    THOUGHT,
)
from chatwright.tokenizer.templates.run_template import Outcome

Outcomes = dict[str, Outcome]
"""What the template gave for each probe, by the probe's name."""


class NotExpressible(Exception):
    """A template does something that a chat format cannot express; the message says what."""


@dataclass(frozen=True)
class Derived:
    """A layout, and what was found beside it."""

    layout: LayoutData
    system_goes_last: bool
    default_system: str
    empty_system: str
    thinking_way: str


def derive_format(
    by_mode: dict[bool | None, tuple[Outcomes, Outcomes | None]], tags: tuple[str, str] | None
) -> tuple[FormatData, dict[bool | None, str]]:
    """Return the format of a template, and how it takes thinking in each mode.

    Args:
        by_mode: For thinking as by default (None), on and off: the outcomes of the probes with the
            thinking in a field of its own, and inside of the text (None: the model never thinks).
        tags: What begins and ends the thinking.

    Raises NotExpressible.
    """
    derived = {mode: _derive(*outcomes, tags) for mode, outcomes in by_mode.items()}
    default = derived[None]
    can_switch = tags is not None and derived[True].layout != derived[False].layout
    data = FormatData(
        default.layout,
        thinking_on=derived[True].layout if can_switch else None,
        thinking_off=derived[False].layout if can_switch else None,
        thinking_tags=tags,
        thinking_way=default.thinking_way,
        default_system=default.default_system,
        empty_system=default.empty_system,
        system_goes_last=default.system_goes_last,
    )
    return data, {mode: found.thinking_way for mode, found in derived.items()}


def _derive(field: Outcomes, inline: Outcomes | None, tags: tuple[str, str] | None) -> Derived:
    separators = _of_questions_and_answers(field)
    system, goes_last = _of_system(field)
    separators |= system
    way, thinking = _of_thinking(field, inline, separators, tags)
    separators |= thinking
    thoughtful = {"field": field, "inline": inline}.get(way)
    return Derived(
        LayoutData(separators, _trims(field, thoughtful, separators, goes_last)),
        goes_last,
        "" if goes_last else _default_system(separators),
        _empty_system(field["empty system"], separators),
        way,
    )


def _text(outcomes: Outcomes, name: str) -> str:
    """Return the text of a probe that every template must render."""
    outcome = outcomes[name]
    if outcome.error:
        raise NotExpressible(f"the template fails: {outcome.error}")
    return outcome.text


def _between(text: str, words: Sequence[str]) -> list[str]:
    """Return the texts before, between and after the words, which must be in this order."""
    pieces = []
    for word in words:
        before, found, text = text.partition(word)
        if not found or word in text:
            raise NotExpressible(
                "the template does not write each text of a conversation once, in order, unchanged"
            )
        pieces.append(before)
    return [*pieces, text]


def _of_questions_and_answers(outcomes: Outcomes) -> dict[str, str]:
    begin, prompt = _between(_text(outcomes, "question"), [FIRST])
    _, end_of_question = _between(_text(outcomes, "only question"), [FIRST])
    _, to_answer, to_question, _ = _between(_text(outcomes, "longer"), [FIRST, REPLY, SECOND])
    _, to_last_answer, end = _between(_text(outcomes, "answered"), [FIRST, REPLY])
    separators = {
        "begin>user": begin,
        f"user>{PROMPT}": prompt,
        "user>end": end_of_question,
        "user>assistant": to_answer,
        "assistant>user": to_question,
        "assistant>end": end,
    }
    if to_last_answer != to_answer:
        separators[f"user>{LAST}assistant"] = to_last_answer
    return separators


def _of_system(outcomes: Outcomes) -> tuple[dict[str, str], bool]:
    """Return the separators of the system text and whether it goes last; none without system."""
    if outcomes["system"].is_refusal:
        return {}, False
    text = _text(outcomes, "system")
    if SYSTEM not in text:
        return {}, False
    begin, to_question, _ = _between(text, [SYSTEM, FIRST])
    separators = {"begin>system": begin, "system>user": to_question}
    longer = _text(outcomes, "system longer")
    goes_last = longer.find(SYSTEM) > longer.find(REPLY)
    if goes_last:
        words = [FIRST, REPLY, SYSTEM, SECOND]
        _, _, separators["assistant>system"], _, _ = _between(longer, words)
    return separators, goes_last


def _default_system(separators: dict[str, str]) -> str:
    """Return the system text before a first question, where the conversation gives none."""
    before, after = separators.get("begin>system", ""), separators.get("system>user", "")
    begin = separators["begin>user"]
    is_around = begin.startswith(before) and begin.endswith(after)
    if not (before + after) or not is_around or len(begin) < len(before) + len(after):
        return ""
    return begin[len(before) : len(begin) - len(after)]


def _empty_system(outcome: Outcome, separators: dict[str, str]) -> str:
    """Return what an empty system text does; see `ChatFormat.empty_system`."""
    begin = outcome.text.partition(FIRST)[0]
    if outcome.error or "begin>system" not in separators:
        return "refused"
    if begin == separators["begin>system"] + separators["system>user"]:
        return "text"
    return "none" if begin == separators["begin>user"] else "refused"


def _of_thinking(
    field: Outcomes,
    inline: Outcomes | None,
    separators: dict[str, str],
    tags: tuple[str, str] | None,
) -> tuple[str, dict[str, str]]:
    """Return how the template takes thinking, and the separators around it."""
    if tags is None or inline is None:
        return "", {}
    for way, outcomes in (("field", field), ("inline", inline)):
        found = _around_thoughts(outcomes["thoughtful"].text)
        # A template without thinking may put an empty block before the thinking inside a text.
        is_nested = any(text.count(tags[0]) > 1 for text in found.values())
        if found and not is_nested:
            return way, found
    prompt = separators[f"user>{PROMPT}"]
    if not prompt.rstrip().endswith(tags[0]):
        return "", {}
    # The template leaves thinking out, also of the last answer, but its prompt begins it.
    return "", {
        f"user>{LAST}{THINKING}": prompt,
        f"{LAST}{THINKING}>{LAST}assistant": f"\n{tags[1]}\n\n",
    }


def _around_thoughts(text: str) -> dict[str, str]:
    """Return the separators around the thoughts that the template keeps."""
    separators: dict[str, str] = {}
    if THOUGHT in text:
        before, after = _between(text, [FIRST, THOUGHT, REPLY])[1:3]
        separators |= {f"user>{THINKING}": before, f"{THINKING}>assistant": after}
    if LATER_THOUGHT in text:
        before, after = _between(text, [SECOND, LATER_THOUGHT, ANSWER])[1:3]
        separators |= {
            f"user>{LAST}{THINKING}": before,
            f"{LAST}{THINKING}>{LAST}assistant": after,
        }
    return separators


def _trims(
    field: Outcomes, thoughtful: Outcomes | None, separators: dict[str, str], goes_last: bool
) -> dict[str, tuple[str, str]]:
    """Return what is trimmed beside each separator.

    `thoughtful` holds the outcomes with thinking as the template takes it; None if it takes none.
    """
    orders = [
        ("whole", field, [*_LONGER, (f"{LAST}assistant", ANSWER), (END, "")]),
        ("longer", field, [*_LONGER, (PROMPT, "")]),
    ]
    if "begin>system" in separators:
        texts = [*_LONGER, (PROMPT, "")]
        texts.insert(2 if goes_last else 0, ("system", SYSTEM))
        orders.append(("system longer", field, texts))
    if thoughtful is not None:
        orders.append(("thoughtful", thoughtful, _thoughtful_order(separators)))
    trims: dict[str, tuple[str, str]] = {}
    for name, outcomes, texts in orders:
        kept = {
            pad_name: _kept_pads(_text(outcomes, f"{name} with {pad_name}"), texts, separators, pad)
            for pad_name, pad in PADS.items()
        }
        for key, sides in kept["line ends"].items():
            trim = tuple(map(_trim, sides, kept["spaces"][key]))
            trims.setdefault(key, (trim[0], trim[1]))
    trims["user>end"] = trims[f"user>{PROMPT}"]
    return {key: sides for key, sides in trims.items() if any(sides)}


_LONGER = (("user", FIRST), ("assistant", REPLY), ("user", SECOND))
"""The kinds and words of the texts of the probe "longer"."""


def _thoughtful_order(separators: dict[str, str]) -> list[tuple[str, str]]:
    texts = [*_LONGER, (f"{LAST}assistant", ANSWER), (END, "")]
    if f"user>{LAST}{THINKING}" in separators:
        texts.insert(3, (f"{LAST}{THINKING}", LATER_THOUGHT))
    if f"user>{THINKING}" in separators:
        texts.insert(1, (THINKING, THOUGHT))
    return texts


def _kept_pads(
    text: str, texts: Sequence[tuple[str, str]], separators: dict[str, str], pad: str
) -> dict[str, tuple[bool, bool]]:
    """Return for each separator whether the white space before it and after it was kept."""
    pieces = _between(text, [word for _, word in texts if word])
    kinds = [BEGIN, *(kind for kind, _ in texts)]
    kept = {}
    for (left, right), piece in zip(pairwise(kinds), pieces, strict=True):
        key = _key(separators, left, right)
        has_pads = [kind not in (BEGIN, END, PROMPT, *_THOUGHTS) for kind in (left, right)]
        is_kept = _pads_around(piece, separators[key], pad)
        # What has no white space around it cannot lose any.
        kept[key] = (is_kept[0] or not has_pads[0], is_kept[1] or not has_pads[1])
    return kept


_THOUGHTS = (THINKING, f"{LAST}{THINKING}")


def _key(separators: dict[str, str], left: str, right: str) -> str:
    """Return the key of the separator between two kinds of texts."""
    for a in (left, left.removeprefix(LAST)):
        for b in (right, right.removeprefix(LAST)):
            if f"{a}>{b}" in separators:
                return f"{a}>{b}"
    raise NotExpressible(f"the template writes {left} before {right} in some conversations only")


def _pads_around(piece: str, separator: str, pad: str) -> tuple[bool, bool]:
    """Return whether white space is before a separator and after it."""
    for before in (True, False):
        for after in (True, False):
            if piece == pad * N_RIGHT * before + separator + pad * N_LEFT * after:
                return before, after
    raise NotExpressible("the template changes the white space around a text")


def _trim(keeps_line_ends: bool, keeps_spaces: bool) -> str:
    """Return what is trimmed on a side of a text."""
    if keeps_line_ends and keeps_spaces:
        return ""
    if keeps_spaces:
        return "\n"
    return " " if keeps_line_ends else WHITESPACE
