"""Convert the oldest tokenizer files to tokenizer.json: vocab.json with merges.txt, or vocab.txt.

GPT-1, GPT-2 and RoBERTa have the first two files (BPE), BERT has the last (WordPiece). The files
hold only the vocabulary. Normalization, pre-tokenization and decoding are those of the transformers
classes that read them: GPT2Tokenizer, OpenAIGPTTokenizer and BertTokenizer.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from chatwright.errors import InputError
from chatwright.tokenizer.added_tokens import DEFAULT_SPECIAL_TOKENS
from chatwright.tokenizer.tokenizer_json import DOWNLOAD_AGAIN, new_added_token

WORD_END = "</w>"  # ends a word's last token in GPT-1's vocabulary


def from_merges(
    vocab: dict[str, int], merges_text: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """Convert vocab.json and merges.txt.

    Args:
        vocab: Tokens and their ids, from vocab.json.
        merges_text: One merge per line, "left right", the most frequent first.
        settings: tokenizer_config.json.

    Raises InputError if the files are damaged.
    """
    merges = _merges(merges_text)
    if len(set(vocab.values())) < len(vocab):
        raise InputError(
            "vocab.json gives two tokens the same id.",
            remedy=DOWNLOAD_AGAIN,
            field="vocab.json",
        )
    if any(token.endswith(WORD_END) for token in vocab):
        model = models.BPE(vocab, merges, unk_token="<unk>", end_of_word_suffix=WORD_END)
        library = Tokenizer(model)
        library.normalizer = normalizers.BertNormalizer(lowercase=True)
        library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        library.decoder = decoders.BPEDecoder(suffix=WORD_END)
    else:
        library = Tokenizer(models.BPE(vocab, merges))
        add_prefix_space = bool(settings.get("add_prefix_space"))
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
        library.decoder = decoders.ByteLevel()
    return _to_document(library, vocab)


def _merges(text: str) -> list[tuple[str, str]]:
    """Parse merges.txt; its first line may be "#version: 0.2"."""
    merges = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith("#version"):
            continue
        pair = line.split(" ")
        if len(pair) != 2:
            raise InputError(
                f"merges.txt: line {number} ({line[:40]!r}) is not a pair of tokens.",
                remedy=DOWNLOAD_AGAIN,
                field="merges.txt",
                value=number,
            )
        merges.append((pair[0], pair[1]))
    return merges


def from_word_pieces(text: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Convert vocab.txt: one piece per line, the line's index is its id."""
    vocab = {piece: index for index, piece in enumerate(text.removesuffix("\n").split("\n"))}
    unknown = str(settings.get("unk_token", "[UNK]"))
    library = Tokenizer(models.WordPiece(vocab, unk_token=unknown))
    library.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(prefix="##")
    return _to_document(library, vocab)


def _to_document(library: Tokenizer, vocab: dict[str, int]) -> dict[str, Any]:
    """Return the library's tokenizer.json with the usual special tokens as added tokens."""
    # "<mask>" takes the space before it, as in RoBERTa.
    special = [
        new_added_token(vocab[content], content, special=True, lstrip=content == "<mask>")
        for content in DEFAULT_SPECIAL_TOKENS
        if content in vocab
    ]
    document: dict[str, Any] = json.loads(library.to_str())
    return document | {"added_tokens": sorted(special, key=lambda token: token["id"])}
