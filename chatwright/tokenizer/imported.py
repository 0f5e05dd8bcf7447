"""A tokenizer that came with another tool's model: BPE, WordPiece or Unigram over the `tokenizers` library.

Text never becomes one of its special tokens or markers (`foreign_vocabulary.py`); they come back in the files at export. A marker that a model
says is shown as text, a special token is not. Unlike our own, such a tokenizer may lose what it normalises: decode(encode(text)) need not be text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from chatwright.tokenizer import chat_formats, hugging_face, imported_files, sentencepiece_file
from chatwright.tokenizer.chat_format import ChatFormat, own_format
from chatwright.tokenizer.control import (
    CONTROL_TOKENS,
    ControlId,
    ControlIds,
    ImportedControl,
    TextIds,
)
from chatwright.tokenizer.embedded_tokens import without_unembedded_tokens
from chatwright.tokenizer.encoder_tokens import EncoderTokens
from chatwright.tokenizer.imported_files import TokenizerFiles, added_tokens
from chatwright.tokenizer.imported_vocabulary import control_of, text_library, vocabulary_of
from chatwright.tokenizer.text import require_unicode
from chatwright.tokenizer.token_bytes import spelling_of

SETTINGS_FILE = "chatwright_tokenizer.json"
LANGUAGE = re.compile(">>.+<<")
UNKNOWN = "\N{REPLACEMENT CHARACTER}".encode()


def find_first_control_id(files: TokenizerFiles) -> int:
    """Where our control tokens stand in files that have them."""
    wanted = list(CONTROL_TOKENS.values())
    ids = {token["content"]: token["id"] for token in added_tokens(files.document)}
    first = ids.get(wanted[0], -1)
    if [ids.get(token) for token in wanted] != list(range(first, first + len(wanted))):
        raise ValueError(
            "the chat template is Chatwright's, but the tokenizer does not have its control tokens: "
            "the files are not of one model, or name the format (--chat-format)"
        )
    return first


class ImportedTokenizer:
    def __init__(
        self,
        files: TokenizerFiles,
        vocab_size: int | None = None,
        chat_format: str | None = None,
        system: str = "",
        first_control_id: int | None = None,
    ) -> None:
        """`vocab_size` is the model's, which may be rounded up; `chat_format` is a name in `chat_formats`, `system` its default message.

        `first_control_id` is the first id of our own ten control tokens, in a model that was given them to learn to converse.
        """
        if vocab_size is not None:
            files = without_unembedded_tokens(files, vocab_size)
        self.files, self._format_name, self._system, self._first_control_id = (
            files,
            chat_format,
            system,
            first_control_id,
        )
        self.vocabulary = vocabulary = vocabulary_of(files)
        self._vocab_size = vocab_size or max(vocabulary.tokens) + 1
        self._control: ControlIds | ImportedControl = (
            control_of(files, vocabulary)
            if first_control_id is None
            else ControlIds.after_text(first_control_id)
        )
        self._forbidden = vocabulary.forbidden
        # What SentencePiece writes goes to the library as it is.
        document = (
            files.document | {"normalizer": None, "pre_tokenizer": None}
            if files.pieces
            else files.document
        )
        self._library = text_library(
            document,
            {vocabulary.tokens[token_id] for token_id in self._forbidden} | files.unwritable,
        )
        self._n_known = files.n_token
        self._write = sentencepiece_file.writer(files.pieces) if files.pieces else None
        spell = spelling_of(files.document)
        self._bytes = {
            token_id: spell(token) for token_id, token in vocabulary.tokens.items()
        } | dict.fromkeys(vocabulary.special, b"")
        if vocabulary.unknown is not None:
            self._bytes[vocabulary.unknown] = UNKNOWN
        first = self._encode_anything()
        self._prefix = " " if first and self.token_bytes(first[0])[:1] == b" " else ""
        self._chat_format = self._make_format(chat_format)

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    @cached_property
    def unused_ids(self) -> tuple[int, ...]:
        """The ids from 0 to `vocab_size` that have no token. A model must never sample them."""
        return tuple(sorted(set(range(self._vocab_size)) - self.vocabulary.tokens.keys()))

    @property
    def control(self) -> ControlIds | ImportedControl:
        return self._control

    @property
    def prefix(self) -> str:
        return self._prefix

    @property
    def chat_format(self) -> ChatFormat | None:
        return self._chat_format

    @property
    def public_ids(self) -> dict[str, int]:
        if isinstance(self._control, ControlIds):
            return self._control.public()
        return {
            f"{role}_token_id": token_id
            for role, token_id in self.vocabulary.roles.items()
            if role in ("bos", "eos", "pad")
        }

    @property
    def encoder_tokens(self) -> EncoderTokens:
        return EncoderTokens(
            *(ControlId(self.special_token_id(role)) for role in ("cls", "sep", "pad", "mask"))
        )

    @cached_property
    def target_tokenizer(self) -> ImportedTokenizer:
        """What cuts translations: itself, but where they have rules of their own."""
        return (
            self
            if self.files.target is None
            else ImportedTokenizer(self.files.target, self._vocab_size)
        )

    def special_token_id(self, role: str) -> int:
        """The id of a special token by its role: bos, eos, unk, sep, pad, cls, mask."""
        if role not in self.vocabulary.roles:
            raise ValueError(
                f"this tokenizer has no {role} token (it has {', '.join(self.vocabulary.roles)}), which this task needs: "
                "take a model whose tokenizer has one"
            )
        return self.vocabulary.roles[role]

    def encode(self, text: str) -> TextIds:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        for text in texts:
            require_unicode(text)
        languages: Sequence[list[int]] = ()
        if self.files.target is not None and texts:
            languages, texts = zip(*map(self._language, texts), strict=True)
        if self._write is not None:
            texts = [self._write(text) for text in texts]
        encoded = [
            encoding.ids
            for encoding in self._library.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
        if self._n_known is not None:
            encoded = [self._known(text, ids) for text, ids in zip(texts, encoded, strict=True)]
        for ids in encoded:
            assert self._forbidden.isdisjoint(ids), (
                "text became a special token: its spelling is still in the vocabulary"
            )
        if languages:
            encoded = [[*language, *ids] for language, ids in zip(languages, encoded, strict=True)]
        return [TextIds(ids) for ids in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        return (
            b"".join(map(self.token_bytes, ids))
            .removeprefix(self._prefix.encode())
            .decode("utf-8", errors="replace")
        )

    def token_bytes(self, token_id: int) -> bytes:
        if token_id in self._bytes:
            return self._bytes[token_id]
        if 0 <= token_id < self._vocab_size:
            return b""  # models round their vocabulary up
        raise ValueError(
            f"token id {token_id} is outside this tokenizer's {self._vocab_size} ids: these ids come from another tokenizer"
        )

    def save(self, directory: Path) -> None:
        """The files as they came, and one of ours that says how they are used."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.files.items():
            (directory / name).write_bytes(data)
        own = {
            "vocab_size": self._vocab_size,
            "chat_format": self._format_name,
            "system": self._system,
            "control_from": self._first_control_id,
        }
        (directory / SETTINGS_FILE).write_text(json.dumps(own, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> ImportedTokenizer:
        path = Path(directory) / SETTINGS_FILE
        try:
            own = json.loads(path.read_bytes())
            vocab_size, chat_format, system, first_control_id = (
                own[name] for name in ("vocab_size", "chat_format", "system", "control_from")
            )
            if (
                type(vocab_size) is not int
                or not isinstance(chat_format, str | None)
                or not isinstance(system, str)
            ):
                raise TypeError("a value has the wrong type")
            if first_control_id is not None and (
                type(first_control_id) is not int
                or not 0 < first_control_id <= vocab_size - len(CONTROL_TOKENS)
            ):
                raise TypeError("control_from is no place for our control tokens")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} cannot be read ({error}): import the model again") from None
        try:
            return cls(
                imported_files.read(Path(directory)),
                vocab_size,
                chat_format,
                system,
                first_control_id,
            )
        except ValueError as error:  # whatever is wrong is wrong with something in this folder
            raise (
                error if str(directory) in str(error) else ValueError(f"{directory}: {error}")
            ) from None

    def with_control_tokens(self) -> ImportedTokenizer:
        """The same text, and our ten control tokens after it: what a model that cannot converse is given before it learns to."""
        first = max(self.vocabulary.tokens) + 1
        document = hugging_face.with_control(self.files.document, ControlIds.after_text(first))
        files = TokenizerFiles(
            document,
            self.files.special,
            hugging_face.CHAT_TEMPLATE_JINJA,
            hugging_face.files_of(document),
        )
        return ImportedTokenizer(
            files, max(self._vocab_size, first + len(CONTROL_TOKENS)), first_control_id=first
        )

    def _language(self, text: str) -> tuple[list[int], str]:
        """MarianMT's models of several target languages read first which one is wanted: ">>fra<< A cat." is its id, and the rest."""
        found = LANGUAGE.match(text)
        if found is None:
            return [], text
        return [self.vocabulary.ids.get(found.group(), self.special_token_id("unk"))], text[
            found.end() :
        ]

    def _known(self, text: str, ids: Sequence[int]) -> list[int]:
        """MarianMT: a piece that the model does not know is unknown; what this language's pieces cannot write may be a piece of the other's."""
        unknown, known = self.special_token_id("unk"), self._n_known
        assert known is not None, "asked where some ids are not the model's"
        if unknown not in ids:
            return [token_id if token_id < known else unknown for token_id in ids]
        found = []
        encoding = self._library.encode(text, add_special_tokens=False)
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            other = (
                self.vocabulary.ids.get(text[start:end], unknown)
                if token_id == unknown
                else token_id
            )
            found.append(other if other < known and other not in self._forbidden else unknown)
        return found

    def _encode_anything(self) -> list[int]:
        """Some letter and a character no vocabulary has: a tokenizer that cannot say "unknown" is found before it is needed."""
        try:
            return self.encode("a \U0010ffff")
        except AssertionError:
            raise
        except Exception as error:  # the library has no type of its own for it
            raise ValueError(
                f"the tokenizer cannot encode every text ({error}). Get its files again from where the model came"
            ) from None

    def _make_format(self, name: str | None) -> ChatFormat | None:
        if isinstance(self._control, ControlIds):
            return own_format(self._control)
        return (
            None
            if name is None
            else chat_formats.build(name, self._marked(), self.encode, self._system)
        )

    def _marked(self) -> dict[str, int]:
        """Special tokens and markers by their spelling."""
        return self.vocabulary.markers | {
            self.vocabulary.tokens[token_id]: token_id for token_id in self.vocabulary.special
        }
