"""Open text files of any character encoding as UTF-8.

A byte order mark decides the encoding. A file without one must be UTF-8, unless you name its
encoding. A guess from the bytes (`likely_encoding`) only fills the advice of an error message: it
is never used to read the file.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from chatwright.data.readers.files import open_binary
from chatwright.errors import InputError

START_BYTES = 2**20  # searched for a byte order mark and for line endings
CHUNK = 2**18  # bytes
# The mark of UTF-32 begins with the mark of UTF-16, so UTF-32 comes first.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
UTF8 = ("utf-8", "utf-8-sig")


def require_encoding(name: str) -> None:
    """Raise InputError unless `name` is empty or a text encoding that Python knows."""
    try:
        "".encode(name or "utf-8")
    except LookupError:
        raise InputError(
            f"The encoding {name!r} is unknown.",
            remedy="Use for example cp1252, cp1251, utf-16, shift_jis, gb18030 or mac_roman.",
            field="encoding",
            value=name,
        ) from None


def open_utf8(path: Path, encoding: str = "") -> BinaryIO:
    r"""Open a text file as a stream of UTF-8 bytes, with "\n" for bare carriage returns.

    `encoding` applies to files that are not valid UTF-8 and have no byte order mark. A byte order
    mark of UTF-8 stays in the stream. Raises UnicodeDecodeError while reading, except that invalid
    bytes of a file read as UTF-8 are passed on.
    """
    start = _start(path)
    encoding = _encoding_to_use(path, start, encoding)
    file = open_binary(path)
    if encoding not in UTF8:
        # Some programs write the mark of UTF-8 before text in other encodings.
        if start.startswith(codecs.BOM_UTF8):
            file.read(len(codecs.BOM_UTF8))
            start = start.removeprefix(codecs.BOM_UTF8)
        file = _converted(file, _to_utf8(encoding))
    if _has_bare_carriage_returns(start.decode(encoding, "ignore")):
        file = _converted(file, lambda chunk: chunk.replace(b"\r", b"\n"))
    return file


def _start(path: Path) -> bytes:
    with open_binary(path) as file:
        return file.read(START_BYTES)


def _encoding_to_use(path: Path, start: bytes, named: str) -> str:
    marked = next((name for mark, name in BYTE_ORDER_MARKS if start.startswith(mark)), "")
    if marked.startswith(("utf-16", "utf-32")):
        return marked
    if named and codecs.lookup(named).name not in UTF8 and not _is_utf8(path):
        return named
    return "utf-8"


def _is_utf8(path: Path) -> bool:
    """Whether the whole file is UTF-8 text without zero bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_binary(path) as file:
        while chunk := file.read(CHUNK):
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError:
                return False
            if "\0" in text:
                return False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _has_bare_carriage_returns(text: str) -> bool:
    return "\r" in text and "\n" not in text


def _to_utf8(encoding: str) -> Callable[[bytes], bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    # An empty chunk is the end of the file: an incomplete character there is an error.
    return lambda chunk: decoder.decode(chunk, final=not chunk).encode("utf-8")


def _converted(file: BinaryIO, convert: Callable[[bytes], bytes]) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Converted(file, convert), CHUNK))


class _Converted(io.RawIOBase):
    """A binary stream whose chunks are converted as they are read."""

    def __init__(self, file: BinaryIO, convert: Callable[[bytes], bytes]) -> None:
        self._file, self._convert = file, convert
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._pending:
            chunk = self._file.read(CHUNK)
            self._pending = self._convert(chunk)
            if not chunk and not self._pending:
                return 0
        n = min(len(buffer), len(self._pending))
        buffer[:n] = self._pending[:n]
        self._pending = self._pending[n:]
        return n

    def close(self) -> None:
        self._file.close()
        super().close()


def likely_encoding(sample: bytes) -> str:
    """Guess the encoding of text that is not UTF-8: "cp1252", "utf-16-le", "utf-16-be" or "".

    cp1252 (Windows, Western Europe) also covers Latin-1: its printable characters are the same.
    """
    if b"\0" in sample:
        return _likely_utf16(sample)
    return "cp1252" if _looks_like_cp1252(sample) else ""


def _likely_utf16(sample: bytes) -> str:
    """UTF-16 of mostly ASCII text has a zero in every second byte."""
    even, odd = sample[0::2], sample[1::2]
    if odd.count(0) > 0.6 * len(odd) and even.count(0) < 0.05 * len(even):
        return "utf-16-le"
    if even.count(0) > 0.6 * len(even) and odd.count(0) < 0.05 * len(odd):
        return "utf-16-be"
    return ""


# Letters and punctuation of Western European texts. Missing on purpose: characters that are
# frequent when text of Mac Roman, cp1250, cp1251 or Shift-JIS is read as cp1252 by mistake.
_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœÿ".encode("cp1252"))
_PUNCTUATION = frozenset("€‚„…‘’“”•–—™\xa0¡£§©ª«®°²³´·º»¼½¾¿".encode("cp1252"))


def _looks_like_cp1252(sample: bytes) -> bool:
    """Whether the non-ASCII bytes are Western European in cp1252, and letters rarely adjacent.

    In Cyrillic, Greek or Chinese encodings most non-ASCII bytes follow another one.
    """
    high = [index for index, byte in enumerate(sample) if byte >= 0x80]
    typical = [index for index in high if sample[index] in _LETTERS | _PUNCTUATION]
    letters = [index for index in typical if sample[index] in _LETTERS]
    adjacent = sum(1 for index in letters if index and sample[index - 1] in _LETTERS)
    return bool(high) and len(typical) >= 0.95 * len(high) and adjacent <= 0.2 * len(letters)
