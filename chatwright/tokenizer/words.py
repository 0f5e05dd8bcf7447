"""One id per word, lower-cased: what word vectors are learned of.

It is no way to read texts whole: words it does not know, punctuation and case are lost, so `decode(encode(text))` is not the text, and models
that write cannot use it. The vocabulary is the most frequent words; those seen fewer than MIN_COUNT times are left out in any case.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds, TextIds
from chatwright.tokenizer.text import require_unicode

FILE_NAME = "words.json"
MIN_COUNT = 3
# Letters and digits, with an apostrophe inside; underscores are Markdown's emphasis.
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    return [word.replace("’", "'") for word in WORD.findall(text.lower())]


class WordTokenizer:
    prefix = ""
    chat_format = None

    def __init__(self, words: Sequence[str]) -> None:
        if not words:
            raise ValueError(
                f"a words tokenizer needs at least one word: none was seen {MIN_COUNT} times. Give more text"
            )
        if len(set(words)) != len(words) or any(
            not isinstance(word, str) or words_of(word) != [word] for word in words
        ):
            raise ValueError("words must be distinct, lower-cased and without spaces")
        require_unicode(" ".join(words))
        self._words = tuple(words)
        self._id_of = {word: index for index, word in enumerate(words)}
        self._control = ControlIds.after_text(len(words))

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> WordTokenizer:
        """The most frequent words, so many that with the control tokens there are at most `vocab_size`."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(words_of(text))
        frequent = sorted(
            (word for word, count in counts.items() if count >= MIN_COUNT),
            key=lambda word: (-counts[word], word),
        )
        return cls(frequent[: max(0, vocab_size - len(CONTROL_TOKENS))])

    @property
    def vocab_size(self) -> int:
        return len(self._words) + len(CONTROL_TOKENS)

    @property
    def control(self) -> ControlIds:
        return self._control

    @property
    def public_ids(self) -> dict[str, int]:
        return self._control.public()

    def encode(self, text: str) -> TextIds:
        """The words it knows; the others are left out."""
        return TextIds([self._id_of[word] for word in words_of(text) if word in self._id_of])

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return b" ".join(filter(None, map(self.token_bytes, ids))).decode("utf-8")

    def token_bytes(self, token_id: int) -> bytes:
        if 0 <= token_id < len(self._words):
            return self._words[token_id].encode("utf-8")
        if 0 <= token_id < self.vocab_size:
            return b""
        raise ValueError(
            f"token id {token_id} is outside this tokenizer's {self.vocab_size} ids: these ids come from another tokenizer"
        )

    def save(self, directory: Path) -> None:
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / FILE_NAME).write_text(
            json.dumps({"words": list(self._words)}, ensure_ascii=True) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, directory: Path) -> WordTokenizer:
        path = Path(directory) / FILE_NAME
        try:
            words = json.loads(path.read_bytes())["words"]
            if not isinstance(words, list):
                raise TypeError("words is not a list")
            return cls(words)
        except FileNotFoundError:
            raise ValueError(f"{path} is missing: give a directory written by save()") from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f'{path} is not a words tokenizer ({error}): expected {{"words": ["the", "of", ...]}}'
            ) from None
