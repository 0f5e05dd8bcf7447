"""Other tools' models in, ours out: what `chatwright import` and `chatwright export` do.

An import is refused by name or is whole; what it did not use is told. An export is opened again as another tool would, and held against the model.
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
    stored_weights,
)
from chatwright.checkpoint.control_tokens import add_control_tokens
from chatwright.commands import command_line
from chatwright.evaluation.logit_gap import LogitGap, largest_gap, random_prompts
from chatwright.model.gpt import GPT
from chatwright.model.model import Model, count_parameters
from chatwright.tokenizer import chat_formats, hugging_face, imported, imported_files
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.hugging_face import CHAT_TEMPLATE_JINJA
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.checks import RunFailed

OWN_FORMAT = "chatwright"
MOST_UNUSED_IDS = (
    1024  # models round their vocabulary up, to less than this; more is another model's tokenizer
)
TOLERANCE = 1e-5  # of the largest logit: the weights are the same numbers, so anything above rounding is a mistake
# By the kind of a model: whose shapes other tools know.
EXPORTABLE = {
    "gpt": "the default shapes (model.size = nano, tiny, small, medium, large), gpt1 and gpt2",
    "encoder": "what is trained with a published shape (model.size = bert-tiny, bert-mini, roberta-base and so on), or was imported",
    "encoder-decoder": "what was imported from MarianMT, and trained on from there",
    "skip-gram": "nothing: word vectors are no model to other tools",
}


@dataclass(frozen=True)
class Exported:
    gap: LogitGap
    notes: list[str]  # what other tools cannot do with it


@dataclass(frozen=True)
class Imported:
    family: str
    n_parameter: int
    context_length: int
    vocab_size: int
    chat_format: str | None
    unused: list[str]  # fields, tensors and files that said nothing to us


def import_model(
    source: str, out: Path, chat_format: str | None = None, context_length: int | None = None
) -> Imported:
    """Read the model in a folder (or by its name on the hub) and write it to `out` as ours. `chat_format` None: what its template looks like."""
    _require_absent(out)
    path = hub.fetch(source) if hub.is_hub_name(source) else Path(source)
    if not path.is_dir():
        raise ValueError(
            f"{source}: no such folder. Give the folder of a model (config.json, model.safetensors, tokenizer files), "
            "or its name on huggingface.co as organisation/model."
        )
    if not (path / "config.json").is_file():
        if (path / "adapter_config.json").is_file():
            raise ValueError(
                f"{source}: holds an adapter. It needs no import: {command_line('chat', source)} opens it beside its base, and "
                "chatwright merge makes one model of them."
            )
        if (path / "model" / "config.json").is_file():
            raise ValueError(
                f"{source}: is a training run of ours. It needs no import: every verb opens it as it is."
            )
    try:
        read = public_model.read(path, context_length)
        files = imported_files.read(path)
        model, tokenizer = _with_tokenizer(path, files, read.model, chat_format)
    except ValueError as error:  # whatever is wrong is wrong with something in this folder
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from None
    unused = [*read.unused, *_unused_files(path, files)]
    if files.chat_template and tokenizer.chat_format is None:
        unused.append("the chat template (like no format known here; --chat-format names one)")
    name = tokenizer.chat_format.name if tokenizer.chat_format and isinstance(model, GPT) else None
    imported = Imported(
        read.family.name,
        count_parameters(model),
        model.config.context_length,
        model.config.vocab_size,
        name,
        unused,
    )
    model_directory.save(
        out,
        model,
        tokenizer,
        {"imported_from": path.name, "family": read.family.name, "unused": unused},
    )
    return imported


def _with_tokenizer(
    path: Path, files: TokenizerFiles, model: Model, chat_format: str | None
) -> tuple[Model, ImportedTokenizer]:
    vocab_size = model.config.vocab_size
    if (
        files.chat_template == CHAT_TEMPLATE_JINJA and chat_format is None
    ):  # a model of ours comes home
        return model, _checked(
            ImportedTokenizer(
                files, vocab_size, first_control_id=hugging_face.first_control_id(files.document)
            ),
            path,
        )
    plain = _checked(ImportedTokenizer(files, vocab_size), path)
    if not isinstance(model, GPT):
        if chat_format is not None:
            raise ValueError(
                f"--chat-format {chat_format}: {path} holds no decoder, so it cannot converse. Leave the option out."
            )
        return model, plain
    if chat_format == OWN_FORMAT:
        return add_control_tokens(model, plain)
    name = chat_format or chat_formats.recognize_format(files.chat_template)
    return model, ImportedTokenizer(
        files, vocab_size, name, chat_formats.default_system_text(files.chat_template)
    ) if name else plain


def _checked(tokenizer: ImportedTokenizer, path: Path) -> ImportedTokenizer:
    n_token, vocab_size = max(tokenizer.vocabulary.tokens) + 1, tokenizer.vocab_size
    if n_token > vocab_size or n_token < vocab_size - MOST_UNUSED_IDS:
        raise ValueError(
            f"{path}: the tokenizer has {n_token} tokens, the model {vocab_size}. They are not from the same model; "
            "get all files from where the model came."
        )
    return tokenizer


def _unused_files(path: Path, files: TokenizerFiles) -> list[str]:
    """Files that were not opened, but for what is there for people to read."""
    weights = {entry.file.name for entry in stored_weights.find_tensors(path).values()}
    used = {"config.json", stored_weights.INDEX, directory.MANIFEST, *weights, *files.files}
    found = sorted(file.name for file in path.iterdir() if file.name not in used)
    return [name for name in found if not name.startswith((".", "README", "LICENSE"))]


def export_model(source: Path, out: Path) -> Exported:
    """Write the model at `source` in its family's public layout, open it again, and hold it against the model."""
    _require_absent(out)
    if adapter_directory.is_adapter(model_directory.find(source)):
        raise ValueError(
            f"{source}: holds an adapter, which PEFT opens as it is. For one whole model merge it first: "
            + command_line("merge", source, "MERGED")
        )
    model, tokenizer = model_directory.load(source, kind=Model)
    family = families.for_config(model.config)
    if family is None:
        raise ValueError(
            f"{source}: no other tool knows {architectures.for_config(model.config).name} models of this shape, so it cannot be exported. "
            f"What can: {EXPORTABLE[architectures.for_config(model.config).name]}."
        )
    with directory.atomic_directory(out) as building:
        write_public(building, model, tokenizer)
        gap = largest_gap(
            model,
            public_model.read(building).model,
            random_prompts(model.config.vocab_size, model.config.context_length),
        )
        if not gap.relative <= TOLERANCE:
            raise RunFailed(
                f"{out}: the exported model's logits differ from the model's by {gap}, so it was not kept. This is a bug; please report "
                f"it with {source}/config.json."
            )
        _check_tokenizer(building, tokenizer, out)
    (out / directory.MANIFEST).unlink()
    notes = (
        ["its tokenizer has no form that other tools read: they open the weights alone"]
        if isinstance(tokenizer, CharacterTokenizer)
        else []
    )
    return Exported(gap, notes)


def write_public(building: Path, model: Model, tokenizer: Tokenizer) -> None:
    """The model as another tool would have written it: without our settings beside its family's."""
    model_directory.write(building, model, tokenizer)
    config = building / "config.json"
    table = json.loads(config.read_text(encoding="utf-8"))
    del table["chatwright"]
    config.write_text(json.dumps(table, indent=1), encoding="utf-8")
    (building / imported.SETTINGS_FILE).unlink(missing_ok=True)


def _check_tokenizer(building: Path, tokenizer: Tokenizer, out: Path) -> None:
    """The exported files give any text the ids the model knows. A tokenizer of characters has no form that others read."""
    if isinstance(tokenizer, CharacterTokenizer):
        return
    again = ImportedTokenizer(imported_files.read(building))
    texts = [tokenizer.decode(row[0].tolist()) for row in random_prompts(tokenizer.vocab_size, 64)]
    if again.encode_batch(texts) != tokenizer.encode_batch(texts):
        raise RunFailed(
            f"{out}: the exported tokenizer gives other ids than the model's, so nothing was kept. This is a bug; please report it."
        )


def _require_absent(out: Path) -> None:
    if out.exists():
        raise ValueError(f"{out}: is there already. Give another folder, or delete this one.")
