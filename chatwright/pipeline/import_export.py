"""Import models of other tools and export models to them: `chatwright import` and `export`.

An import fails with the name of the field or file that it cannot read. It lists the fields and
files that it did not use. An export is read again, as another tool would read it, and its logits
are compared with the model's.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import (
    adapter_directory,
    architectures,
    directory,
    families,
    hub,
    model_directory,
    public_model,
    run_directory,
    stored_weights,
)
from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import LogitGap, largest_gap, random_prompts
from chatwright.model.gpt import GPT
from chatwright.model.model import Model, count_parameters
from chatwright.pipeline.imported_tokenizer import tokenizer_notes, with_chat_format
from chatwright.tokenizer import imported_files, imported_settings
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.checks import RunFailed

# Relative to the largest logit. The exported numbers are the same, so a larger gap is a mistake.
TOLERANCE = 1e-5
# What other tools can open, by architecture.
EXPORTABLE = {
    "gpt": "the default shapes (model.size = nano, tiny, small, medium, large), gpt1 and gpt2",
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
    """Differences from the original model that you should know."""


def import_model(
    source: str, out: Path, chat_format: str | None = None, context_length: int | None = None
) -> Imported:
    """Read the model of another tool and write it to `out` as a model directory.

    Args:
        source: A folder, or a name on huggingface.co such as organization/model.
        out: The model directory to create.
        chat_format: A name in `chat_formats`, or None to recognize the model's chat template.
        context_length: A shorter context than the model's, in tokens.

    Raises:
        InputError: `source` is not a model that can be read, or an option does not apply to it.
    """
    _require_absent(out)
    path = hub.fetch(source) if hub.is_hub_name(source) else Path(source)
    _require_public_model(path, source)
    try:
        read = public_model.read(path, context_length)
        files = imported_files.read(path)
        model, tokenizer = with_chat_format(files, read.model, chat_format)
    except ValueError as error:
        raise _naming(path, error) from None
    unused = [*read.unused, *_unused_files(path, files)]
    if files.chat_template and tokenizer.chat_format is None:
        unused.append("the chat template (no known format; choose one with --chat-format)")
    has_format = isinstance(model, GPT) and tokenizer.chat_format is not None
    imported_model = Imported(
        read.family.name,
        count_parameters(model),
        model.config.context_length,
        model.config.vocab_size,
        tokenizer.chat_format.name if has_format and tokenizer.chat_format else None,
        unused,
        tokenizer_notes(files, tokenizer),
    )
    training = {"imported_from": path.name, "family": read.family.name, "unused": unused}
    model_directory.save(out, model, tokenizer, training | {"notes": imported_model.notes})
    return imported_model


def _require_public_model(path: Path, source: str) -> None:
    """Reject anything but the folder of a model, with a remedy for what needs no import."""
    if not path.is_dir():
        problem = f"{source}: no such folder."
        remedy = (
            "Give the folder of a model (config.json, model.safetensors, tokenizer files), "
            "or its name on huggingface.co as organization/model."
        )
    elif (path / "config.json").is_file():
        return
    elif adapter_directory.is_adapter(path):
        problem = f"{source}: holds an adapter, which needs no import."
        remedy = (
            f"Open it together with its base: {command_line('chat', source)}. To join the two, "
            f"run {command_line('merge', source, 'MERGED')}."
        )
    elif run_directory.is_run(path):
        problem = f"{source}: is a training run of Chatwright, which needs no import."
        remedy = "Give this folder to any command."
    else:
        problem = f"{source}: holds no config.json."
        remedy = "Give the folder of a model, with all of its files."
    raise InputError(problem, remedy=remedy, field="source", value=source)


def _naming(path: Path, error: ValueError) -> ValueError:
    """Put the folder's path before an error that does not name it."""
    if str(path) in str(error):
        return error
    if isinstance(error, InputError):
        problem = f"{path}: {error.problem}"
        return InputError(problem, remedy=error.remedy, field=error.field, value=error.value)
    return InputError(f"{path}: {error}", field="source", value=str(path))


def _unused_files(path: Path, files: TokenizerFiles) -> list[str]:
    """Return the names of files that were not opened, except those for readers."""
    weights = {entry.file.name for entry in stored_weights.find_tensors(path).values()}
    used = {"config.json", stored_weights.INDEX, directory.MANIFEST, *weights, *files.files}
    others = sorted(file.name for file in path.iterdir() if file.name not in used)
    return [name for name in others if not name.startswith((".", "README", "LICENSE"))]


def export_model(source: Path, out: Path) -> Exported:
    """Write a model in its family's public layout, read it again and compare the logits.

    Raises:
        InputError: `out` exists, or no other tool knows models of this shape.
        RunFailed: The exported model or tokenizer differs from the original; nothing is kept.
    """
    _require_absent(out)
    if adapter_directory.is_adapter(model_directory.find(source)):
        raise InputError(
            f"{source}: holds an adapter, which PEFT opens as it is.",
            remedy="For one whole model, merge it first: "
            + command_line("merge", source, "MERGED"),
            field="source",
            value=str(source),
        )
    model, tokenizer = model_directory.load(source, kind=Model)
    _require_public_shape(source, model)
    with directory.atomic_directory(out) as temporary:
        write_public(temporary, model, tokenizer)
        gap = _check_weights(temporary, model, source, out)
        _check_tokenizer(temporary, tokenizer, out)
    (out / directory.MANIFEST).unlink()
    notes = ["other tools cannot read its tokenizer, only the weights"]
    return Exported(gap, notes if isinstance(tokenizer, CharacterTokenizer) else [])


def _require_public_shape(source: Path, model: Model) -> None:
    if families.for_config(model.config) is not None:
        return
    name = architectures.for_config(model.config).name
    raise InputError(
        f"{source}: no other tool knows {name} models of this shape, so it cannot be exported.",
        remedy=f"These can be exported: {EXPORTABLE[name]}.",
        field="source",
        value=str(source),
    )


def write_public(target: Path, model: Model, tokenizer: Tokenizer) -> None:
    """Write the model as another tool would, without Chatwright's own settings."""
    model_directory.write(target, model, tokenizer)
    config = target / "config.json"
    table = json.loads(config.read_text(encoding="utf-8"))
    del table["chatwright"]
    config.write_text(json.dumps(table, indent=1), encoding="utf-8")
    (target / imported_settings.SETTINGS_FILE).unlink(missing_ok=True)


def _check_weights(exported: Path, model: Model, source: Path, out: Path) -> LogitGap:
    prompts = random_prompts(model.config.vocab_size, model.config.context_length)
    gap = largest_gap(model, public_model.read(exported).model, prompts)
    if not gap.relative <= TOLERANCE:
        raise RunFailed(
            f"{out}: the exported model's logits differ from the model's by {gap}, so it was not "
            f"kept. This is a bug; please report it with {source}/config.json."
        )
    return gap


def _check_tokenizer(exported: Path, tokenizer: Tokenizer, out: Path) -> None:
    """Check that the exported files encode texts to the same ids.

    Character tokenizers are skipped: other tools have no form for them.
    """
    if isinstance(tokenizer, CharacterTokenizer):
        return
    again = ImportedTokenizer(imported_files.read(exported), tokenizer.vocab_size)
    texts = [tokenizer.decode(row[0].tolist()) for row in random_prompts(tokenizer.vocab_size, 64)]
    if again.encode_batch(texts) != tokenizer.encode_batch(texts):
        raise RunFailed(
            f"{out}: the exported tokenizer gives other ids than the model's, so nothing was kept. "
            "This is a bug; please report it."
        )


def _require_absent(out: Path) -> None:
    if out.exists():
        raise InputError(
            f"{out}: already exists.",
            remedy="Give another folder, or delete this one.",
            field="out",
            value=str(out),
        )
