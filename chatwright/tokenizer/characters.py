"""A tokenizer with one id per character, for the Shakespeare tutorial.

It knows exactly the characters of its training text and refuses all others, instead of replacing
them by an "unknown" id. It is easy to understand, but needs about four times as many tokens as
byte-level BPE for the same English text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import ChatFormat, own_format
from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds, TextIds
from chatwright.tokenizer.validation import require_known_id, require_unicode

FILE_NAME = "characters.json"


class CharacterTokenizer:
    """Encode each character as its index in a fixed list of characters."""

    prefix = ""

    def __init__(self, characters: Sequence[str]) -> None:
        """`characters[i]` gets the id i. Raises InputError unless they are distinct and valid."""
        if not characters:
            raise InputError(
                "A character tokenizer needs at least one character, but its text is empty.",
                remedy="Check the data path.",
                field="characters",
            )
        are_single = all(isinstance(c, str) and len(c) == 1 for c in characters)
        if not are_single or len(set(characters)) != len(characters):
            raise InputError(
                "The characters of a character tokenizer must be distinct single characters.",
                remedy='Give a list such as ["a", "b"].',
                field="characters",
            )
        require_unicode("".join(characters))
        self._characters = tuple(characters)
        self._id_of = {character: index for index, character in enumerate(characters)}
        self._control = ControlIds.after_text(len(characters))

    @classmethod
    def train(cls, texts: Iterable[str]) -> CharacterTokenizer:
        """Collect the characters of `texts`, sorted by code point."""
        return cls(sorted(set().union(*texts)))

    @property
    def vocab_size(self) -> int:
        """Number of characters plus number of control tokens."""
        return len(self._characters) + len(CONTROL_TOKENS)

    @property
    def control(self) -> ControlIds:
        """The ids of the control tokens; they follow the characters' ids."""
        return self._control

    @property
    def chat_format(self) -> ChatFormat:
        """Chatwright's own chat format."""
        return own_format(self._control)

    @property
    def public_ids(self) -> dict[str, int]:
        """The special token ids for config.json: bos_token_id, eos_token_id, pad_token_id."""
        return self._control.config_entries()

    def encode(self, text: str) -> TextIds:
        """Return one id per character. Raises InputError for a character it does not know."""
        try:
            return TextIds([self._id_of[character] for character in text])
        except KeyError as error:
            character = str(error.args[0])
            raise InputError(
                f"The character {character!a} (U+{ord(character):04X}) at position "
                f"{text.index(character)} is not among the {len(self._characters)} characters "
                "of this tokenizer.",
                remedy="Remove it from the text, train the tokenizer on a text that has it, "
                "or use byte-level BPE, which knows every character.",
                field="text",
                value=character,
            ) from None

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        """Encode each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; control ids give nothing."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8")

    def token_bytes(self, token_id: int) -> bytes:
        """Return the UTF-8 bytes of a token, b"" for a control token."""
        require_known_id(token_id, self.vocab_size)
        if token_id >= len(self._characters):
            return b""
        return self._characters[token_id].encode("utf-8")

    def save(self, directory: Path) -> None:
        """Write characters.json into `directory`."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"characters": list(self._characters)}, ensure_ascii=True) + "\n"
        (directory / FILE_NAME).write_text(text, encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, directory: Path) -> CharacterTokenizer:
        """Read what `save` wrote. Raises InputError if the file is missing or damaged."""
        path = Path(directory) / FILE_NAME
        try:
            characters = json.loads(path.read_bytes())["characters"]
            if not isinstance(characters, list):
                raise TypeError("characters is not a list")
            return cls(characters)
        except FileNotFoundError:
            raise InputError(
                f"{path} is missing.",
                remedy="Give a directory that holds a saved tokenizer.",
                field=FILE_NAME,
            ) from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{path} is not a character tokenizer ({error}).",
                remedy='The file must hold {"characters": ["a", "b", ...]}: save it again.',
                field=FILE_NAME,
            ) from None
