"""Read and write the files by which sentence-transformers knows how a text becomes a vector.

    modules.json                      the modules: Transformer, Pooling and optionally Normalize
    1_Pooling/config.json             how the vectors of the tokens are pooled
    sentence_bert_config.json         the longest text, in tokens
    config_sentence_transformers.json prompts

A directory without modules.json holds a plain encoder. sentence-transformers then takes the mean
over the tokens, and so do we. A module that we do not have is an error that names it: without it
the vectors would be others.
"""

import json
import re
from pathlib import Path
from typing import Any

from chatwright.checkpoint import json_file
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.errors import InputError
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.pooling import POOLING_KINDS, PoolingKind

MODULES_FILE = "modules.json"
LENGTH_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
POOLING_FOLDER = "1_Pooling"
NORMALIZE_FOLDER = "2_Normalize"
MODULES = ("Transformer", "Pooling", "Normalize")  # in this order; the last one may be missing
MODULE_TYPE = "sentence_transformers.models.{}"
# Field of a pooling module that older versions write -> our name of the kind.
POOLING_FIELDS: dict[str, PoolingKind] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
# The only supported values of settings that the modules have.
TRANSFORMER_SETTINGS = {
    "do_lower_case": False,
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
}
NORMALIZE_SETTINGS = dict.fromkeys(
    ("module_input_name", "module_output_name"), "sentence_embedding"
)


def is_sentence_model(directory: Path) -> bool:
    """Return whether a directory says how sentence-transformers makes vectors of texts."""
    return (directory / MODULES_FILE).is_file()


def read_settings(directory: Path, config: EncoderConfig) -> dict[str, Any]:
    """Return the settings of `EncoderConfig` that say how a text becomes a vector.

    Raises:
        InputError: The directory has a module or a setting that is not supported.
    """
    settings: dict[str, Any] = {"max_text_tokens": _longest_text(directory, config)}
    if not is_sentence_model(directory):
        return settings
    folders = _module_folders(directory / MODULES_FILE)
    _require_usual_settings(directory, folders)
    return settings | {
        "pooling": _pooling(directory / folders["Pooling"] / "config.json", config),
        "normalized_vectors": "Normalize" in folders,
    }


def _module_folders(file: Path) -> dict[str, str]:
    """Return the folder of each module by the name of its class, in their order."""
    folders: dict[str, str] = {}
    for module in json_file.read_list(file):
        table = module if isinstance(module, dict) else {}
        package, _, name = str(table.get("type")).rpartition(".")
        if package.split(".")[0] != "sentence_transformers":  # code that comes with the model
            raise _unsupported_module(file, f"{package}.{name}")
        folder = str(table.get("path", ""))
        if name not in MODULES[len(folders) : len(folders) + 1]:
            raise _unsupported_module(file, name)
        if not re.fullmatch(r"([\w-][\w.-]*)?", folder) or (name == "Transformer") != (not folder):
            raise InputError(
                f"{file}: the module {name} is in {folder[:80]!r}, which is not supported.",
                remedy="Put the encoder's files beside modules.json, and every other module into "
                "a folder of its own.",
                field=name,
                value=folder,
            )
        folders[name] = folder
    if len(folders) < 2:
        raise InputError(
            f"{file}: it lists {len(folders)} modules, but needs a Transformer and a Pooling.",
            remedy="Get the file again from the model's source.",
            field=file.name,
            value=len(folders),
        )
    return folders


def _unsupported_module(file: Path, name: str) -> InputError:
    return InputError(
        f"{file}: the module {name[:80]!r} is not supported at its place. Without it, the vectors "
        "would be others.",
        remedy=f"Choose a model whose modules are {' and '.join(MODULES[:2])}, optionally "
        f"followed by {MODULES[2]}.",
        field="type",
        value=name[:80],
    )


def _pooling(file: Path, config: EncoderConfig) -> PoolingKind:
    public = _read(file)
    for size in ("word_embedding_dimension", "embedding_dimension"):
        public.must_be(size, config.d_model)
    if isinstance(public.get("pooling_mode"), str):  # newer versions
        kind: PoolingKind = public.one_of("pooling_mode", {kind: kind for kind in POOLING_KINDS})
        return kind
    active = [name for name in public if name.startswith("pooling_mode") and public.get(name)]
    if len(active) != 1 or active[0] not in POOLING_FIELDS:
        raise public.error(
            active[-1] if active else "pooling_mode_mean_tokens",
            f"exactly one of {', '.join(POOLING_FIELDS)} is supported",
        )
    return POOLING_FIELDS[active[0]]


def _longest_text(directory: Path, config: EncoderConfig) -> int:
    """Return the tokens of the longest text, or 0 if that is the encoder's context.

    Without its own setting, sentence-transformers takes the tokenizer's limit.
    """
    limits = [(LENGTH_FILE, "max_seq_length"), ("tokenizer_config.json", "model_max_length")]
    for name, field in limits:
        if not (directory / name).is_file():
            continue
        public = _read(directory / name)
        value = public.get(field)
        if value is None:
            continue
        if type(value) not in (int, float) or not value >= 1:
            raise public.error(field, "expected a number of tokens")
        return 0 if value >= config.context_length else int(value)
    return 0


def _require_usual_settings(directory: Path, folders: dict[str, str]) -> None:
    """Reject settings that would change the vectors, such as words put before every text."""
    for name, allowed in (
        (PROMPTS_FILE, {"default_prompt_name": None}),
        (LENGTH_FILE, TRANSFORMER_SETTINGS),
        (f"{folders.get('Normalize', 'none')}/config.json", NORMALIZE_SETTINGS),
    ):
        if (directory / name).is_file():
            public = _read(directory / name)
            for field, value in allowed.items():
                public.must_be(field, value)


def _read(file: Path) -> PublicConfig:
    return PublicConfig(json_file.read_object(file), str(file))


def prompts(directory: Path) -> dict[str, str]:
    """Return the prompts that the model was trained with, by name; they are not used by default."""
    file = directory / PROMPTS_FILE
    table = json_file.read_object(file).get("prompts") if file.is_file() else {}
    if not isinstance(table, dict):
        return {}
    return {str(name): prompt for name, prompt in table.items() if prompt}


def files_read(directory: Path) -> set[str]:
    """Return the names of the files and folders that `read_settings` and `prompts` read."""
    if not is_sentence_model(directory):
        return set()
    folders = _module_folders(directory / MODULES_FILE).values()
    return {MODULES_FILE, LENGTH_FILE, PROMPTS_FILE, *filter(None, folders)}


def write(target: Path, config: EncoderConfig) -> None:
    """Write the files into the directory `target`, beside those of the encoder."""
    folders = {"Transformer": "", "Pooling": POOLING_FOLDER}
    if config.normalized_vectors:
        folders["Normalize"] = NORMALIZE_FOLDER
    modules = [
        {"idx": i, "name": str(i), "path": folder, "type": MODULE_TYPE.format(name)}
        for i, (name, folder) in enumerate(folders.items())
    ]
    pooling: dict[str, Any] = {"word_embedding_dimension": config.d_model}
    pooling |= {name: kind == config.pooling for name, kind in POOLING_FIELDS.items()}
    length = {"max_seq_length": config.text_length, "do_lower_case": False}
    prompt_settings: dict[str, Any] = {
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    for folder in filter(None, folders.values()):
        (target / folder).mkdir()
    _write(target / MODULES_FILE, modules)
    _write(target / POOLING_FOLDER / "config.json", pooling)
    _write(target / LENGTH_FILE, length)
    _write(target / PROMPTS_FILE, prompt_settings)


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2), encoding="utf-8")
