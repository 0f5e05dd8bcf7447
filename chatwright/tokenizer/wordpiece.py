"""Learn a WordPiece vocabulary: that of BERT and its family (Schuster & Nakajima 2012; Devlin et al. 2018), for texts that are read, not written.

A word is its longest known beginning, then the longest known piece after that ("##ing"), and so on; a word with a character that the
vocabulary does not know is one [UNK]. Text is lower-cased and loses its accents unless `cased`. What comes out is a tokenizer such as BERT's
own, with the same special tokens, so it is used, saved and opened like one that was imported (`foreign.py`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from chatwright.tokenizer import hugging_face
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.text import require_unicode

ROLES = {
    "pad": "[PAD]",
    "unk": "[UNK]",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "mask": "[MASK]",
}  # in the order of their ids, as BERT has them
INSIDE = "##"  # before a piece that goes on with a word
LARGEST_ALPHABET = 1000  # characters; rarer ones make their word unknown


def train(texts: Iterable[str], vocab_size: int, cased: bool = False) -> ImportedTokenizer:
    """Learn pieces from `texts`. `vocab_size` includes the special tokens; a small text may give fewer, never more."""
    library, kept = untrained(cased), list(texts)
    if not any(kept):
        raise ValueError(
            "the tokenizer has no text to learn from: every document is empty. Check the data path"
        )
    # The library numbers single characters in an order that changes from run to run, unless they are given beforehand.
    first = [*ROLES.values(), *alphabet(kept, library)]
    if vocab_size < len(first):
        raise ValueError(
            f"vocab_size ({vocab_size}) must be at least {len(first)}: the special tokens and the characters of the text"
        )
    library.train_from_iterator(
        kept,
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=first,
            limit_alphabet=0,
            continuing_subword_prefix=INSIDE,
            show_progress=False,
        ),
    )
    return ImportedTokenizer(files_of(library))


def untrained(cased: bool) -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(
        models.WordPiece(unk_token=ROLES["unk"], max_input_chars_per_word=100)
    )
    library.normalizer = normalizers.BertNormalizer(lowercase=not cased, strip_accents=not cased)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(prefix=INSIDE)
    return library


def alphabet(texts: Iterable[str], library: tokenizers.Tokenizer) -> list[str]:
    """Every character that occurs at least twice, as a beginning and, where words can hold it, as a continuation."""
    counts: Counter[str] = Counter()
    for text in texts:
        require_unicode(text)
        counts.update(library.normalizer.normalize_str(text))
    common = [
        c for c, count in counts.most_common(LARGEST_ALPHABET) if count > 1 and not c.isspace()
    ]
    stays_inside = [c for c in common if len(library.pre_tokenizer.pre_tokenize_str(f"a{c}a")) == 1]
    return sorted(common) + sorted(INSIDE + c for c in stays_inside)


def files_of(library: tokenizers.Tokenizer) -> TokenizerFiles:
    """What BERT's directory holds: transformers' AutoTokenizer puts [CLS] and [SEP] around a text, as our encoders do."""
    cls, sep = ((ROLES[role], library.token_to_id(ROLES[role])) for role in ("cls", "sep"))
    library.post_processor = processors.TemplateProcessing(
        single=f"{cls[0]} $A {sep[0]}",
        pair=f"{cls[0]} $A {sep[0]} $B:1 {sep[0]}:1",
        special_tokens=[cls, sep],
    )
    document: dict[str, Any] = json.loads(library.to_str())
    document["added_tokens"] = [
        token for token in document["added_tokens"] if token["content"] in ROLES.values()
    ]
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    settings |= {f"{role}_token": spelling for role, spelling in ROLES.items()}
    return TokenizerFiles(
        document,
        dict(ROLES),
        "",
        {
            "tokenizer.json": hugging_face.as_json(document),
            "tokenizer_config.json": hugging_face.as_json(settings),
        },
    )
