"""Names of the files by which a directory is known to hold a model or an adapter."""

from pathlib import Path

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"


def is_adapter(path: Path) -> bool:
    """Return whether the directory `path` holds an adapter."""
    return (path / ADAPTER_CONFIG).is_file()


def is_model(path: Path) -> bool:
    """Return whether the directory `path` itself holds a model or an adapter."""
    return (path / CONFIG).is_file() or is_adapter(path)
