"""The tokenizer of an imported model: BPE, WordPiece or Unigram, run by the `tokenizers` library.

No text is encoded to a special token or to a marker, an added token such as <tool_call> (see
`imported_vocabulary.py`). Saved and exported files contain both. A marker that the model generates
is shown as text; a special token is not. Unlike Chatwright's own tokenizers, an imported one may
normalize texts, so `decode(encode(text))` can differ from the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from chatwright.errors import InputError
from chatwright.tokenizer import chat_formats, hugging_face, imported_files, tokenizer_json
from chatwright.tokenizer.build_format import build_format
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
from chatwright.tokenizer.format_data import FormatData
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.imported_settings import ImportedSettings
from chatwright.tokenizer.imported_vocabulary import (
    bytes_of_tokens,
    control_of,
    markers_of,
    vocabulary_of,
)
from chatwright.tokenizer.marian_files import split_language
from chatwright.tokenizer.text_library import TextLibrary
from chatwright.tokenizer.validation import require_known_id, require_unicode


class ImportedTokenizer:
    """A tokenizer read from another tool's files, with the interface of Chatwright's own ones."""

    def __init__(
        self,
        files: TokenizerFiles,
        vocab_size: int | None = None,
        chat_format: str | FormatData | None = None,
        system: str | None = None,
        first_control_id: int | None = None,
        format_problem: str = "",
    ) -> None:
        """Build the tokenizer.

        Args:
            files: The content of the tokenizer's files.
            vocab_size: The model's vocabulary size, which may exceed the tokenizer's. Added tokens
                with ids of this size or more are left out. None: as many ids as the tokenizer has.
            chat_format: A name in `chat_formats`, the format that was derived from the model's
                template, or None if the model cannot chat.
            system: Replaces the format's default system text; None: it stays.
            first_control_id: The first id of Chatwright's control tokens, if the model was given
                them to learn to chat.
            format_problem: Why no format could be derived from the model's template.

        Raises InputError if the files are malformed.
        """
        if vocab_size is not None:
            files = without_unembedded_tokens(files, vocab_size)
        self.files = files
        self._format = chat_format
        self._system = system
        self.format_problem = format_problem
        self._first_control_id = first_control_id
        self.vocabulary = vocabulary = vocabulary_of(self.files)
        self._vocab_size = vocab_size or max(vocabulary.tokens) + 1
        self._control: ControlIds | ImportedControl
        if first_control_id is None:
            self._control = control_of(self.files, vocabulary)
        else:
            self._control = ControlIds.after_text(first_control_id)
        self._forbidden = vocabulary.forbidden
        self._library = TextLibrary(self.files, vocabulary)
        self._bytes = bytes_of_tokens(files.document, vocabulary)
        self._prefix = self._find_prefix()
        self._chat_format = self._make_format()

    @property
    def vocab_size(self) -> int:
        """Number of ids of the model, including ids that the tokenizer does not use."""
        return self._vocab_size

    @cached_property
    def unused_ids(self) -> tuple[int, ...]:
        """The model's ids that are no token: they decode to nothing, and no reply contains them.

        Models round their vocabulary up to a multiple that suits the hardware.
        """
        return tuple(sorted(set(range(self._vocab_size)) - self.vocabulary.tokens.keys()))

    @property
    def control(self) -> ControlIds | ImportedControl:
        """The ids of the control tokens."""
        return self._control

    @property
    def prefix(self) -> str:
        """Text that `encode` puts before every input and `decode` removes: "" or " "."""
        return self._prefix

    @property
    def chat_format(self) -> ChatFormat | None:
        """How conversations become ids; None if the model can only continue texts."""
        return self._chat_format

    @property
    def format_date(self) -> str:
        """The date that the model's template wrote when it was imported; "" if it writes none."""
        return self._format.date if isinstance(self._format, FormatData) else ""

    @property
    def public_ids(self) -> dict[str, int]:
        """The special token ids for config.json: bos_token_id, eos_token_id, pad_token_id."""
        if isinstance(self._control, ControlIds):
            return self._control.config_entries()
        return {
            f"{name}_token_id": token_id
            for name, token_id in self.vocabulary.named_ids.items()
            if name in ("bos", "eos", "pad")
        }

    @property
    def encoder_tokens(self) -> EncoderTokens:
        """The ids of [CLS], [SEP], [PAD] and [MASK]. Raises InputError if one is missing."""
        return EncoderTokens(
            cls=ControlId(self.special_token_id("cls")),
            sep=ControlId(self.special_token_id("sep")),
            pad=ControlId(self.special_token_id("pad")),
            mask=ControlId(self.special_token_id("mask")),
        )

    @cached_property
    def target_tokenizer(self) -> ImportedTokenizer:
        """The tokenizer of the target language. Only MarianMT has a separate one."""
        if self.files.target is None:
            return self
        return ImportedTokenizer(self.files.target, self._vocab_size)

    def special_token_id(self, name: str) -> int:
        """Return a special token's id by name: bos, eos, unk, sep, pad, cls or mask.

        Raises InputError if the tokenizer has no such token.
        """
        named = self.vocabulary.named_ids
        if name not in named:
            raise InputError(
                f"This task needs a {name} token, but the tokenizer has only: {', '.join(named)}.",
                remedy="Use a model whose tokenizer has one.",
                field=f"{name}_token",
            )
        return named[name]

    def encode(self, text: str) -> TextIds:
        """Return the ids of a text. Raises InputError if it is not valid Unicode."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        """Encode each text, on all cores. Equal to encoding them one by one."""
        for text in texts:
            require_unicode(text)
        language_ids: Sequence[list[int]] = ()
        if self.files.target is not None and texts:
            unknown = self.special_token_id("unk")
            split = [split_language(text, self.vocabulary.ids, unknown) for text in texts]
            language_ids, texts = zip(*split, strict=True)
        encoded = self._library.encode_batch(texts)
        for ids in encoded:
            assert self._forbidden.isdisjoint(ids), "text became a special token"
        if language_ids:
            encoded = [
                [*language, *ids] for language, ids in zip(language_ids, encoded, strict=True)
            ]
        return [TextIds(ids) for ids in encoded]

    def encode_after_marker(self, text: str) -> TextIds:
        """Return the ids of a text after a special token: without the prefix of a first text."""
        require_unicode(text)
        [ids] = self._library.encode_batch([text], is_first=False)
        assert self._forbidden.isdisjoint(ids), "text became a special token"
        return TextIds(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; special tokens and unused ids give nothing."""
        data = b"".join(map(self.token_bytes, ids))
        return data.removeprefix(self._prefix.encode()).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of a token, b"" for special tokens and unused ids."""
        if token_id not in self._bytes:
            require_known_id(token_id, self._vocab_size)
        return self._bytes.get(token_id, b"")

    def save(self, directory: Path) -> None:
        """Write the unchanged files, and the settings beside them."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for file, content in self.files.files.items():
            (directory / file).write_bytes(content)
        data = self._format if isinstance(self._format, FormatData) else None
        name = self._format if isinstance(self._format, str) else None
        settings = ImportedSettings(
            self._vocab_size,
            chat_formats.DERIVED if data else name,
            self._system,
            self._first_control_id,
            data,
            self.format_problem,
        )
        settings.write(directory)

    @classmethod
    def load(cls, directory: Path) -> ImportedTokenizer:
        """Read what `save` wrote. Raises InputError if a file is missing or damaged."""
        settings = ImportedSettings.read(directory)
        try:
            return cls(
                imported_files.read(directory),
                settings.vocab_size,
                settings.format_data or settings.chat_format,
                settings.system,
                settings.first_control_id,
                settings.format_problem,
            )
        except ValueError as error:  # add the directory to messages that lack it
            if str(directory) in str(error):
                raise
            field = error.field if isinstance(error, InputError) else ""
            raise InputError(f"{directory}: {error}", field=field) from None

    def with_control_tokens(self) -> ImportedTokenizer:
        """Return this tokenizer with Chatwright's control tokens after its own.

        A model that cannot chat gets them before it is trained on conversations.
        """
        first = max(self.vocabulary.tokens) + 1
        control = ControlIds.after_text(first)
        document = hugging_face.with_control_tokens(self.files.document, control)
        files = TokenizerFiles(
            document,
            self.files.special_tokens,
            hugging_face.CHAT_TEMPLATE_JINJA,
            hugging_face.tokenizer_files(document),
        )
        vocab_size = max(self._vocab_size, first + len(CONTROL_TOKENS))
        return ImportedTokenizer(files, vocab_size, first_control_id=first)

    def with_system(self, system: str | None) -> ImportedTokenizer:
        """Return this tokenizer with another default system text; None is the format's own.

        Conversations without a system message get it, in training and in chats.
        """
        return ImportedTokenizer(
            self.files,
            self._vocab_size,
            self._format,
            system,
            self._first_control_id,
            self.format_problem,
        )

    def _find_prefix(self) -> str:
        """Return the text that is added before every text.

        The test text has a character that no vocabulary has. A tokenizer without an unknown token
        therefore fails here and not while it is used.
        """
        try:
            ids = self.encode("a \U0010ffff")
        except AssertionError:
            raise
        except Exception as error:  # the library raises bare Exception for every problem
            raise InputError(
                f"The tokenizer cannot encode every text ({error}).",
                remedy=tokenizer_json.DOWNLOAD_AGAIN,
                field="tokenizer.json",
            ) from None
        return " " if ids and self.token_bytes(ids[0])[:1] == b" " else ""

    def _make_format(self) -> ChatFormat | None:
        if isinstance(self._control, ControlIds):
            return own_format(self._control)
        if self._format is None:
            return None
        encode = self.encode_after_marker if self._library.has_first_prefix else None
        markers = markers_of(self.files, self.vocabulary, encode)
        if isinstance(self._format, FormatData):
            return build_format(chat_formats.DERIVED, self._format, markers, self._system)
        return chat_formats.build(self._format, markers, self._system)
