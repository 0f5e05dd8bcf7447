"""Hostile files are rejected before their tensors are read; valid files are loaded exactly."""

import json
import os
import random
import struct
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import safetensors_file
from chatwright.devices import generator
from chatwright.errors import InputError


def write(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def entry(start: int, stop: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def test_loaded_tensors_equal_the_saved_ones(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 4, generator=generator(0, "a")),
        "b": torch.arange(5),
        "c": torch.ones(2, dtype=torch.bfloat16),
        "e": torch.empty(0, 3),
    }
    safetensors_file.save(tensors, tmp_path / "x.safetensors")
    loaded = safetensors_file.load(tmp_path / "x.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype


def test_the_file_may_be_read_by_whoever_may_read_the_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    safetensors_file.save({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    modes = [file.stat().st_mode for file in tmp_path.iterdir()]
    assert modes[0] == modes[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(InputError) as caught:
        safetensors_file.load(tmp_path / "model.safetensors")
    assert caught.value.field == "model.safetensors"


HOSTILE = {
    "empty": (b"", b"", 0),
    "header longer than the file": ({}, b"", 10**9),
    "huge header": (b" " * 2_000_000, b"", None),
    "not json": (b"\x80\x04pickle", b"", None),
    "nested past recursion": (b"[" * 100_000, b"", None),
    "a list": ([], b"", None),
    "overlap": ({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, b"1234", None),
    "gap": ({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, b"x" * 12, None),
    "beyond the end": ({"a": entry(0, 400, [100])}, b"1234", None),
    "trailing data": ({"a": entry(0, 4, [1])}, b"12345678", None),
    "negative": ({"a": entry(0, 4, [-1, -1])}, b"1234", None),
    "overflowing shape": ({"a": entry(0, 4, [2**40, 2**40])}, b"1234", None),
    "unknown dtype": ({"a": entry(0, 4, [1], "PICKLE")}, b"1234", None),
    "shape against offsets": ({"a": entry(0, 4, [2])}, b"1234", None),
    "too many": ({f"t{i}": entry(0, 0, [0]) for i in range(10_001)}, b"", None),
    "booleans for numbers": (
        {"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4.0]}},
        b"1234",
        None,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_rejected(tmp_path: Path, name: str) -> None:
    header, data, length = HOSTILE[name]
    path = write(tmp_path / "model.safetensors", header, data, length)
    with pytest.raises(InputError) as caught:
        safetensors_file.load(path)
    assert (caught.value.field, caught.value.value) == ("model.safetensors", str(path))


def test_randomly_changed_files_are_rejected_or_give_no_larger_tensors(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4, generator=generator(0, "a")), "b": torch.arange(5)}
    safetensors_file.save(tensors, tmp_path / "good.safetensors")
    good = (tmp_path / "good.safetensors").read_bytes()
    draws, n_rejected = random.Random(0), 0
    for _ in range(300):
        data = bytearray(good)
        for _ in range(draws.randint(1, 4)):
            data[draws.randrange(int(len(good) * 0.7))] = draws.randrange(256)
        path = tmp_path / "mutant.safetensors"
        path.write_bytes(data[: draws.choice([len(data), len(data), draws.randrange(len(data))])])
        try:
            loaded = safetensors_file.load(path)
            assert all(t.numel() <= 12 for t in loaded.values())
        except InputError:
            n_rejected += 1
    assert n_rejected > 200
