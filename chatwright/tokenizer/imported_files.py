"""Read the tokenizer files of another tool's model as data; nothing in them is run.

A tokenizer comes in one of four forms: tokenizer.json; vocab.json with merges.txt; vocab.txt; or a
SentencePiece model. All are converted to the form of tokenizer.json. Added tokens, special tokens
and the chat template may be in further files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer import (
    added_tokens,
    marian_files,
    sentencepiece_document,
    sentencepiece_file,
    vocabulary_files,
)
from chatwright.tokenizer.sentencepiece_file import SentencePieceModel
from chatwright.tokenizer.tokenizer_json import DOWNLOAD_AGAIN

MAX_FILE_BYTES = 64 * 2**20
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "chat_template.jinja",
    "tokenizer.model",
    "spiece.model",
    "source.spm",
    "target.spm",
)


@dataclass(frozen=True)
class TokenizerFiles:
    """The content of a tokenizer's files."""

    document: dict[str, Any]  # tokenizer.json, or the other forms converted to it
    special_tokens: dict[str, str]  # by name: {"bos": "<s>", "eos": "</s>", ...}
    chat_template: str  # the Jinja template, "" if there is none
    files: dict[str, bytes]  # file names and contents, unchanged, to export them again
    n_token: int | None = None  # MarianMT: ids from here on are unknown to the model
    unreachable: frozenset[str] = frozenset()  # MarianMT: tokens that no text is encoded to
    sentencepiece: SentencePieceModel | None = None  # normalizes texts before they are split
    target: TokenizerFiles | None = None  # MarianMT: the tokenizer of the target language


def read(directory: Path) -> TokenizerFiles:
    """Read the tokenizer in a directory. Raises InputError if it is missing or damaged."""
    files = {name: _bytes(directory / name) for name in FILES if (directory / name).is_file()}
    json_files = {
        name: _json_object(directory / name, data)
        for name, data in files.items()
        if name.endswith(".json")
    }
    if _is_marian(files):
        source = _marian(json_files["vocab.json"], files["source.spm"], files)
        target = _marian(json_files["vocab.json"], files["target.spm"], files)
        return replace(source, target=target)
    settings = json_files.get("tokenizer_config.json", {})
    sentencepiece = _sentencepiece(directory, files, settings)
    if sentencepiece is None:
        document = _document(directory, files, json_files)
    else:
        document = sentencepiece_document.to_document(sentencepiece)
    document, special = added_tokens.collect(document, json_files)
    template = _chat_template(settings, files)
    return TokenizerFiles(document, special, template, files, sentencepiece=sentencepiece)


def _is_marian(files: dict[str, bytes]) -> bool:
    needed = {"source.spm", "target.spm", "vocab.json"}
    return needed <= files.keys() and "tokenizer.json" not in files


def _marian(vocab: dict[str, int], data: bytes, files: dict[str, bytes]) -> TokenizerFiles:
    language = marian_files.read_language(vocab, data)
    return TokenizerFiles(
        language.document,
        dict(marian_files.SPECIAL_TOKENS),
        "",
        files,
        language.n_token,
        language.unreachable,
        language.model,
    )


def _sentencepiece(
    directory: Path, files: dict[str, bytes], settings: dict[str, Any]
) -> SentencePieceModel | None:
    """Return the SentencePiece model, unless another file holds the tokenizer."""
    data = files.get("tokenizer.model") or files.get("spiece.model")
    if data is None or not files.keys().isdisjoint({"tokenizer.json", "merges.txt", "vocab.txt"}):
        return None
    if settings.get("do_lower_case") or str(settings.get("tokenizer_class")).startswith("Albert"):
        raise InputError(
            f"{directory}: the model was trained on lower-cased texts, but the SentencePiece file "
            "does not say how they were lower-cased.",
            remedy="Add tokenizer.json, which transformers writes: "
            "AutoTokenizer.from_pretrained(directory).save_pretrained(directory)",
            field="tokenizer.json",
        )
    return sentencepiece_file.read(data)


def _document(
    directory: Path, files: dict[str, bytes], json_files: dict[str, Any]
) -> dict[str, Any]:
    """Return tokenizer.json, or convert vocab.json and merges.txt, or vocab.txt, to it."""
    settings = json_files.get("tokenizer_config.json", {})
    if "tokenizer.json" in files:
        return json_files["tokenizer.json"]
    try:
        if "vocab.json" in files and "merges.txt" in files:
            merges = _text(directory / "merges.txt", files["merges.txt"])
            return vocabulary_files.from_merges(json_files["vocab.json"], merges, settings)
        if "vocab.txt" in files:
            pieces = _text(directory / "vocab.txt", files["vocab.txt"])
            return vocabulary_files.from_word_pieces(pieces, settings)
    except ValueError:
        raise
    except Exception as error:  # the library raises bare Exception for every problem
        raise InputError(
            f"{directory}: the tokenizer's files cannot be used ({str(error)[:200]}).",
            remedy=DOWNLOAD_AGAIN,
            field=str(directory),
        ) from None
    raise InputError(
        f"{directory} holds no tokenizer: it needs tokenizer.json, vocab.json with merges.txt, "
        "vocab.txt or a SentencePiece model.",
        remedy="Download the missing files.",
        field="tokenizer.json",
    )


def _chat_template(settings: dict[str, Any], files: dict[str, bytes]) -> str:
    """Return the template for chatting. As in transformers, chat_template.jinja comes first."""
    if "chat_template.jinja" in files:
        return _unix_newlines(files["chat_template.jinja"].decode("utf-8", errors="replace"))
    template = settings.get("chat_template")
    if isinstance(template, list):  # several named templates; "default" is the one for chatting
        named = (entry for entry in template if isinstance(entry, dict))
        template = next(
            (entry.get("template") for entry in named if entry.get("name") == "default"), ""
        )
    return template if isinstance(template, str) else ""


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(
            f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB, more than any tokenizer file.",
            remedy=DOWNLOAD_AGAIN,
            field=path.name,
        )
    return path.read_bytes()


def _text(path: Path, data: bytes) -> str:
    """Decode a text file. Windows tools add a byte order mark and end lines with CR LF."""
    try:
        return _unix_newlines(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 (byte {error.start}).",
            remedy=DOWNLOAD_AGAIN,
            field=path.name,
            value=error.start,
        ) from None


def _unix_newlines(text: str) -> str:
    """End lines with LF: CR LF is Windows', CR alone is classic Mac OS's."""
    return text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")


def _json_object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not valid JSON ({error}).", remedy=DOWNLOAD_AGAIN, field=path.name
        ) from None
    if not isinstance(value, dict):
        raise InputError(
            f"{path} must hold a JSON object, but holds a {type(value).__name__}.",
            remedy=DOWNLOAD_AGAIN,
            field=path.name,
        )
    return value
