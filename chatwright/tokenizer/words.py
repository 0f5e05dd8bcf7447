"""A tokenizer with one id per lower-cased word, for training word vectors.

It loses unknown words, punctuation and case, so `decode(encode(text))` is not the text and models
that generate text cannot use it. The vocabulary holds the most frequent words that occur at least
MIN_COUNT times.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from chatwright.errors import InputError
from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds, TextIds
from chatwright.tokenizer.validation import require_known_id, require_unicode

FILE_NAME = "words.json"
MIN_COUNT = 3
# Letters and digits, with apostrophes inside a word. Underscores separate words: in Markdown they
# mark emphasis.
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def split_words(text: str) -> list[str]:
    """Return the lower-cased words of a text, with straight apostrophes."""
    return [word.replace("’", "'") for word in WORD.findall(text.lower())]


class WordTokenizer:
    """Encode each known word as its index in a fixed list of words."""

    prefix = ""
    chat_format = None

    def __init__(self, words: Sequence[str]) -> None:
        """`words[i]` gets the id i. Raises InputError unless they are distinct and lower-cased."""
        if not words:
            raise InputError(
                f"A word tokenizer needs at least one word that occurs {MIN_COUNT} times.",
                remedy="Give more text.",
                field="words",
            )
        are_words = all(isinstance(word, str) and split_words(word) == [word] for word in words)
        if not are_words or len(set(words)) != len(words):
            raise InputError(
                "The words of a word tokenizer must be distinct, lower-cased and without spaces.",
                remedy='Give a list such as ["the", "of"].',
                field="words",
            )
        require_unicode(" ".join(words))
        self._words = tuple(words)
        self._id_of = {word: index for index, word in enumerate(words)}
        self._control = ControlIds.after_text(len(words))

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> WordTokenizer:
        """Take the most frequent words of `texts`.

        `vocab_size` includes the control tokens. A small text may give a smaller vocabulary.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split_words(text))
        frequent = sorted(
            (word for word, count in counts.items() if count >= MIN_COUNT),
            key=lambda word: (-counts[word], word),
        )
        return cls(frequent[: max(0, vocab_size - len(CONTROL_TOKENS))])

    @property
    def vocab_size(self) -> int:
        """Number of words plus number of control tokens."""
        return len(self._words) + len(CONTROL_TOKENS)

    @property
    def control(self) -> ControlIds:
        """The ids of the control tokens; they follow the words' ids."""
        return self._control

    @property
    def public_ids(self) -> dict[str, int]:
        """The special token ids for config.json: bos_token_id, eos_token_id, pad_token_id."""
        return self._control.config_entries()

    def encode(self, text: str) -> TextIds:
        """Return the ids of the known words; unknown words are left out."""
        return TextIds([self._id_of[word] for word in split_words(text) if word in self._id_of])

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        """Encode each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the words of `ids`, separated by spaces; control ids give nothing."""
        return b" ".join(filter(None, map(self.token_bytes, ids))).decode("utf-8")

    def token_bytes(self, token_id: int) -> bytes:
        """Return the UTF-8 bytes of a word, b"" for a control token."""
        require_known_id(token_id, self.vocab_size)
        if token_id >= len(self._words):
            return b""
        return self._words[token_id].encode("utf-8")

    def save(self, directory: Path) -> None:
        """Write words.json into `directory`."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"words": list(self._words)}, ensure_ascii=True) + "\n"
        (directory / FILE_NAME).write_text(text, encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, directory: Path) -> WordTokenizer:
        """Read what `save` wrote. Raises InputError if the file is missing or damaged."""
        path = Path(directory) / FILE_NAME
        try:
            words = json.loads(path.read_bytes())["words"]
            if not isinstance(words, list):
                raise TypeError("words is not a list")
            return cls(words)
        except FileNotFoundError:
            raise InputError(
                f"{path} is missing.",
                remedy="Give a directory that holds a saved tokenizer.",
                field=FILE_NAME,
            ) from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{path} is not a word tokenizer ({error}).",
                remedy='The file must hold {"words": ["the", "of", ...]}: save it again.',
                field=FILE_NAME,
            ) from None
