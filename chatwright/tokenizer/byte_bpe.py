"""Byte-level BPE over the `tokenizers` library.

Every text is first bytes, so any text encodes and `decode(encode(text)) == text`. On disk it is a Hugging Face directory
(tokenizer.json, tokenizer_config.json, chat_template.jinja) that other tools open. In memory the added tokens are stripped,
because the library matches them inside text even when asked not to add special tokens: a person typing "<|end|>" would
otherwise end a turn. It normalises nothing (no NFC, no lower case) and adds no <bos> by itself.

With `prefix` a space goes before every text and is taken off again: a word is then the same token wherever it stands, and a
small model need not learn "Ada" at the beginning of an answer and " Ada" inside a question as two words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from chatwright.tokenizer import hugging_face
from chatwright.tokenizer.chat_format import ChatFormat, own_format
from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds, TextIds
from chatwright.tokenizer.text import require_unicode

# GPT-4's pattern with one change, `\p{N}` instead of `\p{N}{1,3}`: every digit is its own token. A small model meets most
# three-digit groups too rarely to learn what they are worth; ten digits it sees all the time, and 127 + 1 lines up.
# The price is longer numbers.
PRE_TOKENIZATION_PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# After a newline that a word character follows, the pattern always starts a new piece (no alternative holds a newline before a
# letter or digit). Cutting a long text only there gives the same ids, bounded memory, and both cores for one big document.
SAFE_CUT = re.compile(r"\n(?=\w)")
PIECE_LENGTH = 100_000  # characters
PIECES_AT_ONCE = 1_000  # the library's Encoding objects take about a hundred bytes per token until they are copied out


class ByteBPE:
    def __init__(self, library: tokenizers.Tokenizer, prefix: str = "") -> None:
        """`library` must carry no added tokens; use `train` or `load`."""
        self.prefix = prefix
        assert not library.get_added_tokens_decoder(), "the text path must not know added tokens"
        self._library = library
        self._n_text = library.get_vocab_size(with_added_tokens=False)
        self._control = ControlIds.after_text(self._n_text)
        byte_of = {character: byte for byte, character in enumerate(bytes_to_unicode())}
        self._bytes = [b""] * self._n_text
        for token, token_id in library.get_vocab(with_added_tokens=False).items():
            self._bytes[token_id] = bytes(byte_of[character] for character in token)

    @property
    def vocab_size(self) -> int:
        return self._n_text + len(CONTROL_TOKENS)

    @property
    def control(self) -> ControlIds:
        return self._control

    @property
    def chat_format(self) -> ChatFormat:
        return own_format(self._control)

    @property
    def public_ids(self) -> dict[str, int]:
        return self._control.public()

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, prefix: str = "") -> ByteBPE:
        """Learn merges from `texts`. `vocab_size` includes the control ids; a small text may give fewer, never more."""
        smallest = 256 + len(CONTROL_TOKENS)
        if vocab_size < smallest:
            raise ValueError(
                f"vocab_size ({vocab_size}) must be at least {smallest}: 256 bytes and {len(CONTROL_TOKENS)} control tokens"
            )
        library = untrained()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - len(CONTROL_TOKENS),
            min_frequency=2,
            initial_alphabet=sorted(bytes_to_unicode()),
            show_progress=False,
        )
        seen = Seen(texts, prefix)
        library.train_from_iterator(seen, trainer)
        if not seen.any_text:
            raise ValueError(
                "the tokenizer has no text to learn from: every document is empty. Check the data path"
            )
        return cls(library, prefix)

    def encode(self, text: str) -> TextIds:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[TextIds]:
        pieces: list[str] = []
        owner: list[int] = []
        for index, text in enumerate(texts):
            require_unicode(text)
            for piece in cut(self.prefix + text if text else ""):
                pieces.append(piece)
                owner.append(index)
        encoded: list[list[int]] = [[] for _ in texts]
        for start in range(0, len(pieces), PIECES_AT_ONCE):
            some = slice(start, start + PIECES_AT_ONCE)
            for index, encoding in zip(
                owner[some],
                self._library.encode_batch_fast(pieces[some], add_special_tokens=False),
                strict=True,
            ):
                encoded[index].extend(encoding.ids)
        for ids in encoded:
            assert not ids or max(ids) < self._n_text, (
                "text became a control id: the added tokens were not stripped"
            )
        return [TextIds(ids) for ids in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        # Ids cut in the middle of a character give U+FFFD; `chat`'s stream decoder holds such bytes back instead.
        return (
            b"".join(map(self.token_bytes, ids))
            .removeprefix(self.prefix.encode())
            .decode("utf-8", errors="replace")
        )

    def token_bytes(self, token_id: int) -> bytes:
        if 0 <= token_id < self._n_text:
            return self._bytes[token_id]
        if 0 <= token_id < self.vocab_size:
            return b""
        raise ValueError(
            f"token id {token_id} is outside this tokenizer's {self.vocab_size} ids: these ids come from another tokenizer"
        )

    def save(self, directory: Path) -> None:
        """Write a directory that transformers' AutoTokenizer opens, control tokens included."""
        hugging_face.write(
            Path(directory), json.loads(self._library.to_str()), self._control, self.prefix
        )

    @classmethod
    def load(cls, directory: Path) -> ByteBPE:
        expected = json.loads(untrained().to_str())["pre_tokenizer"]
        document, prefix = hugging_face.read(Path(directory), expected, bytes_to_unicode())
        try:
            library = tokenizers.Tokenizer.from_str(json.dumps(document))
        except (
            Exception
        ) as error:  # the library raises bare Exception for everything it cannot read
            raise ValueError(
                f"{directory}: tokenizer.json cannot be read ({error}): save the tokenizer again"
            ) from None
        return cls(library, prefix)


class Seen:
    """Pass texts on and remember whether there was any: the trainer itself accepts nothing and stays silent."""

    def __init__(self, texts: Iterable[str], prefix: str) -> None:
        self._texts, self._prefix = texts, prefix
        self.any_text = False

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            self.any_text = self.any_text or bool(text)
            require_unicode(text)
            yield self._prefix + text


def cut(text: str) -> Iterator[str]:
    """Split a long text at safe cuts; a short one comes back whole."""
    start = 0
    while len(text) - start > PIECE_LENGTH:
        match = SAFE_CUT.search(text, start + PIECE_LENGTH)
        if match is None:
            break
        yield text[start : match.end()]
        start = match.end()
    yield text[start:] if start else text


def untrained() -> tokenizers.Tokenizer:
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
    """The printable character that stands for each byte in tokenizer.json (GPT-2's table)."""
    printable = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    }
    others = (byte for byte in range(256) if byte not in printable)
    stand_in = {byte: 256 + index for index, byte in enumerate(others)}
    return [chr(stand_in.get(byte, byte)) for byte in range(256)]
