"""Divide the tokens of an imported tokenizer into text tokens, special tokens and markers.

No text is encoded to a special token or to a marker: an added token with symbols in it, such as
<tool_call>. Added tokens of letters, digits and spaces are ordinary vocabulary, also where
SentencePiece writes the spaces as "▁".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatwright.tokenizer import tokenizer_json
from chatwright.tokenizer.build_format import Markers
from chatwright.tokenizer.control import ControlId, ImportedControl
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.token_bytes import WORD_START, token_to_bytes
from chatwright.tokenizer.tokenizer_json import AddedToken, Document

UNKNOWN_BYTES = "\N{REPLACEMENT CHARACTER}".encode()
ORDINARY_WORDS = re.compile(rf"[\w\s{WORD_START}]+")


@dataclass(frozen=True)
class ImportedVocabulary:
    """The tokens of an imported tokenizer."""

    tokens: dict[int, str]  # by id, as written in the file
    ids: dict[str, int]  # by token
    named_ids: dict[str, int]  # of the special tokens by name: bos, eos, unk, sep, pad, cls, mask
    special_ids: frozenset[int]  # special tokens; they decode to nothing
    markers: dict[str, int]  # ids of markers by token, added special tokens included

    @property
    def unknown(self) -> int | None:
        """The id of characters that are not in the vocabulary.

        None if the token also has another purpose: GPT-2's unknown token also ends documents.
        """
        unknown = self.named_ids.get("unk")
        others = {token_id for name, token_id in self.named_ids.items() if name != "unk"}
        return None if unknown in others else unknown

    @property
    def forbidden(self) -> frozenset[int]:
        """The ids that no text is encoded to."""
        markers = {token_id for token_id in self.markers.values() if token_id != self.unknown}
        return self.special_ids | markers


def vocabulary_of(files: TokenizerFiles) -> ImportedVocabulary:
    """Return the vocabulary of a tokenizer. Raises InputError if tokenizer.json is malformed."""
    tokens = {
        token_id: token
        for token_id, token in tokenizer_json.vocabulary_tokens(files.document).items()
        if files.n_token is None or token_id < files.n_token
    }
    added = tokenizer_json.added_tokens(files.document)
    ids = {token: token_id for token_id, token in tokens.items()}
    named_ids = {name: ids[content] for name, content in files.special_tokens.items()}
    special_ids = {token["id"] for token in added if token.get("special")}
    special_ids |= {*named_ids.values()}
    markers = {token["content"]: token["id"] for token in added if is_marker(token)}
    vocabulary = ImportedVocabulary(tokens, ids, named_ids, frozenset(special_ids), markers)
    # The unknown token decodes to U+FFFD, not to nothing.
    special_ids -= {vocabulary.unknown}
    return ImportedVocabulary(tokens, ids, named_ids, frozenset(special_ids), markers)


def control_of(files: TokenizerFiles, vocabulary: ImportedVocabulary) -> ImportedControl:
    """Choose the tokens that begin a document, end it and fill a batch."""
    named = vocabulary.named_ids
    end = next((named[name] for name in ("eos", "sep", "pad") if name in named), 0)
    # A document begins with the token that the tokenizer puts first, else with one that separates
    # documents.
    candidates = (
        first_special_token(files.document, vocabulary.ids),
        vocabulary.ids.get("<|endoftext|>"),
        named.get("bos"),
        named.get("cls"),
        end,
    )
    bos = next(token_id for token_id in candidates if token_id is not None)
    # Padding is masked out, so any token may serve. It must not be the end token: a model that
    # is trained with the end token as padding learns to ignore it.
    pad = named.get("pad", end)
    if pad == end:
        pad = vocabulary.unknown or int(end == 0)
    strings = {token_id: vocabulary.tokens[token_id] for token_id in vocabulary.special_ids}
    return ImportedControl(ControlId(bos), ControlId(pad), ControlId(end), strings)


def markers_of(
    files: TokenizerFiles,
    vocabulary: ImportedVocabulary,
    encode_after_marker: Callable[[str], Sequence[int]] | None,
) -> Markers:
    """Return the tokens that a chat format may write as ids, markers and special tokens."""
    special = {vocabulary.tokens[token_id]: token_id for token_id in vocabulary.special_ids}
    ids = vocabulary.markers | special
    added = [t for t in tokenizer_json.added_tokens(files.document) if t["content"] in ids]
    return Markers(
        ids,
        frozenset(token["id"] for token in added if token.get("rstrip")),
        frozenset(token["id"] for token in added if token.get("lstrip")),
        vocabulary.named_ids.get("eos"),
        encode_after_marker,
    )


def bytes_of_tokens(document: Document, vocabulary: ImportedVocabulary) -> dict[int, bytes]:
    """Return the bytes of text that each token represents, by id."""
    to_bytes = token_to_bytes(document)
    bytes_of = {token_id: to_bytes(token) for token_id, token in vocabulary.tokens.items()}
    bytes_of |= dict.fromkeys(vocabulary.special_ids, b"")
    if vocabulary.unknown is not None:
        bytes_of[vocabulary.unknown] = UNKNOWN_BYTES
    return bytes_of


def first_special_token(document: Document, ids: dict[str, int]) -> int | None:
    """Return the id of the special token that tokenizer.json puts before a text, or None."""
    match document.get("post_processor"):
        case {"processors": [*processors]}:
            pass
        case processor:
            processors = [processor]
    for processor in processors:
        match processor:
            case {"type": "RobertaProcessing" | "BertProcessing", "cls": [_, int(token_id)]}:
                if token_id in ids.values():
                    return token_id
            case {"single": [{"SpecialToken": {"id": str(content)}}, *_]}:
                return ids.get(content)
    return None


def is_marker(token: AddedToken) -> bool:
    """Whether an added token is special, or holds more than letters, digits and spaces."""
    return bool(token.get("special")) or not ORDINARY_WORDS.fullmatch(token["content"])
