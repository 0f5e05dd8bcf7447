"""Train a WordPiece tokenizer, the kind that BERT uses, for encoders.

WordPiece (Schuster & Nakajima 2012; Devlin et al. 2018) splits a word into its longest known
prefix, then the longest known piece after that ("##ing"), and so on. A word with an unknown
character becomes [UNK]. Texts are lower-cased and lose their accents unless `cased`.

The result is a tokenizer such as BERT's, with the same special tokens. It is therefore used, saved
and opened like an imported tokenizer (`imported.py`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from chatwright.errors import InputError
from chatwright.tokenizer import hugging_face
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.validation import require_unicode

# In the order of their ids, as in BERT.
SPECIAL_TOKENS = {
    "pad": "[PAD]",
    "unk": "[UNK]",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "mask": "[MASK]",
}
CONTINUATION_PREFIX = "##"  # before a piece that continues a word
MAX_ALPHABET = 1000  # characters; words with rarer characters become [UNK]


def train(texts: Iterable[str], vocab_size: int, cased: bool = False) -> ImportedTokenizer:
    """Learn word pieces from `texts`.

    `vocab_size` includes the special tokens. A small text may give a smaller vocabulary. Raises
    InputError if `vocab_size` is too small or there is no text.
    """
    library = untrained_library(cased)
    texts = list(texts)
    if not any(texts):
        raise InputError(
            "The tokenizer has no text to learn from: every document is empty.",
            remedy="Check the data path.",
            field="texts",
        )
    # Passed as special tokens, because the trainer otherwise numbers single characters in an
    # order that changes from run to run.
    first_tokens = [*SPECIAL_TOKENS.values(), *alphabet(texts, library)]
    if vocab_size < len(first_tokens):
        raise InputError(
            f"vocab_size is {vocab_size}, but the special tokens and the characters of the text "
            f"already need {len(first_tokens)}.",
            remedy=f"Set vocab_size={len(first_tokens)} or more.",
            field="vocab_size",
            value=vocab_size,
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=first_tokens,
        limit_alphabet=0,
        continuing_subword_prefix=CONTINUATION_PREFIX,
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return ImportedTokenizer(tokenizer_files(library))


def untrained_library(cased: bool) -> tokenizers.Tokenizer:
    """Return a tokenizer with BERT's normalizer and pre-tokenizer and an empty vocabulary."""
    library = tokenizers.Tokenizer(
        models.WordPiece(unk_token=SPECIAL_TOKENS["unk"], max_input_chars_per_word=100)
    )
    library.normalizer = normalizers.BertNormalizer(lowercase=not cased, strip_accents=not cased)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(prefix=CONTINUATION_PREFIX)
    return library


def alphabet(texts: Iterable[str], library: tokenizers.Tokenizer) -> list[str]:
    """Return each character that occurs at least twice, also as a continuation ("##a").

    Characters that the pre-tokenizer makes words of their own, such as punctuation, get no
    continuation.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        require_unicode(text)
        counts.update(library.normalizer.normalize_str(text))
    most_common = counts.most_common(MAX_ALPHABET)
    characters = [c for c, count in most_common if count > 1 and not c.isspace()]
    inside_words = [
        c for c in characters if len(library.pre_tokenizer.pre_tokenize_str(f"a{c}a")) == 1
    ]
    return sorted(characters) + sorted(CONTINUATION_PREFIX + c for c in inside_words)


def tokenizer_files(library: tokenizers.Tokenizer) -> TokenizerFiles:
    """Return the files of a BERT directory, which transformers' AutoTokenizer opens.

    The post-processor makes it add [CLS] and [SEP], as our encoders do.
    """
    cls, sep = (
        (SPECIAL_TOKENS[name], library.token_to_id(SPECIAL_TOKENS[name])) for name in ("cls", "sep")
    )
    library.post_processor = processors.TemplateProcessing(
        single=f"{cls[0]} $A {sep[0]}",
        pair=f"{cls[0]} $A {sep[0]} $B:1 {sep[0]}:1",
        special_tokens=[cls, sep],
    )
    document: dict[str, Any] = json.loads(library.to_str())
    document["added_tokens"] = [
        token for token in document["added_tokens"] if token["content"] in SPECIAL_TOKENS.values()
    ]
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    settings |= {f"{name}_token": token for name, token in SPECIAL_TOKENS.items()}
    return TokenizerFiles(
        document,
        dict(SPECIAL_TOKENS),
        "",
        {
            "tokenizer.json": hugging_face.to_json(document),
            "tokenizer_config.json": hugging_face.to_json(settings),
        },
    )
