"""Compare texts with the validation and test rows, as letters and digits only."""

import re
import unicodedata
from collections.abc import Iterable

RUN = 40
"""Letters and digits that make an overlap: about nine words."""
SHORTEST = 16
"""A shorter held-out text is common speech ("very good"): only an equal row repeats it."""


def letters_and_digits(text: str) -> str:
    """Reduce a text so that "It 's café-like" and "it's cafe like" are equal."""
    decomposed = unicodedata.normalize("NFKD", text).lower()
    return re.sub(r"[^a-z0-9]+", "", decomposed)


class HeldOut:
    """Validation and test texts, ready for comparison with any other text."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Index the texts."""
        self.whole = {letters_and_digits(text) for text in texts}
        long = [text for text in self.whole if len(text) >= RUN]
        self.runs = {text[i : i + RUN] for text in long for i in range(len(text) - RUN + 1)}
        # Of the half-runs that begin at multiples of half a run, one is inside every whole run.
        # Nearly every text is decided by looking these up.
        half = RUN // 2
        self.halves = {text[i : i + half] for text in long for i in range(len(text) - half + 1)}
        self.short: dict[str, list[str]] = {}  # by their first letters
        for text in self.whole:
            if SHORTEST <= len(text) < RUN:
                self.short.setdefault(text[:SHORTEST], []).append(text)

    def equals(self, text: str) -> bool:
        """Whether a held-out text equals this one."""
        return letters_and_digits(text) in self.whole

    def overlaps(self, text: str) -> bool:
        """Whether the text shares a run with a held-out text, or holds a short one whole."""
        letters = letters_and_digits(text)
        return letters in self.whole or self._shares_run(letters) or self._holds_short(letters)

    def _shares_run(self, letters: str) -> bool:
        half = RUN // 2
        halves = (letters[i : i + half] for i in range(0, len(letters), half))
        if not any(piece in self.halves for piece in halves):
            return False
        return any(letters[i : i + RUN] in self.runs for i in range(len(letters) - RUN + 1))

    def _holds_short(self, letters: str) -> bool:
        for start in range(len(letters) - SHORTEST + 1):
            candidates = self.short.get(letters[start : start + SHORTEST], ())
            if any(letters.startswith(candidate, start) for candidate in candidates):
                return True
        return False
