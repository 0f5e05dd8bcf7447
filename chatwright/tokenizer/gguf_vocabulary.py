"""A tokenizer in the words of a GGUF file, by which llama.cpp cuts texts: byte-level BPE, or SentencePiece's merges with bytes.

llama.cpp does not run tokenizer.json: it has a program for each known way to cut a text into words. A way it has none for is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from chatwright.tokenizer import imported_vocabulary
from chatwright.tokenizer.imported_files import TokenizerFiles, added_tokens
from chatwright.tokenizer.token_bytes import BYTE, WORD_START

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE_PIECE = 1, 2, 3, 4, 5, 6
REMEDY = "For other tools: --format hf"

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# How tokenizer.json cuts texts into words -> llama.cpp's name for it, where whole words of the vocabulary are merged like any, and where not.
KNOWN = [
    ({"ByteLevel": True}, "gpt-2", "gpt-2"),
    ({"Digits": True, "ByteLevel": True}, "smollm", "smollm"),
    ({"Split": _WORDS % "{1,3}", "ByteLevel": False}, "dbrx", "llama-bpe"),
    ({"Split": _WORDS % "", "ByteLevel": False}, "qwen2", "qwen2"),
]


def metadata(files: TokenizerFiles, vocab_size: int, ids: Mapping[str, int]) -> dict[str, Any]:
    """Everything under "tokenizer.". `ids` are the special tokens by role, as config.json has them (bos_token_id, ...)."""
    document = files.document
    model = document["model"]
    if model.get("type") != "BPE":
        raise ValueError(
            f"tokenizer: llama.cpp's decoders do not cut texts by {model.get('type')}. {REMEDY}"
        )
    tokens, types = _tokens(files, vocab_size)
    roles = {"bos": "bos", "eos": "eos", "pad": "padding"}
    found: dict[str, Any] = {
        f"ggml.{roles[role]}_token_id": ids[f"{role}_token_id"]
        for role in roles
        if f"{role}_token_id" in ids
    }
    if "unk" in files.special:
        found["ggml.unknown_token_id"] = tokens.index(files.special["unk"])
    before = imported_vocabulary.put_before(document, {token: i for i, token in enumerate(tokens)})
    found |= {
        "ggml.add_bos_token": before is not None and before == ids.get("bos_token_id"),
        "ggml.add_eos_token": False,
    }
    if files.template:
        found["chat_template"] = files.template
    own = (
        _sentence_pieces(files, tokens, types)
        if model.get("byte_fallback")
        else _byte_level(document)
    )
    made = {f"tokenizer.{name}": value for name, value in (own | found).items()}
    return made | {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types}


def _tokens(files: TokenizerFiles, vocab_size: int) -> tuple[list[str], list[int]]:
    """Every token and its kind; ids that a model rounded its vocabulary up to are tokens nobody writes."""
    tokens, types = [f"[PAD{i}]" for i in range(vocab_size)], [UNUSED] * vocab_size
    for token, token_id in files.document["model"]["vocab"].items():
        tokens[token_id], types[token_id] = token, NORMAL
    for token in added_tokens(files.document):
        is_unknown = token["content"] == files.special.get("unk")
        tokens[token["id"]] = token["content"]
        types[token["id"]] = (
            UNKNOWN if is_unknown else CONTROL if token.get("special") else USER_DEFINED
        )
    if len(set(tokens)) < len(tokens):
        raise ValueError(
            f"tokenizer: a token is called as the ids without one are, [PAD...]. {REMEDY}"
        )
    return tokens, types


def _byte_level(document: dict[str, Any]) -> dict[str, Any]:
    if document.get("normalizer") not in (None, {"type": "NFC"}):
        raise ValueError(
            f"tokenizer: what it does to a text before it is cut ({document['normalizer'].get('type')}) has no name in llama.cpp; "
            f"of a vocabulary made with space_before, this is the space. {REMEDY}"
        )
    way = _way(document.get("pre_tokenizer"))
    for known, plain, whole in KNOWN:
        if way == known:
            pre = whole if document["model"].get("ignore_merges") else plain
            merges = [
                pair if isinstance(pair, str) else " ".join(pair)
                for pair in document["model"]["merges"]
            ]
            return {"ggml.model": "gpt2", "ggml.pre": pre, "ggml.merges": merges}
    raise ValueError(
        f"tokenizer: its way to cut a text into words has no name in llama.cpp. {REMEDY}"
    )


def _way(part: Any) -> dict[str, Any] | None:
    """The steps of a pre-tokenizer by what they are told; None for what is not known here."""
    found: dict[str, Any] = {}
    for step in part.get("pretokenizers", [part]) if isinstance(part, dict) else []:
        match step:
            case {
                "type": "Split",
                "pattern": {"Regex": str(pattern)},
                "behavior": "Isolated",
                "invert": False,
            }:
                found["Split"] = pattern
            case {"type": "Digits", "individual_digits": True}:
                found["Digits"] = True
            case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": bool(is_cut)}:
                found["ByteLevel"] = is_cut
            case _:
                return None
    return found


def _sentence_pieces(files: TokenizerFiles, tokens: list[str], types: list[int]) -> dict[str, Any]:
    """SentencePiece has scores for merges: of two, the one whose piece has the higher score comes first."""
    adds_prefix, joins_spaces = _spaces(files)
    if files.pieces is not None:
        score_of = {piece.text: piece.score for piece in files.pieces.pieces}
    else:
        score_of = {}
        for rank, pair in enumerate(files.document["model"]["merges"]):
            score_of.setdefault(
                pair.replace(" ", "", 1) if isinstance(pair, str) else "".join(pair), -float(rank)
            )
    lowest = -float(len(tokens))
    for i, token in enumerate(tokens):
        if types[i] == NORMAL and BYTE.fullmatch(token):
            types[i] = BYTE_PIECE
    return {
        "ggml.model": "llama",
        "ggml.pre": "default",
        "ggml.scores": [score_of.get(token, lowest) for token in tokens],
        "ggml.add_space_prefix": adds_prefix,
        "ggml.remove_extra_whitespaces": joins_spaces,
    }


def _spaces(files: TokenizerFiles) -> tuple[bool, bool]:
    """Whether a space is put before every text, and whether several are made one."""
    if files.pieces is not None and not files.pieces.charsmap:
        return files.pieces.adds_prefix, files.pieces.joins_spaces
    replaced = {"type": "Replace", "pattern": {"String": " "}, "content": WORD_START}
    prepended = {"type": "Prepend", "prepend": WORD_START}
    match files.document.get("normalizer"), files.document.get("pre_tokenizer"):
        case {"type": "Sequence", "normalizers": [*steps]}, None if (
            files.pieces is None and steps in ([prepended, replaced], [replaced])
        ):
            return prepended in steps, False
    raise ValueError(
        f"tokenizer: what it does to a text before it is cut has no name in llama.cpp. {REMEDY}"
    )


def encode_as_llama_cpp(text: str, written: Mapping[str, Any]) -> list[int]:
    """A text's ids as llama.cpp finds them in a file of SentencePiece's merges: of any two neighbours that make a piece, those of the highest
    score first, the leftmost of equals. The slow obvious way; export holds it against the tokenizer.
    """
    ids = {token: i for i, token in enumerate(written["tokenizer.ggml.tokens"])}
    scores, parts = written["tokenizer.ggml.scores"], list(text)
    while pairs := [
        (scores[ids[a + b]], -i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ids
    ]:
        place = -max(pairs)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return [
        i
        for part in parts
        for i in (
            [ids[part]] if part in ids else [ids[f"<0x{byte:02X}>"] for byte in part.encode()]
        )
    ]
