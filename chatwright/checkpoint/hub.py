"""Download a model by name from huggingface.co, with the `hub` extra.

Nothing is downloaded unless you give such a name, and only data files are.
"""

import os
import re
from pathlib import Path

from chatwright.errors import InputError

NAME = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")
# Leaves out pickle files and code.
DATA_FILES = [
    "*.json",
    "model*.safetensors",
    "*.txt",
    "*.jinja",
    "*.spm",
    "*.model",
]


def is_hub_name(source: str) -> bool:
    """Return whether `source` looks like organization/model or organization/model@revision.

    If the folder before the slash exists, `source` counts as a path. A mistyped name in that folder
    therefore causes no network request.
    """
    return NAME.fullmatch(source) is not None and not Path(source).parent.is_dir()


def fetch(name: str) -> Path:
    """Download a model, or find it in the local cache, and return its folder.

    Raises:
        InputError: The `hub` extra is not installed, or the download failed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise InputError(
            f"{name}: no such folder, and downloading needs an extra that is not installed.",
            remedy="Install it with: pip install 'chatwright[hub]'",
            field="source",
            value=name,
        ) from None
    match = NAME.fullmatch(name)
    assert match is not None, "`is_hub_name` accepted this name"
    repository, revision = match.groups()
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=DATA_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        text = str(error).strip()
        cause = text.splitlines()[0] if text else type(error).__name__
        raise InputError(
            f"{name}: could not be downloaded from huggingface.co ({cause[:200]}).",
            remedy="Check the name and the connection, or copy the model's folder to this machine "
            "and give its path.",
            field="source",
            value=name,
        ) from None
