"""The check of one setting that the settings of loop, batches and distillation share."""

from typing import Any

from chatwright.errors import InputError


def require_setting(config: Any, table: str, name: str, holds: bool, requirement: str) -> None:
    """Raise InputError unless `holds`.

    Args:
        config: The dataclass of settings.
        table: Name of its table in a recipe, such as "loop".
        name: Name of the setting.
        holds: Whether the setting is allowed.
        requirement: What must hold, as words after "it".
    """
    if not holds:
        field = f"{table}.{name}"
        value = getattr(config, name)
        raise InputError(f"{field} is {value!r}; it {requirement}.", field=field, value=value)
