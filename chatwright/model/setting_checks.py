"""Checks of settings that several configs share; each raises InputError with field and value."""

from typing import Any

from chatwright.errors import InputError


def require_at_least(config: Any, lowest: int, *names: str) -> None:
    """Check that each of these settings is at least `lowest`."""
    for name in names:
        value = getattr(config, name)
        if value < lowest:
            raise InputError(
                f"{name} ({value}) must be at least {lowest}.",
                remedy=f"Set {name} = {lowest} or more, or remove the setting.",
                field=name,
                value=value,
            )


def require_dropout_rates(config: Any, *names: str) -> None:
    """Check that each of these settings is at least 0 and below 1."""
    for name in names:
        value = getattr(config, name)
        if not 0.0 <= value < 1.0:
            raise InputError(
                f"{name} ({value}) must be at least 0 and below 1.",
                remedy=f"Set for example {name} = 0.1, or remove the setting.",
                field=name,
                value=value,
            )


def require_even_head_dim(config: Any) -> None:
    """Check that head_dim is even for rotary positions, which rotate pairs of numbers."""
    if config.position == "rotary" and config.head_dim % 2:
        raise InputError(
            f"head_dim ({config.head_dim}) must be even: rotary positions rotate pairs of numbers.",
            remedy=f"Set head_dim = {config.head_dim + 1}, or choose another position encoding.",
            field="head_dim",
            value=config.head_dim,
        )


def require_ngram_lengths(config: Any) -> None:
    """Check that n-gram lengths are different numbers of at least 2."""
    lengths = config.ngrams
    if any(n < 2 for n in lengths) or len(set(lengths)) < len(lengths):
        raise InputError(
            f"ngrams ({lengths}) must be different lengths of at least 2.",
            remedy="For example: ngrams = [2, 3].",
            field="ngrams",
            value=lengths,
        )
