"""A model fetched by name from huggingface.co, with the `hub` extra: only when a person asks for that name, and only data files."""

import os
import re
from pathlib import Path

NAME = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")
DATA_FILES = [
    "*.json",
    "model*.safetensors",
    "*.txt",
    "*.jinja",
    "*.spm",
    "*.model",
]  # no pickle, no code


def is_hub_name(source: str) -> bool:
    """organisation/model, or organisation/model@revision. Below a folder that is there it is a path, if a mistaken one, and nobody hears of it."""
    return NAME.fullmatch(source) is not None and not Path(source).parent.is_dir()


def fetch(name: str) -> Path:
    """The folder with the model's files, from huggingface.co or from what was fetched before."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise ValueError(
            f"{name}: no such folder, and fetching by name takes an extra that is not installed: "
            "pip install 'chatwright[hub]'"
        ) from None
    found = NAME.fullmatch(name)
    assert found is not None, "asked with is_name before"
    repository, revision = found.groups()
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=DATA_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{name}: could not be fetched from huggingface.co ({cause[:200]}). Check the name and the connection, "
            "or copy the model's folder here and give its path."
        ) from None
