"""Load the tensors of a model from one safetensors file, several with an index, or a GGUF file.

Each tensor is read once, directly into the model's memory. A tensor that the file stores transposed
or in another dtype goes through a buffer; each thread has one, as large as its largest such tensor.
"""

import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from chatwright.checkpoint import json_file, quantized_tensors, safetensors_file
from chatwright.checkpoint.family import Weight, as_parameters, public_shapes
from chatwright.checkpoint.gguf_tensors import GgufEntry
from chatwright.checkpoint.quantized_tensors import QuantizedEntry, QuantizedTensor
from chatwright.checkpoint.safetensors_file import Entry
from chatwright.errors import InputError
from chatwright.model.model import Model
from chatwright.model.quantized_weight import QuantizedWeight

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
N_THREAD = 2
UNREAD_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
GET_AGAIN = "Get the file again from the model's source."
MIXED = "Files of different models are mixed, or a file is damaged: get all of them again."

Shape = tuple[int, ...]
StoredTensor = Entry | GgufEntry | QuantizedEntry


def find_tensors(directory: Path) -> dict[str, Entry | QuantizedEntry]:
    """Return the position of each tensor of the model, by its name in the file."""
    if (directory / SINGLE).is_file():
        return quantized_tensors.recognize(safetensors_file.check_header(directory / SINGLE))
    return quantized_tensors.recognize(_find_in_parts(directory))


def _find_in_parts(directory: Path) -> dict[str, Entry]:
    if not (directory / INDEX).is_file():
        raise _no_weights(directory)
    entries: dict[str, Entry] = {}
    file_of = _read_index(directory / INDEX)
    for file in sorted(set(file_of.values())):
        part = safetensors_file.check_header(directory / file)
        listed = {tensor for tensor, its_file in file_of.items() if its_file == file}
        if wrong := sorted(part.keys() ^ listed):
            raise InputError(
                f"{directory / file}: {INDEX} and this file disagree on whether it holds the "
                f"tensor {wrong[0][:80]!r}.",
                remedy=MIXED,
                field=wrong[0][:80],
                value=file,
            )
        entries |= part
    return entries


def _no_weights(directory: Path) -> InputError:
    others = sorted(p.name for p in directory.glob("*") if p.suffix in UNREAD_SUFFIXES)
    problem = f"{directory}: holds no {SINGLE}."
    if others:
        problem += f" {others[0]} is not read: such files can run code or have another format."
    return InputError(
        problem,
        remedy="Get the safetensors files from the model's source.",
        field=SINGLE,
        value=others[0] if others else None,
    )


def _read_index(index: Path) -> dict[str, str]:
    """Return the file name of each tensor. All files are in the index's own directory."""
    file_of = json_file.read_object(index).get("weight_map")
    if not isinstance(file_of, dict) or not all(
        isinstance(file, str) and re.fullmatch(r"[\w-][\w.-]*\.safetensors", file)
        for file in file_of.values()
    ):
        raise InputError(
            f"{index}: weight_map does not map tensors to files of this directory.",
            remedy=GET_AGAIN,
            field="weight_map",
            value=str(index),
        )
    return file_of


def parameter_shapes(model: Model) -> dict[str, Shape]:
    """Return the shapes of a model's parameters by name."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def require_same_shapes(
    expected: Mapping[str, Shape], stored: Mapping[str, Shape], source: Path
) -> None:
    """Reject missing, unexpected and misshapen tensors of the model directory `source`."""
    missing = sorted(expected.keys() - stored.keys())
    unexpected = sorted(stored.keys() - expected.keys())
    if missing or unexpected:
        raise InputError(
            f"{source}: the tensors do not match the model's settings: {len(missing)} are missing "
            f"{missing[:3]}, {len(unexpected)} are unexpected {unexpected[:3]}.",
            remedy=MIXED,
            field=(missing or unexpected)[0],
            value="missing" if missing else "unexpected",
        )
    for name, shape in expected.items():
        if stored[name] != shape:
            raise InputError(
                f"{source}: {name} has the shape {stored[name]}, but the model's settings need "
                f"{shape}.",
                remedy=MIXED,
                field=name,
                value=stored[name],
            )


def load_into(
    model: Model,
    weights: Iterable[Weight],
    entries: Mapping[str, StoredTensor],
    source: Path,
    kept: Mapping[str, QuantizedTensor] = MappingProxyType({}),
) -> None:
    """Read every tensor that `weights` lists into the parameters of `model`.

    Args:
        model: The model; unchanged if a tensor is missing, unexpected or misshapen.
        weights: The tensors of the file, and the parameters that each one holds.
        entries: The position of each tensor.
        source: The model directory, for errors.
        kept: The tensors that stay quantized, by the parameter's name.
    """
    weights = list(weights)
    require_model(model, weights, entries, source)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    buffers = _Buffers()

    def read(weight: Weight) -> None:
        if (quantized := kept.get(weight.parameters[0])) is not None:
            stored = quantized.read_quantized()
            rows = as_parameters(weight, stored.rows).contiguous()
            own = QuantizedWeight(stored.number_type, rows)
            quantized_tensors.assign(model, weight.parameters[0], own)
            return
        entry = entries[weight.public_name]
        targets = [parameters[name] for name in weight.parameters]
        if isinstance(entry, GgufEntry | QuantizedEntry):
            stored_tensor = entry.read()
        elif weight.is_stored_directly and all(_can_read_into(t, entry) for t in targets):
            _read_rows(entry, targets)
            return
        else:
            stored_tensor = buffers.read(entry)
        stacked = as_parameters(weight, stored_tensor)
        parts = stacked.split([len(target) for target in targets])
        for target, part in zip(targets, parts, strict=True):
            target.copy_(part)

    # While one thread waits for the file, the other can transpose.
    with ThreadPoolExecutor(N_THREAD) as pool:
        list(pool.map(read, weights))


def require_model(
    model: Model, weights: list[Weight], entries: Mapping[str, StoredTensor], source: Path
) -> None:
    """Reject files whose tensors are not those of the model. Errors name `source`."""
    _require_all_parameters(model, weights, source)
    stored = {name: entry.shape for name, entry in entries.items()}
    require_same_shapes(public_shapes(weights, parameter_shapes(model)), stored, source)


def _require_all_parameters(model: Model, weights: list[Weight], source: Path) -> None:
    listed = {name for weight in weights for name in weight.parameters}
    if different := listed ^ parameter_shapes(model).keys():
        raise InputError(
            f"{source}: config.json contradicts itself: a model with its settings does not have "
            f"the tensors of its model_type, for example {min(different)}.",
            remedy="Get config.json again from the model's source.",
            field="model_type",
            value=min(different),
        )


def _can_read_into(target: Tensor, entry: Entry) -> bool:
    return target.device.type == "cpu" and target.dtype == entry.dtype and target.is_contiguous()


def _read_rows(entry: Entry, targets: list[Tensor]) -> None:
    """Read one tensor into several parameters, which are stacked in it by rows."""
    start = entry.start
    for target in targets:
        rows = Entry(entry.file, entry.dtype, tuple(target.shape), start)
        safetensors_file.read_into(rows, target)
        start += target.nbytes


class _Buffers(threading.local):
    """A buffer for each thread, reused for all of its tensors.

    Allocating new memory for each tensor takes as long as reading the tensor.
    """

    def __init__(self) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8)

    def read(self, entry: Entry) -> Tensor:
        """Return the tensor; it is valid until this thread reads the next one."""
        if len(self.memory) < entry.nbytes:
            self.memory = torch.empty(entry.nbytes, dtype=torch.uint8)
        tensor = self.memory[: entry.nbytes].view(entry.dtype).view(entry.shape)
        safetensors_file.read_into(entry, tensor)
        return tensor
