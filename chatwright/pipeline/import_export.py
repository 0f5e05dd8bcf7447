"""Import models of other tools and export models to them: `chatwright import` and `export`.

An import that fails names the field or file that it cannot read. The result of an import lists
the fields and files that were not used. An export is loaded again as another tool's model, and its
logits are compared with the original's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint import (
    adapter_directory,
    architectures,
    directory,
    families,
    model_directory,
    public_model,
    sentence_transformers,
)
from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import LogitGap, largest_gap, random_prompts
from chatwright.model.encoder import Encoder
from chatwright.model.gpt import GPT
from chatwright.model.model import Model, count_parameters
from chatwright.pipeline import model_source, standard_model
from chatwright.pipeline.imported_tokenizer import tokenizer_notes, with_chat_format
from chatwright.pipeline.sampling_defaults import defaults_text, read_sampling_defaults
from chatwright.pipeline.vector_notes import vector_notes
from chatwright.tokenizer import imported_files, imported_settings
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.checks import RunFailed

# Largest difference of logits, relative to the largest logit. The exported weights are equal, so a
# larger difference is a bug.
TOLERANCE = 1e-5
# Architecture -> the models that other tools can load.
EXPORTABLE = {
    "gpt": "the default shapes (model.size = nano, tiny, small, medium, large), gpt1 and gpt2, and "
    "speedrun with ngrams = []",
    "encoder": "imported encoders, and those trained with a published shape (model.size = "
    "bert-tiny, bert-mini, roberta-base and so on)",
    "encoder-decoder": "models imported from MarianMT, also after further training",
    "skip-gram": "nothing: other tools have no such model",
}


@dataclass(frozen=True)
class Exported:
    """The result of an export."""

    gap: LogitGap
    """Difference between the exported model and the original."""
    notes: list[str]
    """What other tools cannot do with the exported model."""


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    family: str
    n_parameter: int
    context_length: int
    vocab_size: int
    chat_format: str | None
    unused: list[str]
    """Fields, tensors and files that were not read."""
    notes: list[str]
    """Differences from the original model."""

    def description(self) -> list[str]:
        """Return lines for the user: size, chat format, what was not used, notes."""
        lines = [
            f"{self.family}: {self.n_parameter:,} parameters, "
            f"context {self.context_length:,}, vocabulary {self.vocab_size:,}"
        ]
        if self.chat_format:
            of_model = self.chat_format == "template"
            lines.append(f"chat format: {'that of the model' if of_model else self.chat_format}")
        if self.unused:
            lines.append(f"not used: {', '.join(self.unused)}")
        return lines + [f"note: {note}" for note in self.notes]


def import_model(
    source: str,
    out: Path,
    chat_format: str | None = None,
    context_length: int | None = None,
    further_notes: Mapping[str, Any] | None = None,
    sampling: Mapping[str, float] | None = None,
    keeps_quantized: bool = False,
) -> Imported:
    """Load the model of another tool and save it to `out` as a model directory.

    Args:
        source: A folder, a GGUF file, or a name on huggingface.co such as organization/model.
        out: The model directory to create.
        chat_format: A name in `chat_formats`, or None for that of the model's chat template.
        context_length: A shorter context than the model's, in tokens.
        further_notes: More entries of the new directory's training.json, such as its license.
        sampling: Sampling settings for requests that leave them out, where the source has none.
        keeps_quantized: Whether a GGUF file's weights in Q4_0, Q4_1, Q4_K and Q8_0 stay so.

    Raises:
        InputError: `source` is not a supported model, or an option does not apply to it.
    """
    _require_absent(out)
    read = model_source.read(source, context_length, keeps_quantized)
    try:
        model, tokenizer = with_chat_format(read.files, read.model, chat_format)
    except ValueError as error:
        raise model_source.with_path(read.path, error) from None
    found = read_sampling_defaults(read.path) if read.path.is_dir() else {}
    sampling = {**(sampling or {}), **found}
    unused = list(read.unused)
    if read.files.chat_template and tokenizer.chat_format is None:
        unused.append("the chat template")
    has_format = isinstance(model, GPT) and tokenizer.chat_format is not None
    imported_model = Imported(
        read.family,
        count_parameters(model),
        model.config.context_length,
        model.config.vocab_size,
        tokenizer.chat_format.name if has_format and tokenizer.chat_format else None,
        unused,
        [
            *read.notes,
            *tokenizer_notes(read.files, tokenizer),
            *vector_notes(read.path, model),
            *([f"sampled with {defaults_text(sampling)} by default"] if sampling else []),
        ],
    )
    training = {"imported_from": read.path.name, "family": read.family, "unused": unused}
    notes = {"notes": imported_model.notes, **(further_notes or {})}
    model_directory.save(out, model, tokenizer, training | notes, generation=sampling)
    return imported_model


def export_model(source: Path, out: Path) -> Exported:
    """Save a model in its family's Hugging Face format, load it again and compare the logits.

    Raises:
        InputError: `out` exists, or other tools do not support the model's settings.
        RunFailed: The exported model or tokenizer differs from the original; nothing is kept.
    """
    _require_absent(out)
    if adapter_directory.is_adapter(model_directory.find(source)):
        raise InputError(
            f"{source}: holds an adapter, which PEFT can load without an export.",
            remedy="To export a whole model, merge the adapter first: "
            + command_line("merge", source, "MERGED"),
            field="source",
            value=str(source),
        )
    loaded, tokenizer = model_directory.load(source, kind=Model)
    model, notes = standard_model.for_other_tools(loaded, tokenizer, source)
    _require_family(source, model)
    with directory.atomic_directory(out) as temporary:
        write_public(temporary, model, tokenizer)
        sampling = model_directory.sampling_entries(model_directory.find(source))
        model_directory.add_generation(temporary, sampling)
        gap = _check_weights(temporary, model, source, out)
        _check_tokenizer(temporary, tokenizer, out)
    (out / directory.MANIFEST).unlink()
    if isinstance(tokenizer, CharacterTokenizer):
        notes.append("other tools can load the weights, but not the tokenizer")
    return Exported(gap, notes)


def _require_family(source: Path, model: Model) -> None:
    if families.for_config(model.config) is not None:
        return
    name = architectures.for_config(model.config).name
    raise InputError(
        f"{source}: no other tool supports {name} models with these settings, so it cannot be "
        "exported.",
        remedy=f"These can be exported: {EXPORTABLE[name]}.",
        field="source",
        value=str(source),
    )


def write_public(target: Path, model: Model, tokenizer: Tokenizer) -> None:
    """Save the model without Chatwright's own settings, as another tool would."""
    model_directory.write(target, model, tokenizer)
    file = target / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    del config["chatwright"]
    file.write_text(json.dumps(config, indent=1), encoding="utf-8")
    (target / imported_settings.SETTINGS_FILE).unlink(missing_ok=True)
    if isinstance(model, Encoder) and model.config.makes_vectors:
        sentence_transformers.write(target, model.config)


def _check_weights(exported: Path, model: Model, source: Path, out: Path) -> LogitGap:
    prompts = random_prompts(model.config.vocab_size, model.config.context_length)
    gap = largest_gap(model, public_model.read(exported).model, prompts)
    if not gap.relative <= TOLERANCE:
        raise RunFailed(
            f"{out}: the exported model's logits differ from the original's by {gap}, so nothing "
            f"was kept. This is a bug; please report it with {source}/config.json."
        )
    return gap


def _check_tokenizer(exported: Path, tokenizer: Tokenizer, out: Path) -> None:
    """Check that the exported tokenizer encodes texts to the same ids.

    Character tokenizers are not checked, because other tools cannot load them.
    """
    if isinstance(tokenizer, CharacterTokenizer):
        return
    loaded = ImportedTokenizer(imported_files.read(exported), tokenizer.vocab_size)
    texts = [tokenizer.decode(row[0].tolist()) for row in random_prompts(tokenizer.vocab_size, 64)]
    if loaded.encode_batch(texts) != tokenizer.encode_batch(texts):
        raise RunFailed(
            f"{out}: the exported tokenizer gives other ids than the original, so nothing was "
            "kept. This is a bug; please report it."
        )


def _require_absent(out: Path) -> None:
    if out.exists():
        raise InputError(
            f"{out}: already exists.",
            remedy="Give another folder, or delete this one.",
            field="out",
            value=str(out),
        )
