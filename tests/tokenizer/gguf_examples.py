"""Make the tokenizer settings of a GGUF file, and the tokenizer that they were converted from.

The settings are written here as llama.cpp's conversion scripts write them, not by our exporter.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers.tokenization_utils_base import generate_merges

from chatwright.tokenizer import imported_files, sentencepiece_file
from chatwright.tokenizer.gguf_tokenizer import tokenizer_files
from chatwright.tokenizer.imported import ImportedTokenizer
from tests.tokenizer.example_tokenizers import CL100K_PATTERN, TEXT, write_json, write_word_pieces
from tests.tokenizer.hostile_strings import hostile_strings

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
# Mistral's tekken: words change where small letters are followed by capitals.
TEKKEN_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKERS = ("<tool_call>", "</tool_call>")
# Vocabularies are trained on texts that are not split into words: their tokens cross the ends of
# words, so that every other way to split a text gives other ids.
TRAINING_TEXTS = [
    *"".join(TEXT).splitlines(keepends=True),
    *["CamelCase HTTPServer iPhone 1,234,567 x=[1, 2]; y/z // http://a.b\r\n\r\n"] * 20,
    *hostile_strings(1500, seed=2),
]


@dataclass(frozen=True)
class Example:
    """A tokenizer in its two forms."""

    fields: dict[str, Any]  # settings of a GGUF file
    reference: tokenizers.Tokenizer  # the original; special tokens in a text stay text
    markers: tuple[str, ...]  # tokens that the original makes from text, and ours never does

    def encode(self, text: str) -> list[int]:
        """Return the ids of the original tokenizer."""
        return list(self.reference.encode(text, add_special_tokens=False).ids)


def write_tokenizer(
    fields: Mapping[str, Any], directory: Path, vocab_size: int | None = None
) -> ImportedTokenizer:
    """Convert the settings to a directory, and read it as `chatwright import` does."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in tokenizer_files(fields).items():
        write_json(directory / name, content)
    return ImportedTokenizer(imported_files.read(directory), vocab_size)


def byte_level_fields(document: Mapping[str, Any], pre: str, n_gap: int = 2) -> dict[str, Any]:
    """Return the settings of a byte-level BPE. `n_gap` ids at the end have no token."""
    tokens = {i: token for token, i in document["model"]["vocab"].items()}
    types = dict.fromkeys(tokens, NORMAL)
    for added in document["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    ids = {token: i for i, token in tokens.items()}
    n = max(tokens) + 1 + n_gap
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [tokens.get(i, f"[PAD{i}]") for i in range(n)],
        "tokenizer.ggml.token_type": [types.get(i, UNUSED) for i in range(n)],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in document["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": ids[CONTROL_TOKENS[1]],
        "tokenizer.ggml.eos_token_id": ids[CONTROL_TOKENS[2]],
        "tokenizer.ggml.padding_token_id": ids[CONTROL_TOKENS[0]],
        "tokenizer.ggml.add_bos_token": pre in ("llama-bpe", "tekken"),
        "tokenizer.chat_template": "{{ messages[0].content }}",
    }


def byte_level(
    pre: str, *steps: Any, normalizer: Any = None, ignore_merges: bool = False
) -> Example:
    """Train a byte-level BPE. SmolLM's special tokens have the first ids, the others' the last."""
    is_first = pre == "smollm"
    library = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    library.pre_tokenizer = _bytes()
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=CONTROL_TOKENS if is_first else [],
        show_progress=False,
    )
    if normalizer is not None:
        library.normalizer = normalizer
    library.train_from_iterator(TRAINING_TEXTS, trainer)
    library.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    document = json.loads(library.to_str())
    if ignore_merges:  # a word that no merges make
        vocab = document["model"]["vocab"]
        vocab["Ġunreachable"] = len(vocab)
    library = tokenizers.Tokenizer.from_str(json.dumps(document))
    library.add_special_tokens([AddedToken(token, special=True) for token in CONTROL_TOKENS])
    library.add_tokens([AddedToken(token, normalized=False) for token in [*MARKERS, "zyzzyva"]])
    library.encode_special_tokens = True
    return Example(byte_level_fields(json.loads(library.to_str()), pre), library, MARKERS)


def _split(pattern: str) -> Any:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def _bytes(use_regex: bool = False) -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def gpt2(folder: Path) -> Example:
    """Split as GPT-2 does."""
    return byte_level("gpt-2", _bytes(use_regex=True))


def smollm(folder: Path) -> Example:
    """Split at every digit, then as GPT-2 does."""
    return byte_level("smollm", pre_tokenizers.Digits(True), _bytes(use_regex=True))


def qwen2(folder: Path) -> Example:
    """Combine letters with accents, and split at every digit."""
    pattern = CL100K_PATTERN.replace("{1,3}", "")
    return byte_level("qwen2", _split(pattern), _bytes(), normalizer=normalizers.NFC())


def llama_bpe(folder: Path) -> Example:
    """Split numbers into three digits; a word of the vocabulary is not merged."""
    return byte_level("llama-bpe", _split(CL100K_PATTERN), _bytes(), ignore_merges=True)


def tekken(folder: Path) -> Example:
    """Split at capitals; a word of the vocabulary is not merged."""
    return byte_level("tekken", _split(TEKKEN_PATTERN), _bytes(), ignore_merges=True)


def _train_sentencepiece(folder: Path, **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(text.replace("\0", "") for text in TRAINING_TEXTS)
    (folder / "text").write_text(lines, encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "tokenizer"),
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    return folder / "tokenizer.model"


def _piece_types(processor: Any) -> list[int]:
    types = []
    for i in range(processor.get_piece_size()):
        checks = {
            UNKNOWN: processor.is_unknown,
            CONTROL: processor.is_control,
            UNUSED: processor.is_unused,
            BYTE: processor.is_byte,
        }
        types.append(next((kind for kind, check in checks.items() if check(i)), NORMAL))
    return types


def _sentencepiece_fields(processor: Any, model: str) -> dict[str, Any]:
    n = processor.get_piece_size()
    return {
        "tokenizer.ggml.model": model,
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [processor.id_to_piece(i) for i in range(n)],
        "tokenizer.ggml.scores": [processor.get_score(i) for i in range(n)],
        "tokenizer.ggml.token_type": _piece_types(processor),
        "tokenizer.ggml.eos_token_id": processor.eos_id(),
        "tokenizer.ggml.unknown_token_id": processor.unk_id(),
    }


def _spaced_bpe(vocab: dict[str, int], scores: dict[str, float], prefix: bool) -> Any:
    """Return the tokenizer that Hugging Face publishes for a SentencePiece BPE with bytes."""
    merges = generate_merges(vocab, scores)
    model = models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    library = tokenizers.Tokenizer(model)
    steps = [normalizers.Prepend("▁")] if prefix else []
    library.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    return library


BPE_SETTINGS = {
    "model_type": "bpe",
    "split_by_unicode_script": False,
    "split_by_number": False,
    "split_by_whitespace": False,
    "character_coverage": 0.99,
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
}


def llama(folder: Path) -> Example:
    """SentencePiece's BPE as in Llama 2."""
    path = _train_sentencepiece(folder, vocab_size=3000, **BPE_SETTINGS)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    fields = _sentencepiece_fields(processor, "llama")
    fields["tokenizer.ggml.bos_token_id"] = processor.bos_id()
    tokens, scores = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.scores"]
    vocab = {token: i for i, token in enumerate(tokens)}
    library = _spaced_bpe(vocab, dict(zip(tokens, scores, strict=True)), prefix=True)
    library.add_special_tokens(["<unk>", "<s>", "</s>"])
    library.encode_special_tokens = True
    return Example(fields, library, ())


def gemma(folder: Path) -> Example:
    """SentencePiece's BPE as in Gemma: no space before a text, user-defined tokens."""
    spaces = ["▁" * n for n in range(2, 9)]
    newlines = ["\n" * n for n in range(1, 5)]
    path = _train_sentencepiece(
        folder,
        vocab_size=3000,
        add_dummy_prefix=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        user_defined_symbols=[*newlines, *spaces, "<table>", "</table>"],
        control_symbols=["<start_of_turn>", "<end_of_turn>"],
        **BPE_SETTINGS,
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    fields = _sentencepiece_fields(processor, "llama")
    tokens = fields["tokenizer.ggml.tokens"]
    vocab = {token: i for i, token in enumerate(tokens)}
    # The published merges follow the order of the ids.
    library = _spaced_bpe(vocab, {token: -float(i) for token, i in vocab.items()}, prefix=False)
    library.add_special_tokens(["<pad>", "</s>", "<s>", "<unk>"])
    library.add_special_tokens(["<start_of_turn>", "<end_of_turn>"])
    user_defined = [*newlines, *spaces, "<table>", "</table>"]
    library.add_tokens([AddedToken(token, normalized=False) for token in user_defined])
    library.encode_special_tokens = True
    for token in user_defined:  # as the conversion scripts write them
        fields["tokenizer.ggml.token_type"][vocab[token]] = USER_DEFINED
        fields["tokenizer.ggml.scores"][vocab[token]] = -1000.0
        tokens[vocab[token]] = token.replace("▁", " ")
    fields["tokenizer.ggml.bos_token_id"] = processor.bos_id()
    fields["tokenizer.ggml.padding_token_id"] = processor.pad_id()
    fields["tokenizer.ggml.add_space_prefix"] = False
    return Example(fields, library, ("<table>", "</table>"))


def t5(folder: Path) -> Example:
    """SentencePiece's Unigram as in T5, without its 100 extra tokens."""
    path = _train_sentencepiece(
        folder,
        vocab_size=1500,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    fields = _sentencepiece_fields(processor, "t5")
    charsmap = sentencepiece_file.read(path.read_bytes()).precompiled_charsmap
    rows = zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.scores"], strict=True)
    library = tokenizers.Tokenizer(models.Unigram(list(rows), unk_id=2))
    library.normalizer = normalizers.Precompiled(charsmap)
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    library.add_special_tokens(["<pad>", "</s>", "<unk>"])
    library.encode_special_tokens = True
    n = len(fields["tokenizer.ggml.tokens"])
    fields["tokenizer.ggml.tokens"] += [f"[PAD{i}]" for i in range(n, n + 8)]
    fields["tokenizer.ggml.token_type"] += [UNUSED] * 8
    fields["tokenizer.ggml.scores"] += [-10000.0] * 8
    fields["tokenizer.ggml.padding_token_id"] = 0
    fields["tokenizer.ggml.precompiled_charsmap"] = list(charsmap)
    fields["tokenizer.ggml.add_space_prefix"] = True
    fields["tokenizer.ggml.remove_extra_whitespaces"] = True
    return Example(fields, library, ())


def bert(folder: Path) -> Example:
    """WordPiece as in BERT."""
    folder.mkdir(parents=True, exist_ok=True)
    write_word_pieces(folder)
    return word_piece((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())


def word_piece(pieces: list[str]) -> Example:
    """Make the tokenizer with the lines of BERT's vocab.txt."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    library = tokenizers.Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    library.normalizer = normalizers.BertNormalizer()
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.add_special_tokens(special)
    library.encode_special_tokens = True
    return Example(word_piece_fields(pieces, special), library, ())


def word_piece_fields(pieces: list[str], special: list[str]) -> dict[str, Any]:
    """Return the settings for the lines of BERT's vocab.txt."""

    def spelled(piece: str) -> str:
        if piece in special:
            return piece
        return piece[2:] if piece.startswith("##") else f"▁{piece}"

    names = dict(zip(("padding", "unknown", "bos", "seperator", "mask"), special, strict=True))
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.tokens": [spelled(piece) for piece in pieces],
        "tokenizer.ggml.token_type": [CONTROL if p in special else NORMAL for p in pieces],
        "tokenizer.ggml.token_type_count": 2,
        **{f"tokenizer.ggml.{name}_token_id": pieces.index(t) for name, t in names.items()},
    }


EXAMPLES: dict[str, Callable[[Path], Example]] = {
    "gpt2": gpt2,
    "smollm": smollm,
    "qwen2": qwen2,
    "llama-bpe": llama_bpe,
    "tekken": tekken,
    "llama": llama,
    "gemma": gemma,
    "t5": t5,
    "bert": bert,
}
