"""Repeat replies from their receipts with the model in a directory."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chatwright.chat.receipt import Receipt
from chatwright.chat.replay import Replay, replay
from chatwright.checkpoint import model_directory
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.errors import InputError
from chatwright.model.packed_weight import FLOAT32
from chatwright.pipeline.adapter_factors import read_adapter
from chatwright.pipeline.open_engine import load_for_format
from chatwright.pipeline.reply_dependencies import reply_dependencies

N_SLOT = 8
"""Replies that are repeated together."""


def replay_replies(
    directory: Path,
    receipts: list[Receipt],
    n_slot: int = N_SLOT,
    adapters: Mapping[str, Path] = MappingProxyType({}),
) -> list[Replay]:
    """Repeat replies with the model in a directory.

    Args:
        directory: A model directory, a training run, or a directory of versions.
        receipts: Full receipts.
        n_slot: Number of replies that are repeated together; it changes no byte.
        adapters: Directories of the adapters that the receipts name.

    Raises:
        InputError: A receipt names an adapter that is not given, or a format of weights that this
            machine cannot use.
    """
    found = model_directory.find(directory)
    formats = [receipt.build.get("weight_format", FLOAT32.name) for receipt in receipts]
    results: dict[int, Replay] = {}
    for name in dict.fromkeys(formats):
        numbers = [number for number, one in enumerate(formats) if one == name]
        chosen = [receipts[number] for number in numbers]
        repeated = _replay_format(found, chosen, n_slot, adapters, name)
        results |= dict(zip(numbers, repeated, strict=True))
    return [results[number] for number in range(len(receipts))]


def _replay_format(
    found: Path,
    receipts: list[Receipt],
    n_slot: int,
    adapters: Mapping[str, Path],
    weight_format: str,
) -> list[Replay]:
    """Repeat replies that were computed with weights in one format."""
    model, tokenizer = load_for_format(found, weight_format)
    longest = max((_length(receipt) for receipt in receipts), default=1)
    context_length = min(longest, model.config.context_length)
    config = EngineConfig(n_slot=n_slot, context_length=context_length, weights=weight_format)
    present = reply_dependencies(found, weight_format).to_json()
    named = {one.request.adapter for receipt in receipts for one in receipt.requests} - {""}
    loaded: dict[str, str] = {"": ""}
    with Engine(model, config, keeps_weights=False) as engine:
        for name in sorted(named):
            if name not in adapters:
                raise InputError(
                    f"A reply was generated with the adapter {name!r}.",
                    remedy=f"Add --adapter {name}=DIRECTORY.",
                    field="adapter",
                    value=name,
                )
            adapter = read_adapter(adapters[name], model, present["weights"])
            engine.load_adapter(name, adapter.factors)
            loaded[name] = adapter.weights
        present["adapters"] = loaded
        return replay(receipts, engine, tokenizer, present)


def read_receipts(path: Path) -> list[Receipt]:
    """Read the full receipts of a file.

    Args:
        path: JSON or JSON lines: receipts, or responses of the API that hold receipts.

    Raises:
        InputError: The file cannot be read, or holds no full receipt.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error.__class__.__name__}).",
            remedy="Give a file of receipts.",
            field="receipt",
            value=str(path),
        ) from None
    receipts = [
        Receipt.from_json(item) for value in _values(text, path) for item in _receipts_in(value)
    ]
    if not receipts:
        raise InputError(
            f"{path} holds no receipt.",
            remedy='Save a response to a request with "receipt": true.',
            field="receipt",
            value=str(path),
        )
    return receipts


def _length(receipt: Receipt) -> int:
    return max(
        len(answered.request.token_ids)
        + max(answered.request.sampling.max_tokens or 0, len(answered.token_ids))
        + 1
        for answered in receipt.requests
    )


def _values(text: str, path: Path) -> Iterator[Any]:
    """Yield the JSON values of a file: one, or one in each line."""
    try:
        yield json.loads(text)
        return
    except (ValueError, RecursionError):
        pass
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                raise InputError(
                    f"{path}, line {number}, is not JSON.",
                    remedy="Give receipts as JSON, or one in each line.",
                    field="receipt",
                    value=str(path),
                ) from None


def _receipts_in(value: Any) -> Iterable[Any]:
    """Find the receipts in a response of the API; anything else is taken for a receipt."""
    if isinstance(value, list):
        return [receipt for item in value for receipt in _receipts_in(item)]
    notes = value.get("chatwright") if isinstance(value, dict) else None
    if isinstance(notes, dict):
        return list(notes.get("receipts", ()))
    return [value]
