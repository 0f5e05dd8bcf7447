"""The tokenizer files of another tool's model, read as data: tokenizer.json, or vocab.json + merges.txt, or vocab.txt, or SentencePiece's.

All end as one document in tokenizer.json's form, plus the special tokens by role and the chat template's text. Nothing is run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from chatwright.tokenizer import marian_files, sentencepiece_file
from chatwright.tokenizer.marian_files import Side
from chatwright.tokenizer.sentencepiece_file import SentencePieceModel

MAX_FILE_BYTES = 64 * 2**20
ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
# Special tokens of tokenizers so old that no file of theirs names them.
CUSTOMARY: dict[str, tuple[str, ...]] = {
    "<|endoftext|>": ("bos", "eos"),
    "<s>": ("bos", "cls"),
    "</s>": ("eos", "sep"),
    "<pad>": ("pad",),
    "<unk>": ("unk",),
    "<mask>": ("mask",),
    "[UNK]": ("unk",),
    "[SEP]": ("sep",),
    "[PAD]": ("pad",),
    "[CLS]": ("cls",),
    "[MASK]": ("mask",),
}
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
    document: dict[str, Any]  # tokenizer.json
    special: dict[str, str]  # role -> spelling: {"bos": "<s>", ...}
    template: str  # a Jinja text, "" if there is none; looked at, never run
    files: dict[str, bytes]  # as they are, for export
    n_token: int | None = None  # ids from here on are unknown to the model; None: all are known
    unwritable: frozenset[str] = (
        frozenset()
    )  # tokens that no text becomes, besides the special ones
    pieces: SentencePieceModel | None = None  # how SentencePiece writes a text before it is cut
    target: TokenizerFiles | None = (
        None  # how a translation is cut, where that has rules of its own
    )


def read(directory: Path) -> TokenizerFiles:
    files = {name: _bytes(directory / name) for name in FILES if (directory / name).is_file()}
    tables = {
        name: _table(directory / name, files[name]) for name in files if name.endswith(".json")
    }
    settings = tables.get("tokenizer_config.json", {})
    if {"source.spm", "target.spm", "vocab.json"} <= files.keys() and "tokenizer.json" not in files:
        source, target = (
            _marian(tables["vocab.json"], files[f"{side}.spm"], files)
            for side in ("source", "target")
        )
        return replace(source, target=target)
    model = _sentence_pieces(directory, files, settings)
    document = (
        _document(directory, files, tables)
        if model is None
        else sentencepiece_file.as_document(model)
    )
    known = _spellings(document)
    special = {
        role: spelling
        for spelling, roles in CUSTOMARY.items()
        for role in roles
        if spelling in known
    }
    special |= _named(tables.get("special_tokens_map.json", {})) | _named(settings)
    if unknown := sorted(spelling for spelling in special.values() if spelling not in known):
        raise ValueError(
            f"{directory}: the special token {unknown[0][:40]!r} is not in the vocabulary. The tokenizer's files are not of one model."
        )
    return TokenizerFiles(document, special, _template(settings, files), files, pieces=model)


def _sentence_pieces(
    directory: Path, files: dict[str, bytes], settings: dict[str, Any]
) -> SentencePieceModel | None:
    """SentencePiece's file, where nothing else says how texts are cut."""
    data = files.get("tokenizer.model") or files.get("spiece.model")
    if data is None or not files.keys().isdisjoint({"tokenizer.json", "merges.txt", "vocab.txt"}):
        return None
    if settings.get("do_lower_case") or str(settings.get("tokenizer_class")).startswith("Albert"):
        raise ValueError(
            f"{directory}: texts are lower-cased before they are cut into pieces, which the SentencePiece file does not say. "
            "Add tokenizer.json; transformers writes it: AutoTokenizer.from_pretrained(directory).save_pretrained(directory)"
        )
    return sentencepiece_file.read(data)


def _marian(vocab: dict[str, int], data: bytes, files: dict[str, bytes]) -> TokenizerFiles:
    side: Side = marian_files.side_of(vocab, data)
    return TokenizerFiles(
        side.document,
        {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"},
        "",
        files,
        side.n_token,
        side.unwritable,
        side.model,
    )


def _document(directory: Path, files: dict[str, bytes], tables: dict[str, Any]) -> dict[str, Any]:
    settings = tables.get("tokenizer_config.json", {})
    if "tokenizer.json" in files:
        return tables["tokenizer.json"]
    try:
        if "vocab.json" in files and "merges.txt" in files:
            return _from_merges(
                tables["vocab.json"],
                _text(directory / "merges.txt", files["merges.txt"]),
                bool(settings.get("add_prefix_space")),
            )
        if "vocab.txt" in files:
            return _from_word_pieces(_text(directory / "vocab.txt", files["vocab.txt"]), settings)
    except ValueError:
        raise
    except Exception as error:  # the library has no types of its own for what it cannot use
        raise ValueError(
            f"{directory}: the tokenizer's files cannot be used ({str(error)[:200]}). Get them again from where they came"
        ) from None
    raise ValueError(
        f"{directory} holds no tokenizer: expected tokenizer.json, vocab.json with merges.txt, vocab.txt or a SentencePiece model. "
        "Get the missing files from where the model came"
    )


def _from_merges(vocab: dict[str, int], merges_text: str, add_prefix_space: bool) -> dict[str, Any]:
    """GPT-2's and RoBERTa's files, or GPT-1's, whose words end in </w>."""
    lines = [
        line.split(" ")
        for line in merges_text.split("\n")
        if line and not line.startswith("#version")
    ]
    if wrong := [line for line in lines if len(line) != 2]:
        raise ValueError(
            f"merges.txt: {' '.join(wrong[0])[:40]!r} is no pair of tokens. Get the file again from where the model came"
        )
    merges = [(left, right) for left, right in lines]
    if len(set(vocab.values())) < len(vocab):
        raise ValueError(
            "vocab.json: two tokens have the same id. Get the file again from where the model came"
        )
    if any(token.endswith("</w>") for token in vocab):
        library = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", end_of_word_suffix="</w>"))
        library.normalizer = normalizers.BertNormalizer(lowercase=True)
        library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        library.decoder = decoders.BPEDecoder(suffix="</w>")
    else:
        library = Tokenizer(models.BPE(vocab, merges))
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
        library.decoder = decoders.ByteLevel()
    return _as_document(library, vocab)


def _from_word_pieces(text: str, settings: dict[str, Any]) -> dict[str, Any]:
    """BERT's file: one piece a line, its id the line's number."""
    vocab = {piece: index for index, piece in enumerate(text.removesuffix("\n").split("\n"))}
    library = Tokenizer(models.WordPiece(vocab, unk_token=str(settings.get("unk_token", "[UNK]"))))
    library.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(prefix="##")
    return _as_document(library, vocab)


def _as_document(library: Tokenizer, vocab: dict[str, int]) -> dict[str, Any]:
    """tokenizer.json as the library writes it, with the customary special tokens added."""
    added: list[dict[str, Any]] = [
        {
            "id": vocab[spelling],
            "content": spelling,
            "single_word": False,
            "lstrip": spelling == "<mask>",
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for spelling in CUSTOMARY
        if spelling in vocab
    ]
    return json.loads(library.to_str()) | {
        "added_tokens": sorted(added, key=lambda token: token["id"])
    }


def _spellings(document: dict[str, Any]) -> set[str]:
    """Every token there is."""
    model = document.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, dict):
        tokens = set(vocab)
    elif isinstance(vocab, list) and all(
        isinstance(piece, list) and len(piece) == 2 and isinstance(piece[0], str) for piece in vocab
    ):
        tokens = {piece[0] for piece in vocab}
    else:
        raise ValueError(
            "tokenizer.json holds no vocabulary of a kind known here (BPE, WordPiece, Unigram). Get the file again."
        )
    return tokens | {token["content"] for token in added_tokens(document)}


def added_tokens(document: dict[str, Any]) -> list[dict[str, Any]]:
    tokens = document.get("added_tokens") or []
    is_whole = isinstance(tokens, list) and all(isinstance(token, dict) for token in tokens)
    if not is_whole or any(
        type(token.get("id")) is not int or not isinstance(token.get("content"), str)
        for token in tokens
    ):
        raise ValueError(
            "tokenizer.json: added_tokens is not a list of tokens with id and content. Get the file again."
        )
    return tokens


def _named(table: dict[str, Any]) -> dict[str, str]:
    """{"bos": "<s>"} from {"bos_token": "<s>"} or {"bos_token": {"content": "<s>"}}."""
    found = {}
    for role in ROLES:
        value = table.get(f"{role}_token")
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[role] = value
    return found


def _template(settings: dict[str, Any], files: dict[str, bytes]) -> str:
    template = settings.get("chat_template")
    if isinstance(template, list):  # several by name; the default is the one to converse with
        template = next(
            (
                t.get("template")
                for t in template
                if isinstance(t, dict) and t.get("name") == "default"
            ),
            "",
        )
    return (
        template
        if isinstance(template, str)
        else files.get("chat_template.jinja", b"").decode("utf-8", errors="replace")
    )


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(
            f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB, which no tokenizer is. Get it again from where the model came"
        )
    return path.read_bytes()


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 (byte {error.start}). Get it again from where the model came"
        ) from None


def _table(path: Path, data: bytes) -> dict[str, Any]:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}). Get it again from where the model came"
        ) from None
    if not isinstance(table, dict):
        raise ValueError(f"{path} holds no JSON object. Get it again from where the model came")
    return table
