"""The interface of all tokenizers, and how to open a saved one.

`encode` never returns a control id, whatever the text contains; only `chat_template.py` and
`data/encoded/corpus.py` insert control ids. `load_tokenizer` chooses the class by the files in the
directory. It runs no code and no template from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from chatwright.errors import InputError
from chatwright.tokenizer import characters, imported_settings, words
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_format import ChatFormat
from chatwright.tokenizer.control import Control, TextIds
from chatwright.tokenizer.encoder_tokens import EncoderTokens
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.words import WordTokenizer


class Tokenizer(Protocol):
    """What every tokenizer can do."""

    @property
    def vocab_size(self) -> int:
        """Number of ids of the model: text tokens, control tokens and unused ids."""

    @property
    def control(self) -> Control:
        """The ids of the control tokens."""

    @property
    def chat_format(self) -> ChatFormat | None:
        """How conversations become ids; None if the model can only continue texts."""

    @property
    def public_ids(self) -> dict[str, int]:
        """The special token ids for config.json: bos_token_id and the like."""

    @property
    def prefix(self) -> str:
        """Text that `encode` puts before every input and `decode` removes: "" or " ".

        It is not part of the input.
        """

    def encode(self, text: str) -> TextIds:
        """Return the token ids of a text."""

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        """Encode each text. Equal to encoding them one by one, but faster."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids; control ids give nothing."""

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of text that one token represents, b"" for a control token."""

    def save(self, directory: Path) -> None:
        """Write the files that `load_tokenizer` opens."""


def encoder_tokens_of(tokenizer: Tokenizer) -> EncoderTokens:
    """Return [CLS], [SEP], [PAD] and [MASK]. Raises InputError if the tokenizer lacks them."""
    if isinstance(tokenizer, ImportedTokenizer):
        return tokenizer.encoder_tokens
    raise InputError(
        "This tokenizer has no [MASK] token, which encoders are trained with.",
        remedy='Train one with tokens = "wordpiece" in [tokenizer], or start from an imported '
        "encoder.",
        field="tokenizer.tokens",
    )


def unused_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids below `vocab_size` that have no token; only imported tokenizers have some."""
    return tokenizer.unused_ids if isinstance(tokenizer, ImportedTokenizer) else ()


def marker_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Return the ids that are shown as text, although no text is encoded to them: <tool_call>."""
    if isinstance(tokenizer, ImportedTokenizer):
        return tokenizer.vocabulary.forbidden - {*tokenizer.control.all()}
    return frozenset()


def chat_format_problem(tokenizer: Tokenizer) -> str:
    """Return why the chat template of an imported model cannot be used; "" if nothing is known."""
    return tokenizer.format_problem if isinstance(tokenizer, ImportedTokenizer) else ""


def load_tokenizer(directory: Path) -> Tokenizer:
    """Open the tokenizer that `save` wrote into `directory`.

    Raises InputError if there is none, or more than one.
    """
    directory = Path(directory)
    if (directory / imported_settings.SETTINGS_FILE).is_file():
        return ImportedTokenizer.load(directory)
    has_characters = (directory / characters.FILE_NAME).is_file()
    has_bpe = (directory / "tokenizer.json").is_file()
    if has_characters and has_bpe:
        raise InputError(
            f"{directory} holds two tokenizers, characters.json and tokenizer.json, with "
            "different ids.",
            remedy="Remove the one that the model was not trained with.",
            field=str(directory),
        )
    if has_characters:
        return CharacterTokenizer.load(directory)
    if has_bpe:
        return ByteBPE.load(directory)
    if (directory / words.FILE_NAME).is_file():
        return WordTokenizer.load(directory)
    raise InputError(
        f"{directory} holds no tokenizer: tokenizer.json, characters.json and words.json are all "
        "missing.",
        remedy="Give the directory of a trained model, or train a tokenizer first.",
        field=str(directory),
    )
