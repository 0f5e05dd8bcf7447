"""Export a decoder as one GGUF file for llama.cpp: `chatwright export --format gguf`."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint import (
    adapter_directory,
    gguf_file,
    gguf_model,
    gguf_obstacles,
    gguf_settings,
    model_directory,
)
from chatwright.checkpoint.gguf_architectures import ARCHITECTURE
from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.model.gpt import GPT
from chatwright.pipeline import standard_model
from chatwright.tokenizer import gguf_vocabulary, imported_files
from chatwright.tokenizer.embedded_tokens import without_unembedded_tokens
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.token_bytes import WORD_START
from chatwright.tokenizer.tokenizer import Tokenizer

N_TEXT = 32  # random texts on which merging by scores and by the list of merges are compared


@dataclass(frozen=True)
class ExportedGGUF:
    """The result of an export."""

    architecture: str
    """llama.cpp's name for the architecture."""
    n_tensor: int
    n_byte: int
    notes: list[str]
    """What llama.cpp computes differently."""


def export_gguf(source: Path, out: Path) -> ExportedGGUF:
    """Write weights, tokenizer and chat template to the file `out`, and read it again.

    Raises:
        InputError: `out` exists, or llama.cpp cannot compute the model or its tokenizer.
    """
    if out.exists():
        raise InputError(
            f"{out}: already exists.",
            remedy="Give another name, or delete this file.",
            field="out",
            value=str(out),
        )
    if adapter_directory.is_adapter(model_directory.find(source)):
        raise InputError(
            f"{source}: holds an adapter.",
            remedy=f"Merge it first: {command_line('merge', source, 'MERGED')}",
            field="source",
            value=str(source),
        )
    loaded, tokenizer = model_directory.load(source, kind=GPT)
    model, notes = standard_model.for_other_tools(loaded, tokenizer, source)
    assert isinstance(model, GPT), "a rewritten decoder is a decoder"
    files = _files_of(tokenizer)
    try:
        architecture = gguf_obstacles.architecture_of(model.config)
        vocabulary = gguf_vocabulary.metadata(files, model.config.vocab_size, tokenizer.public_ids)
        _require_same_merges(tokenizer, files, vocabulary)
    except InputError as error:
        raise InputError(
            f"{source} cannot be exported as GGUF: {error.problem}",
            remedy=error.remedy,
            field=error.field,
            value=error.value,
        ) from None
    settings = (
        {ARCHITECTURE: architecture.name, "general.name": out.stem}
        | gguf_settings.write(model.config, architecture)
        | vocabulary
    )
    tensors = gguf_model.tensors(model, architecture)
    gguf_file.write(out, settings, tensors)
    notes += _notes(files)
    return ExportedGGUF(architecture.name, len(tensors), out.stat().st_size, notes)


def _files_of(tokenizer: Tokenizer) -> TokenizerFiles:
    """Return the tokenizer's saved files, without tokens that have no row in the embedding."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        files = imported_files.read(Path(folder))
    return without_unembedded_tokens(files, tokenizer.vocab_size)


def _require_same_merges(
    tokenizer: Tokenizer, files: TokenizerFiles, metadata: Mapping[str, Any]
) -> None:
    """Check that merging by scores, as llama.cpp does, gives the same ids as the list of merges.

    For a SentencePiece vocabulary, a GGUF file stores scores and no list of merges.
    """
    if "tokenizer.ggml.scores" not in metadata:
        return
    space = " " if metadata["tokenizer.ggml.add_space_prefix"] else ""
    n_token = max(files.document["model"]["vocab"].values()) + 1
    for row in random_prompts(n_token, 64, N_TEXT):
        text = tokenizer.decode(row[0].tolist())
        if metadata["tokenizer.ggml.remove_extra_whitespaces"]:
            text = " ".join(text.split(" ")).strip(" ")
        pieces = (space + text).replace(" ", WORD_START)
        if gguf_vocabulary.encode_as_llama_cpp(pieces, metadata) != tokenizer.encode(text):
            raise InputError(
                "tokenizer: llama.cpp merges tokens by scores, and no scores give the order of "
                "this tokenizer's merges.",
                remedy="For other tools, export with: --format hf",
                field="tokenizer",
            )


def _notes(files: TokenizerFiles) -> list[str]:
    notes = []
    if files.document.get("normalizer") == gguf_vocabulary.NFC:
        notes.append(
            "llama.cpp does not combine letters with their accents (NFC) as this tokenizer does, "
            "so texts with separate accents get other ids there"
        )
    if gguf_vocabulary.has_space_before(files.document):
        notes.append(
            "llama.cpp puts no space before a text, so the chat template in the file does; begin "
            "a text that is not a conversation with a space"
        )
    return notes
