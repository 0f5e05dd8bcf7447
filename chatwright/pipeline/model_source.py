"""Read the model and the tokenizer of another tool, from a folder or from a GGUF file.

Nothing in the files is executed. The result lists the fields, tensors and files that were not used.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import (
    adapter_directory,
    directory,
    families,
    gguf_model,
    hub,
    public_model,
    run_directory,
    sentence_transformers,
    stored_weights,
)
from chatwright.checkpoint.gguf_header import GgufHeader, is_gguf, read_gguf_header
from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.model.model import Model
from chatwright.tokenizer import gguf_tokenizer, imported_files
from chatwright.tokenizer.imported_files import TokenizerFiles


@dataclass(frozen=True)
class SourceModel:
    """A model of another tool."""

    path: Path
    """The folder or the GGUF file that holds it."""
    family: str
    """Name of its family."""
    model: Model
    files: TokenizerFiles
    unused: list[str]
    """Fields, tensors and files that were not read."""
    notes: list[str]
    """Differences from the original model."""


def read(
    source: str, context_length: int | None = None, keeps_quantized: bool = False
) -> SourceModel:
    """Read a model.

    Args:
        source: A folder, a GGUF file, or a name on huggingface.co such as organization/model.
        context_length: A shorter context, in tokens.
        keeps_quantized: Whether a GGUF file's weights in Q4_0, Q4_1, Q4_K and Q8_0 stay so.

    Raises:
        InputError: `source` is not a supported model, or has no weights that can stay quantized.
    """
    is_name = hub.is_hub_name(source) and not source.endswith(".gguf")
    path = hub.fetch(source) if is_name else Path(source)
    try:
        if is_gguf(path):
            return _read_gguf(read_gguf_header(path), context_length, keeps_quantized)
        if keeps_quantized:
            raise InputError(
                f"{source}: only weights of GGUF files can stay quantized.",
                remedy="Leave out --keep-quantized, or give a GGUF file.",
                field="keep_quantized",
                value=source,
            )
        _require_public_model(path, source)
        return _read_folder(path, context_length)
    except ValueError as error:
        raise with_path(path, error) from None


def _read_folder(path: Path, context_length: int | None) -> SourceModel:
    public = public_model.read(path, context_length)
    files = imported_files.read(path)
    unused = [*public.unused, *_unused_files(path, files)]
    return SourceModel(path, public.family.name, public.model, files, unused, [])


def _read_gguf(
    header: GgufHeader, context_length: int | None, keeps_quantized: bool
) -> SourceModel:
    files = _gguf_tokenizer(header)
    model = gguf_model.read(header, context_length, keeps_quantized)
    family = families.for_config(model.config)
    assert family is not None, "every architecture of GGUF files is one of a family"
    return SourceModel(header.path, family.name, model, files, [], gguf_model.notes(header, model))


def _gguf_tokenizer(header: GgufHeader) -> TokenizerFiles:
    """Convert the tokenizer in the header's fields, by way of the files of transformers."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in gguf_tokenizer.tokenizer_files(header.fields).items():
            (Path(folder) / name).write_text(json.dumps(content), encoding="utf-8")
        return imported_files.read(Path(folder))


def _require_public_model(path: Path, source: str) -> None:
    """Raise InputError unless the folder holds config.json. Adapters and runs need no import."""
    if not path.is_dir():
        problem = f"{source}: no such folder, and no GGUF file."
        remedy = (
            "Give the folder of a model (config.json, model.safetensors, tokenizer files), "
            "a .gguf file, or a name on huggingface.co as organization/model."
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
    elif file := next(iter(sorted(path.glob("*.gguf"))), None):
        problem = f"{source}: holds no config.json, but a GGUF file."
        remedy = f"Give the file: {command_line('import', file, 'OUT')}"
    else:
        problem = f"{source}: holds no config.json."
        remedy = "Give the folder of a model, with all of its files."
    raise InputError(problem, remedy=remedy, field="source", value=source)


def with_path(path: Path, error: ValueError) -> ValueError:
    """Put the source's path before the message of an error that does not contain the path."""
    if str(path) in str(error):
        return error
    if isinstance(error, InputError):
        problem = f"{path}: {error.problem}"
        return InputError(problem, remedy=error.remedy, field=error.field, value=error.value)
    return InputError(f"{path}: {error}", field="source", value=str(path))


def _unused_files(path: Path, files: TokenizerFiles) -> list[str]:
    """Return the names of files that were not read, except hidden files, README and LICENSE."""
    weights = {entry.file.name for entry in stored_weights.find_tensors(path).values()}
    used = {"config.json", stored_weights.INDEX, directory.MANIFEST, *weights, *files.files}
    used |= sentence_transformers.files_read(path)
    others = sorted(file.name for file in path.iterdir() if file.name not in used)
    return [name for name in others if not name.startswith((".", "README", "LICENSE"))]
