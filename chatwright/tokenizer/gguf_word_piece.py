"""The WordPiece tokenizers of GGUF files (bert).

BERT writes "the" for the beginning of a word and "##ing" for its continuation. GGUF files hold
"▁the" and "ing" instead.
"""

from __future__ import annotations

import re

from chatwright.tokenizer.gguf_fields import NORMAL, TOKENS, GgufVocabulary, malformed
from chatwright.tokenizer.gguf_special_tokens import document_parts
from chatwright.tokenizer.token_bytes import WORD_START
from chatwright.tokenizer.tokenizer_json import Document

CONTINUATION = "##"
MAX_WORD_LENGTH = 100  # characters; a longer word becomes the unknown token, as in BERT
CAPITAL = re.compile("[A-Z]")


def document(vocabulary: GgufVocabulary) -> Document:
    """Return tokenizer.json of a WordPiece vocabulary. Raises InputError if it is malformed."""
    n = len(vocabulary.tokens)
    vocab = {_piece(vocabulary, i): i for i in range(n) if not vocabulary.is_gap(i)}
    if len(vocab) < sum(not vocabulary.is_gap(i) for i in range(n)):
        raise malformed(TOKENS, "gives two ids to the same token")
    return {
        **document_parts(vocabulary, "cls", "sep"),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": vocabulary.flags.get("normalizer.strip_accents"),
            "lowercase": _is_lower_cased(vocabulary),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": CONTINUATION, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": vocabulary.tokens[vocabulary.id_of("unk")],
            "continuing_subword_prefix": CONTINUATION,
            "max_input_chars_per_word": MAX_WORD_LENGTH,
            "vocab": vocab,
        },
    }


def _is_lower_cased(vocabulary: GgufVocabulary) -> bool:
    """Whether texts are lower-cased. Old files do not say it, but their tokens show it."""
    if "normalizer.lowercase" in vocabulary.flags:
        return vocabulary.flags["normalizer.lowercase"]
    rows = zip(vocabulary.tokens, vocabulary.types, strict=True)
    words = (token for token, kind in rows if kind == NORMAL and not _is_bracketed(token))
    return not any(map(CAPITAL.search, words))


def _piece(vocabulary: GgufVocabulary, token_id: int) -> str:
    """Return a token as BERT writes it."""
    token = vocabulary.tokens[token_id]
    if vocabulary.types[token_id] != NORMAL or _is_bracketed(token):
        return token
    word = token.removeprefix(WORD_START)
    return word if word and word != token else CONTINUATION + token


def _is_bracketed(token: str) -> bool:
    """Whether a token is like [CLS] or [unused1]. Old files mark none of them as special."""
    return len(token) > 2 and token.startswith("[") and token.endswith("]")
