"""Write a tokenizer directory like Gemma 3's: BPE over whole texts, runs of spaces as tokens."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from tests.tokenizer.example_tokenizers import TEXT, write_json

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
# Added tokens that are ordinary text, each merged from shorter ones.
RUNS = ["\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁"]


def write_gemma3(directory: Path) -> Path:
    """Write tokenizer.json and tokenizer_config.json."""
    document = json.loads(_train().to_str())
    vocab, merges = document["model"]["vocab"], document["model"]["merges"]
    for token in ("\n", "▁", *RUNS):
        vocab.setdefault(token, len(vocab))
    # As in conversions from SentencePiece, every split of a token is a merge.
    splits = [[run[:i], run[i:]] for run in RUNS for i in range(1, len(run))]
    document["model"]["merges"] = splits + merges
    document["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"String": " "},
        "behavior": "MergedWithPrevious",
        "invert": False,
    }
    document["added_tokens"] = [_added(vocab, token, special=True) for token in SPECIAL]
    document["added_tokens"] += [_added(vocab, token, special=False) for token in RUNS]
    document["added_tokens"].sort(key=lambda token: token["id"])
    document["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<bos>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
    }
    write_json(directory / "tokenizer.json", document)
    named = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast"} | named
    write_json(directory / "tokenizer_config.json", config)
    return directory


def _train() -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    library.normalizer = normalizers.Replace(" ", "▁")
    library.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    # While training, no token crosses the end of a word.
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    special = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    library.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    return library


def _added(vocab: dict[str, int], content: str, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": vocab[content], "content": content, **flags, "special": special}
