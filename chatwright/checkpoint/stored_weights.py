"""The tensors of a model on disk, in one file or in several that an index names, read into a model's own memory.

Nothing is read twice and nothing is held twice: what a file keeps transposed or in another dtype goes through a buffer as large as the largest
such tensor, one for each thread.
"""

import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from chatwright.checkpoint import json_file, safetensors_file
from chatwright.checkpoint.family import Weight, public_shapes
from chatwright.checkpoint.safetensors_file import Entry
from chatwright.model.model import Model

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
N_THREAD = 2
OTHERS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".gguf")


def find_tensors(directory: Path) -> dict[str, Entry]:
    """Where each tensor of the model lies."""
    if (directory / SINGLE).is_file():
        return safetensors_file.check_header(directory / SINGLE)
    index = directory / INDEX
    if not index.is_file():
        others = sorted(p.name for p in directory.glob("*") if p.suffix in OTHERS)
        found = (
            f"; it holds {others[0]}, which is not read: such files can run code, or are another tool's"
            if others
            else ""
        )
        raise ValueError(
            f"{directory}: holds no {SINGLE}{found}. Get the safetensors files from where the model came."
        )
    places = json_file.read_object(index).get("weight_map")
    if not isinstance(places, dict) or not all(
        isinstance(p, str) and re.fullmatch(r"[\w-][\w.-]*\.safetensors", p)
        for p in places.values()
    ):
        raise ValueError(
            f"{index}: weight_map does not name files of this directory. Get the file again from where it came."
        )
    entries: dict[str, Entry] = {}
    for name in sorted(set(places.values())):
        part = safetensors_file.check_header(directory / name)
        wrong = sorted(part.keys() ^ {tensor for tensor, place in places.items() if place == name})
        if wrong:
            raise ValueError(
                f"{directory / name}: {wrong[0][:80]!r} is not where {INDEX} says. The files are from different models."
            )
        entries |= part
    return entries


def parameter_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def require_same_shapes(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], source: Path
) -> None:
    """Refuse missing, extra and misshapen tensors by name."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        raise ValueError(
            f"{source}: model.safetensors does not match config.json: missing {missing[:3] or 'none'}, unexpected "
            f"{extra[:3] or 'none'} ({len(missing)} and {len(extra)} in all). The two files are from different models."
        )
    for name, shape in expected.items():
        if found[name] != shape:
            raise ValueError(
                f"{source}: {name} has shape {found[name]}, config.json asks for {shape}. The two files are from different models."
            )


def load_into(
    model: Model, weights: Iterable[Weight], entries: Mapping[str, Entry], source: Path
) -> None:
    """Read every tensor that `weights` lists into the model. Nothing is changed where something is missing, extra or misshapen."""
    weights = list(weights)
    if (
        strange := {name for weight in weights for name in weight.ours}
        ^ parameter_shapes(model).keys()
    ):
        raise ValueError(
            f"{source}: config.json contradicts itself: a model of its settings has not the tensors of its model_type (for example "
            f"{min(strange)}). Get config.json again from where it came."
        )
    require_same_shapes(
        public_shapes(weights, parameter_shapes(model)),
        {name: entry.shape for name, entry in entries.items()},
        source,
    )
    parameters, buffers = (
        {name: parameter.detach() for name, parameter in model.named_parameters()},
        _Buffers(),
    )

    def read(weight: Weight) -> None:
        entry, targets = entries[weight.theirs], [parameters[name] for name in weight.ours]
        if weight.is_plain and all(_is_like(entry, target) for target in targets):
            _read_rows(entry, targets)
            return
        whole = buffers.read(entry)
        whole = whole[0] if weight.is_row else whole.T if weight.transposed else whole
        for target, part in zip(
            targets, whole.split([len(target) for target in targets]), strict=True
        ):
            target.copy_(part)

    # While one thread waits for the file another turns a matrix round.
    with ThreadPoolExecutor(N_THREAD) as pool:
        list(pool.map(read, weights))


def _is_like(entry: Entry, target: Tensor) -> bool:
    return target.device.type == "cpu" and target.dtype == entry.dtype and target.is_contiguous()


def _read_rows(entry: Entry, targets: list[Tensor]) -> None:
    """Several of ours are rows of the tensor, one after another."""
    start = entry.start
    for target in targets:
        safetensors_file.read_into(
            Entry(entry.file, entry.dtype, tuple(target.shape), start), target
        )
        start += target.nbytes


class _Buffers(threading.local):
    """Memory that a thread uses again for one tensor after another: fresh memory costs as much as reading into it."""

    def __init__(self) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8)

    def read(self, entry: Entry) -> Tensor:
        """The tensor, until this thread reads the next."""
        if len(self.memory) < entry.nbytes:
            self.memory = torch.empty(entry.nbytes, dtype=torch.uint8)
        tensor = self.memory[: entry.nbytes].view(entry.dtype).view(entry.shape)
        safetensors_file.read_into(entry, tensor)
        return tensor
