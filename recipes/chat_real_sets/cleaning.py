"""Clean the texts of every set: quotes, spaces, markup and broken characters.

These are rules, not models: cheap and the same on every machine. They are sometimes wrong, and the
counts in the manifest show how often a row is dropped.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

Turn = dict[str, str]  # {"role": ..., "content": ...}
Dropped = Counter[str]  # reason -> how many rows

# Straight quotes and three dots everywhere: the sets differ, and a small model should not learn
# each word twice.
SAME = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u00b4": "'", "`": "'",
    "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"', "\u00bb": '"',
    "\u2026": "...", "\u2022": "-",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ", "\t": " ",
    "\ufeff": None, "\u200b": None, "\u200c": None, "\u200d": None, "\u200e": None,
    "\u200f": None, "\u00ad": None, "\r": None,
})  # fmt: skip
TAG = re.compile(
    r"</?(?:br|p|b|i|u|em|strong|div|span|a|li|ul|ol|h\d|sup|sub|img|table|tr|td|center|font)\b"
    r"[^<>]{0,300}/?>",
    re.IGNORECASE,
)
# UTF-8 that was read as cp1252, and bytes that are no text.
BROKEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\ufffd\u00ff\u95c2]"
    "|\u00c3[\u0080-\u00bf\u0192\u201a\u00a9]|\u00e2\u20ac"
)
# The most frequent cases can be repaired: UTF-8 that was read as cp1252, and Big5 punctuation that
# was read as Latin-1 (in the speeches).
REPAIRED = {
    "\u00e2\u20ac\u2122": "'", "\u00e2\u20ac\u02dc": "'",
    "\u00e2\u20ac\u0153": '"', "\u00e2\u20ac\u009d": '"', "\u00e2\u20ac\u00a6": "...",
    "\u00e2\u20ac\u201c": "\u2013", "\u00e2\u20ac\u201d": "\u2014", "\u00e2\u20ac": '"',
    "\u00a1\u00a6": "'", "\u00a1\u00a7": '"', "\u00a1\u00a8": '"',
    "\u00a1X": "\u2014", "\u00a1@": " ", "\u00a1K": "...",
}  # fmt: skip
CODE_FENCE = "```"
PLACEHOLDER = re.compile(
    r"[\[({<][^\])}>]{0,20}\b(?:user ?[12]?|your|insert|name)\b[^\])}>]{0,20}[\])}>]", re.IGNORECASE
)  # "[your name]"

# For chat and trivia, not for the books. Too many rows are dropped on purpose: a harmless one is no
# loss.
OFFENSIVE = re.compile(
    r"\b(?:fuck\w*|\w*shit\w*|bitch\w*|bastard\w*|asshole\w*|cunt\w*|whore\w*|slut\w*"
    r"|dick(?:s|head\w*)?|cock(?:s|sucker\w*)|puss(?:y|ies)|tits?|boob\w*"
    r"|porn\w*|penis\w*|vagina\w*|orgasm\w*|masturbat\w*|erection\w*|condom\w*|dildo\w*|horny"
    r"|nude\w*|rape[ds]?|rapist\w*|molest\w*|pedophil\w*"
    r"|incest\w*|prostitut\w*|strippers?|sexy|sexual\w*|sex|nigg\w*|negro\w*|fag(?:got)?s?"
    r"|dyke\w*|retard\w*|kike\w*|chink\w*|slaves?|nazis?"
    r"|hitler|holocaust|suicid\w*|kill yourself|cocaine|heroin|abortion\w*)\b",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """Remove markup, straighten quotes and collapse spaces; paragraphs stay.

    HTML is unescaped twice, because some sets escaped it twice.
    """
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = TAG.sub(lambda tag: "\n" if tag[0][1:3].lower() == "br" else " ", text)
    if "\u00c3" in text or "\u00c2" in text:
        text = re.sub("[\u00c2\u00c3].", _repaired, text)
    if "\u00e2\u20ac" in text or "\u00a1" in text:
        for wrong, right in REPAIRED.items():
            text = text.replace(wrong, right)
    text = text.translate(SAME)
    text = re.sub(r"[\ue000-\uf8ff]", "", text)  # private characters of a font that is not here
    text = re.sub(r"[ \u2000-\u200a]{2,}|[\u2000-\u200a]", " ", text)
    text = re.sub(r" *\n *", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _repaired(pair: re.Match[str]) -> str:
    """Two characters as the one letter they were in UTF-8, if they were one."""
    try:
        return pair[0].encode("cp1252").decode("utf-8")
    except UnicodeError:
        return pair[0]


def n_word(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


def is_complete(text: str) -> bool:
    """Whether a text ends as a sentence ends."""
    return text.rstrip("\"')]* ").endswith((".", "!", "?"))


def finish(text: str) -> str:
    """Make a sentence of a fragment: a capital at the front, a full stop at the end."""
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?", '."', '!"', '?"')) else text + "."


def whole_paragraphs(text: str, max_words: int) -> str:
    """Return the first paragraphs that fit into `max_words`; "" if the first does not."""
    kept: list[str] = []
    for paragraph in text.split("\n\n"):
        if n_word(" ".join([*kept, paragraph])) > max_words:
            break
        kept.append(paragraph)
    return "\n\n".join(kept)


def evenly(rows: list[T], max_rows: int) -> list[T]:
    """Return at most `max_rows` rows, spread evenly over the list."""
    if len(rows) <= max_rows:
        return rows
    return [rows[i * len(rows) // max_rows] for i in range(max_rows)]


def documents(blocks: Iterable[str], low: int = 2_000, high: int = 14_000) -> Iterator[str]:
    """Join paragraphs to documents of about a chapter.

    A new document begins at a heading ("# ...") after `low` characters, or before it would exceed
    `high` characters.
    """
    current: list[str] = []
    size = 0
    for block in (piece for paragraph in blocks for piece in _pieces(paragraph, high)):
        is_heading = block.startswith("#")
        if current and (size + len(block) > high or (is_heading and size >= low)):
            yield "\n\n".join(current)
            current = []
            size = 0
        current.append(block.lstrip("# ").strip() if is_heading else block)
        size += len(block)
    if current:
        yield "\n\n".join(current)


def _pieces(block: str, high: int) -> list[str]:
    """A paragraph; if it is longer than a document may be, its sentences in groups."""
    if len(block) <= high:
        return [block]
    groups = [""]
    for sentence in re.split(r"(?<=[.!?]) ", block):
        if groups[-1] and len(groups[-1]) + len(sentence) > high:
            groups.append(sentence)
        else:
            groups[-1] = f"{groups[-1]} {sentence}".strip()
    return groups


def dialogue(*turns: str, system: str = "") -> list[Turn]:
    """Return turns of user and assistant in alternation, after an optional system turn."""
    first = [{"role": "system", "content": system}] if system else []
    return first + [
        {"role": "assistant" if i % 2 else "user", "content": turn} for i, turn in enumerate(turns)
    ]
