"""Byte-level BPE, the default tokenizer, run by the Hugging Face `tokenizers` library.

Byte-pair encoding (BPE; Sennrich et al. 2016) starts from single symbols and repeatedly merges the
most frequent pair of neighbors into a new token. Byte-level BPE (GPT-2; Radford et al. 2019) starts
from the 256 bytes of UTF-8, so every text can be encoded and `decode(encode(text)) == text`. Texts
are not normalized (no NFC, no lower-casing), and no <bos> is added.

A saved tokenizer is a Hugging Face directory (tokenizer.json, tokenizer_config.json,
chat_template.jinja) that other tools can open. In memory the control tokens are removed from the
library's tokenizer, because the library finds them inside text even with
`add_special_tokens=False`: a user who types "<|end|>" would otherwise end a turn.

If `prefix` is " ", a space is put before every text and removed when decoding (Hugging Face calls
this `add_prefix_space`). A word then has the same token at the beginning of a text and inside it,
which saves a small model from learning "Ada" and " Ada" as two words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from chatwright.errors import InputError
from chatwright.tokenizer import hugging_face
from chatwright.tokenizer.chat_format import ChatFormat, own_format
from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds, TextIds
from chatwright.tokenizer.validation import require_known_id, require_unicode

# The pattern of GPT-4's tokenizer, with `\p{N}` instead of `\p{N}{1,3}`: every digit is a token.
# A small model sees most three-digit groups too rarely to learn their values, but sees the ten
# digits all the time, and the digits of 127 + 1 align. The price is that numbers take more tokens.
PRE_TOKENIZATION_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# The pattern always starts a new word between a newline and a word character, because none of its
# alternatives matches a newline followed by a letter or digit. Splitting a long text only there
# gives the same ids, bounds the memory, and lets several cores share one long document.
SAFE_SPLIT = re.compile(r"\n(?=\w)")
CHUNK_LENGTH = 100_000  # characters
# The library's Encoding objects take about 100 bytes per token until their ids are copied.
CHUNKS_PER_BATCH = 1_000


class ByteBPE:
    """A byte-level BPE tokenizer with Chatwright's control tokens."""

    def __init__(self, library: tokenizers.Tokenizer, prefix: str = "") -> None:
        """Callers use `train` or `load` instead. `library` must not hold any added tokens."""
        assert not library.get_added_tokens_decoder(), "the library must not know added tokens"
        self.prefix = prefix
        self._library = library
        self._n_text = library.get_vocab_size(with_added_tokens=False)
        self._control = ControlIds.after_text(self._n_text)
        byte_of = {character: byte for byte, character in enumerate(bytes_to_unicode())}
        self._bytes = [b""] * self._n_text
        for token, token_id in library.get_vocab(with_added_tokens=False).items():
            self._bytes[token_id] = bytes(byte_of[character] for character in token)

    @property
    def vocab_size(self) -> int:
        """Number of text tokens plus number of control tokens."""
        return self._n_text + len(CONTROL_TOKENS)

    @property
    def control(self) -> ControlIds:
        """The ids of the control tokens; they follow the text tokens' ids."""
        return self._control

    @property
    def chat_format(self) -> ChatFormat:
        """Chatwright's own chat format."""
        return own_format(self._control)

    @property
    def public_ids(self) -> dict[str, int]:
        """The special token ids for config.json: bos_token_id, eos_token_id, pad_token_id."""
        return self._control.config_entries()

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, prefix: str = "") -> ByteBPE:
        """Learn the merges from `texts`.

        `vocab_size` includes the control tokens. A small text may give a smaller vocabulary.
        Raises InputError if `vocab_size` is too small or there is no text.
        """
        smallest = 256 + len(CONTROL_TOKENS)
        if vocab_size < smallest:
            raise InputError(
                f"vocab_size is {vocab_size}, but 256 bytes and {len(CONTROL_TOKENS)} control "
                f"tokens already need {smallest}.",
                remedy=f"Set vocab_size={smallest} or more.",
                field="vocab_size",
                value=vocab_size,
            )
        library = _untrained_library()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - len(CONTROL_TOKENS),
            min_frequency=2,
            initial_alphabet=sorted(bytes_to_unicode()),
            show_progress=False,
        )
        training_texts = _TrainingTexts(texts, prefix)
        library.train_from_iterator(training_texts, trainer)
        if not training_texts.has_text:
            raise InputError(
                "The tokenizer has no text to learn from: every document is empty.",
                remedy="Check the data path.",
                field="texts",
            )
        return cls(library, prefix)

    def encode(self, text: str) -> TextIds:
        """Return the ids of a text. Raises InputError if it is not valid Unicode."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        """Encode each text, on all cores. Equal to encoding them one by one."""
        chunks: list[str] = []
        text_indices: list[int] = []  # the text that each chunk belongs to
        for index, text in enumerate(texts):
            require_unicode(text)
            for chunk in split_long_text(self.prefix + text if text else ""):
                chunks.append(chunk)
                text_indices.append(index)
        encoded: list[list[int]] = [[] for _ in texts]
        for start in range(0, len(chunks), CHUNKS_PER_BATCH):
            batch = slice(start, start + CHUNKS_PER_BATCH)
            encodings = self._library.encode_batch_fast(chunks[batch], add_special_tokens=False)
            for index, encoding in zip(text_indices[batch], encodings, strict=True):
                encoded[index].extend(encoding.ids)
        for ids in encoded:
            assert not ids or max(ids) < self._n_text, (
                "text became a control id: the library still knows added tokens"
            )
        return [TextIds(ids) for ids in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; control ids give nothing.

        Ids that end in the middle of a character give U+FFFD. To stream a reply, use
        `chat/stream_decoder.py`, which waits for the rest of the character.
        """
        data = b"".join(map(self.token_bytes, ids))
        return data.removeprefix(self.prefix.encode()).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of a token, b"" for a control token."""
        require_known_id(token_id, self.vocab_size)
        return self._bytes[token_id] if token_id < self._n_text else b""

    def save(self, directory: Path) -> None:
        """Write a directory that transformers' AutoTokenizer opens, control tokens included."""
        document = json.loads(self._library.to_str())
        hugging_face.write(Path(directory), document, self._control, self.prefix)

    @classmethod
    def load(cls, directory: Path) -> ByteBPE:
        """Read what `save` wrote. Raises InputError for any other tokenizer.json."""
        pre_tokenizer = json.loads(_untrained_library().to_str())["pre_tokenizer"]
        document, prefix = hugging_face.read(Path(directory), pre_tokenizer, bytes_to_unicode())
        try:
            library = tokenizers.Tokenizer.from_str(json.dumps(document))
        except Exception as error:  # the library raises bare Exception for every problem
            raise InputError(
                f"{directory}: tokenizer.json cannot be read ({error}).",
                remedy="Save the tokenizer again.",
                field="tokenizer.json",
            ) from None
        return cls(library, prefix)


class _TrainingTexts:
    """Pass texts to the trainer and record whether any was not empty.

    The trainer itself accepts an empty corpus without an error.
    """

    def __init__(self, texts: Iterable[str], prefix: str) -> None:
        self._texts = texts
        self._prefix = prefix
        self.has_text = False

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            self.has_text = self.has_text or bool(text)
            require_unicode(text)
            yield self._prefix + text


def split_long_text(text: str) -> Iterator[str]:
    """Split a text at SAFE_SPLIT into chunks of about CHUNK_LENGTH characters."""
    start = 0
    while len(text) - start > CHUNK_LENGTH:
        match = SAFE_SPLIT.search(text, start + CHUNK_LENGTH)
        if match is None:
            break
        yield text[start : match.end()]
        start = match.end()
    yield text[start:] if start else text


def _untrained_library() -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZATION_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.decoder = decoders.ByteLevel()
    return library


def bytes_to_unicode() -> list[str]:
    """Return the printable character that represents each byte in tokenizer.json.

    Printable Latin-1 characters represent themselves; the other bytes use the characters from
    U+0100 on, in order. This is the mapping of GPT-2's `bytes_to_unicode` (encoder.py).
    """
    printable = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    }
    others = (byte for byte in range(256) if byte not in printable)
    code_point_of = {byte: 256 + index for index, byte in enumerate(others)}
    return [chr(code_point_of.get(byte, byte)) for byte in range(256)]
