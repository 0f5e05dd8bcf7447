"""What every tokenizer can do, and how to open a saved one.

`encode` never returns a control id, whatever the text holds; only `chat_template` and `data/corpus` place them.
`load_tokenizer` looks at which file a directory holds; it runs no code and no template from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from chatwright.tokenizer import imported, words
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_format import ChatFormat
from chatwright.tokenizer.control import Control, TextIds
from chatwright.tokenizer.encoder_tokens import EncoderTokens


class Tokenizer(Protocol):
    @property
    def vocab_size(self) -> int: ...  # text ids and control ids together

    @property
    def control(self) -> Control: ...

    @property
    def chat_format(
        self,
    ) -> ChatFormat | None: ...  # how conversations are marked up; None: it can only continue texts

    @property
    def public_ids(self) -> dict[str, int]: ...  # bos_token_id and the like, for config.json

    @property
    def prefix(self) -> str: ...  # goes before every text when it is encoded; `decode` takes it off

    def encode(self, text: str) -> TextIds: ...

    def encode_batch(
        self, texts: Sequence[str]
    ) -> list[TextIds]: ...  # equal to encode one by one, faster

    def decode(self, ids: Sequence[int]) -> str: ...  # control ids render as nothing

    def token_bytes(self, token_id: int) -> bytes: ...  # b"" for control ids

    def save(self, directory: Path) -> None: ...


def encoder_tokens_of(tokenizer: Tokenizer) -> EncoderTokens:
    """What stands around a text for an encoder, and what hides a token from it."""
    if isinstance(tokenizer, imported.ImportedTokenizer):
        return tokenizer.encoder_tokens
    raise ValueError(
        'this tokenizer has no <mask>, which an encoder is trained with. Make one with tokens = "wordpiece" in [tokenizer], '
        "or start from an imported encoder."
    )


def unused_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids below `vocab_size` that have no token; only imported tokenizers have some."""
    return tokenizer.unused_ids if isinstance(tokenizer, imported.ImportedTokenizer) else ()


def load_tokenizer(directory: Path) -> Tokenizer:
    """Open what `save` wrote: `characters.json`, `tokenizer.json`, `words.json`, or the files of a tokenizer that was imported."""
    directory = Path(directory)
    if (directory / imported.SETTINGS_FILE).is_file():
        return imported.ImportedTokenizer.load(directory)
    has_characters = (directory / "characters.json").is_file()
    has_bpe = (directory / "tokenizer.json").is_file()
    if has_characters and has_bpe:
        raise ValueError(
            f"{directory} holds both characters.json and tokenizer.json, and they disagree about every id: "
            "remove the one the model was not trained with"
        )
    if has_characters:
        return CharacterTokenizer.load(directory)
    if has_bpe:
        return ByteBPE.load(directory)
    if (directory / words.FILE_NAME).is_file():
        return words.WordTokenizer.load(directory)
    raise ValueError(
        f"{directory} holds no tokenizer: expected tokenizer.json or characters.json. "
        "Give the directory of a trained model, or train a tokenizer first"
    )
