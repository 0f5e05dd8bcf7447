"""Which token is what in another tool's tokenizer: text, a special token, a marker; and the library's tokenizer for the text alone.

Special tokens are taken out of the text path: the library finds them inside text even when asked not to add any, and vocabularies made from
SentencePiece models can even merge text into them. Added tokens of plain letters or spaces are vocabulary and stay; those that look like
markers (<tool_call>) cannot be written by text either.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from typing import Any

import tokenizers

from chatwright.tokenizer.control import ControlId, ImportedControl
from chatwright.tokenizer.imported_files import TokenizerFiles, added_tokens

LARGEST_ID = 2**24
PLAIN = re.compile(r"[\w\s]+")


@dataclass(frozen=True)
class ImportedVocabulary:
    tokens: dict[int, str]  # as they are spelled in the file
    ids: dict[str, int]
    roles: dict[str, int]  # bos, eos, unk, sep, pad, cls, mask -> id
    special: frozenset[int]  # ends, beginnings and the like; "unknown" is none
    markers: dict[str, int]  # added tokens that text cannot write; special ones are among them

    @property
    def unknown(self) -> int | None:
        """The id for what is not in the vocabulary, where it is nothing else besides (in GPT-2 it is the end of a document too)."""
        found = self.roles.get("unk")
        return (
            None
            if found in {token_id for role, token_id in self.roles.items() if role != "unk"}
            else found
        )

    @property
    def forbidden(self) -> frozenset[int]:
        """What no text may become."""
        return self.special | {
            token_id for token_id in self.markers.values() if token_id != self.unknown
        }


def vocabulary_of(files: TokenizerFiles) -> ImportedVocabulary:
    tokens = {
        token_id: token
        for token_id, token in _tokens(files.document).items()
        if files.n_token is None or token_id < files.n_token
    }
    ids = {token: token_id for token_id, token in tokens.items()}
    roles = {role: ids[spelling] for role, spelling in files.special.items()}
    markers = {
        token["content"]: token["id"] for token in added_tokens(files.document) if _is_marker(token)
    }
    special = {token["id"] for token in added_tokens(files.document) if token.get("special")} | {
        *roles.values()
    }
    found = ImportedVocabulary(tokens, ids, roles, frozenset(special), markers)
    return ImportedVocabulary(tokens, ids, roles, frozenset(special - {found.unknown}), markers)


def control_of(files: TokenizerFiles, vocabulary: ImportedVocabulary) -> ImportedControl:
    roles = vocabulary.roles
    end = next((roles[role] for role in ("eos", "sep", "pad") if role in roles), 0)
    # What stands before a text: what the tokenizer itself would put there, else what separates documents.
    candidates = (
        put_before(files.document, vocabulary.ids),
        vocabulary.ids.get("<|endoftext|>"),
        roles.get("bos"),
        roles.get("cls"),
        end,
    )
    bos = next(found for found in candidates if found is not None)
    # Padding is never read, so any token serves; the one that ends a reply does not, lest a model learn to ignore it.
    pad = roles["pad"] if roles.get("pad", end) != end else vocabulary.unknown or int(end == 0)
    strings = {token_id: vocabulary.tokens[token_id] for token_id in vocabulary.special}
    return ImportedControl(ControlId(bos), ControlId(pad), ControlId(end), strings)


def _tokens(document: dict[str, Any]) -> dict[int, str]:
    vocab = document["model"]["vocab"]
    ids = list(range(len(vocab))) if isinstance(vocab, list) else list(vocab.values())
    added = added_tokens(document)
    if not ids or any(
        type(token_id) is not int or not 0 <= token_id < LARGEST_ID
        for token_id in [*ids, *(token["id"] for token in added)]
    ):
        raise ValueError(
            f"tokenizer.json: a token has no id from 0 to {LARGEST_ID - 1:,}. Get the file again from where the model came"
        )
    if len(set(ids)) < len(ids):
        raise ValueError(
            "tokenizer.json: two tokens have the same id. Get the file again from where the model came"
        )
    spelled = [piece[0] for piece in vocab] if isinstance(vocab, list) else list(vocab)
    return dict(zip(ids, spelled, strict=True)) | {token["id"]: token["content"] for token in added}


def _is_marker(token: dict[str, Any]) -> bool:
    return bool(token.get("special")) or not PLAIN.fullmatch(token["content"])


def put_before(document: dict[str, Any], ids: dict[str, int]) -> int | None:
    """The special token that tokenizer.json puts in front of one text, if it does."""
    match document.get("post_processor"):
        case {"processors": [*parts]}:
            pass
        case one:
            parts = [one]
    for part in parts:
        match part:
            case {"type": "RobertaProcessing" | "BertProcessing", "cls": [_, int(token_id)]} if (
                token_id in ids.values()
            ):
                return token_id
            case {"single": [{"SpecialToken": {"id": str(spelling)}}, *_]}:
                return ids.get(spelling)
    return None


def text_library(document: dict[str, Any], forbidden: set[str]) -> tokenizers.Tokenizer:
    """The library's tokenizer for text: it adds nothing, and knows no token of those spellings."""
    model, kept = (
        copy.copy(document["model"]),
        [token for token in added_tokens(document) if not _is_marker(token)],
    )
    # Among its words an added token keeps its id; else the library would number the remaining ones anew.
    words = {token["content"]: token["id"] for token in kept}
    if isinstance(model["vocab"], dict):
        model["vocab"] = {
            token: token_id
            for token, token_id in (model["vocab"] | words).items()
            if token not in forbidden
        }
    else:
        model["vocab"] = _pieces(model["vocab"], words, forbidden)
    if model.get("merges"):
        model["merges"] = [pair for pair in model["merges"] if _merged(pair) not in forbidden]
    stripped = document | {
        "model": model,
        "added_tokens": kept,
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(stripped))
    except (
        BaseException
    ) as error:  # the library raises bare Exception, and panics with a type of its own
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ValueError(
            f"tokenizer.json cannot be used ({str(error)[:200]}). Get the file again from where the model came"
        ) from None


def _pieces(listed: list[Any], words: dict[str, int], forbidden: set[str]) -> list[Any]:
    """A list's places are the ids, so none can be taken out. A spelling with a space in it is never met: spaces are rewritten before."""
    lowest = min(score for _, score in listed)
    n_piece = max([len(listed) - 1, *words.values()]) + 1
    pieces = [*listed, *([f"no text {index}", lowest] for index in range(len(listed), n_piece))]
    for word, index in words.items():
        pieces[index] = [word, pieces[index][1]]
    return [
        [f"no text {index}" if piece in forbidden else piece, score]
        for index, (piece, score) in enumerate(pieces)
    ]


def _merged(pair: Any) -> str:
    """A merge is written as "a b" or ["a", "b"]."""
    return pair.replace(" ", "", 1) if isinstance(pair, str) else "".join(map(str, pair))
