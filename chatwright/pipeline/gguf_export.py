"""What `chatwright export --format gguf` does: one file for llama.cpp, with weights, tokenizer and chat template."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint import adapter_directory, gguf_file, gguf_layout, model_directory
from chatwright.commands import command_line
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.model.gpt import GPT
from chatwright.tokenizer import gguf_vocabulary, imported_files
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.token_bytes import WORD_START
from chatwright.tokenizer.tokenizer import Tokenizer

N_TEXT = 32


@dataclass(frozen=True)
class Written:
    architecture: str  # llama.cpp's name
    n_tensor: int
    n_byte: int
    notes: list[str]  # what llama.cpp does otherwise


def export_gguf(source: Path, out: Path) -> Written:
    """Write the model at `source` as one GGUF file, and read it again: every setting and tensor must be there bit for bit."""
    if out.exists():
        raise ValueError(f"{out}: is there already. Give another name, or delete this file.")
    gguf_file.require_library()
    if adapter_directory.is_adapter(model_directory.find(source)):
        raise ValueError(
            f"{source}: holds an adapter. Merge it first: {command_line('merge', source, 'MERGED')}"
        )
    model, tokenizer = model_directory.load(source, kind=GPT)
    try:
        architecture = gguf_layout.architecture_of(model.config)
        files = _files_of(tokenizer)
        vocabulary = gguf_vocabulary.metadata(files, model.config.vocab_size, tokenizer.public_ids)
        _check_pieces(tokenizer, files, vocabulary)
    except ValueError as error:
        raise ValueError(f"{source} cannot be exported as GGUF: {error}") from None
    settings = (
        {gguf_file.ARCHITECTURE: architecture, "general.name": out.stem}
        | gguf_layout.settings(model.config, architecture)
        | vocabulary
    )
    tensors = gguf_layout.tensors(model, architecture)
    gguf_file.write(out, settings, tensors)
    return Written(architecture, len(tensors), out.stat().st_size, _notes(files))


def _files_of(tokenizer: Tokenizer) -> TokenizerFiles:
    """The tokenizer as others would find it in an exported directory."""
    with tempfile.TemporaryDirectory() as place:
        tokenizer.save(Path(place))
        return imported_files.read(Path(place))


def _check_pieces(tokenizer: Tokenizer, files: TokenizerFiles, written: Mapping[str, Any]) -> None:
    """SentencePiece has no list of merges, only scores: where the two disagree, llama.cpp would cut other tokens."""
    if "tokenizer.ggml.scores" not in written:
        return
    space = " " if written["tokenizer.ggml.add_space_prefix"] else ""
    for row in random_prompts(max(files.document["model"]["vocab"].values()) + 1, 64, N_TEXT):
        text = tokenizer.decode(row[0].tolist())
        if written["tokenizer.ggml.remove_extra_whitespaces"]:
            text = " ".join(text.split(" ")).strip(" ")
        if gguf_vocabulary.encode_as_llama_cpp(
            (space + text).replace(" ", WORD_START), written
        ) != tokenizer.encode(text):
            raise ValueError(
                "tokenizer: its merges are not in the order of any scores, by which llama.cpp merges. For other tools: --format hf"
            )


def _notes(files: TokenizerFiles) -> list[str]:
    if (
        files.document.get("normalizer") is None
        or files.sentencepiece is not None
        or files.document["model"].get("byte_fallback")
    ):
        return []
    return [
        "llama.cpp does not compose letters and accents (NFC), which this tokenizer does: texts with loose accents get other ids there"
    ]
