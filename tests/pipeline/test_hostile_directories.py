"""Three hundred directories made to do harm, or by a careless hand: each is read whole or refused by name within a second, and nothing is left."""

import copy
import json
import os
import random
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatwright.checkpoint import model_directory
from chatwright.model.model import Model
from chatwright.pipeline.import_export import import_model
from tests.pipeline.foreign_models import ENCODERS, write, write_encoder, write_marian

pytestmark = pytest.mark.uses_global_rng
N_DIRECTORY, SECONDS = 300, 1.0
VALUES: list[Any] = [None, True, False, -1, 0, 1, 3, 10**30, -(10**9), 1e308, float("nan"), float("inf"), 0.5, "", "x", "../../etc/passwd", [], {},
                     [1], [[[]]], {"a": 1}, "A" * 100_000, ["x"] * 1000, {"rope_type": "yarn"}, "sliding_attention", 10**6, 2**31, 65_537]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("sources")
    return [*(write(place / family, family) for family in ("llama", "gpt2", "qwen2", "smollm3", "mistral")),
            *(write_encoder(place / family, family) for family in ENCODERS), write_marian(place / "marian")]


def change_json(path: Path, draw: random.Random, times: int) -> None:
    """Replace, remove or move values anywhere in the file."""
    table = json.loads(path.read_text())
    for _ in range(times):
        place: Any = table
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw.choice(keys[:40])
            if isinstance(place[key], dict | list) and place[key] and draw.random() < 0.6:
                place = place[key]
                continue
            if draw.random() < 0.2 and isinstance(place, dict):
                del place[key]
            else:
                place[key] = copy.deepcopy(draw.choice(VALUES))
            break
    path.write_text(json.dumps(table))


def config(path: Path, draw: random.Random) -> None:
    change_json(path / "config.json", draw, draw.randint(1, 3))


def tokenizer(path: Path, draw: random.Random) -> None:
    files = [name for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json") if (path / name).is_file()]
    change_json(path / draw.choice(files), draw, draw.randint(1, 3))


def tensors(path: Path, draw: random.Random) -> None:
    """The header says something else than the data."""
    file = path / "model.safetensors"
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    name = draw.choice([n for n in header if n != "__metadata__"])
    change: Callable[[], Any] = draw.choice([
        lambda: header.update({name + "x": header.pop(name)}), lambda: header.pop(name), lambda: header[name].update(shape=[2**31, 2**31]),
        lambda: header[name].update(dtype=draw.choice(["F16", "I64", "F8_E4M3", "Q4", None])), lambda: header[name]["shape"].reverse(),
        lambda: header[name].update(data_offsets=[0, 4]), lambda: header.update({"__metadata__": draw.choice(VALUES)}),
        lambda: header[name].update(shape=draw.choice(VALUES))])
    change()
    raw = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + data[8 + length:])


def damage(path: Path, draw: random.Random) -> None:
    """Cut, overwritten or exchanged files."""
    names = [p.name for p in path.iterdir() if p.suffix in (".json", ".safetensors", ".txt", ".spm")]
    file = path / draw.choice(names)
    data = bytearray(file.read_bytes())
    match draw.randrange(6):
        case 0:
            data = data[:draw.randrange(len(data))]
        case 1:
            for _ in range(20):
                data[draw.randrange(min(len(data), 3000))] = draw.randrange(256)
        case 2:
            data = bytearray(b"[" * 200_000)
        case 3:
            data = bytearray(b"\x80\x04\x95cos\nsystem\n(S'touch ran'\ntR.")
        case 4:
            file.unlink()
            os.mkfifo(file)
            return
        case 5:
            file.unlink()
            file.symlink_to(draw.choice(["/dev/zero", "/etc/passwd", "nowhere", "."]))
            return
    file.write_bytes(data)


def index(path: Path, draw: random.Random) -> None:
    (path / "model.safetensors").rename(path / "model-00001-of-00002.safetensors")
    places = draw.choice([{"a": "../model.safetensors"}, {"a": "/etc/passwd"}, {"a": "model-00001-of-00002.safetensors"}, {"a": None}, {}, [], None,
                          {"a": "x.bin"}, {"a": "gone.safetensors"}])
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def code(path: Path, draw: random.Random) -> None:
    (path / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "modeling.py", "tokenizer.pkl"):
        (path / name).write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    table = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(table | {"auto_map": {"AutoModel": "modeling.Model"}}))


HARM = [config, config, config, tokenizer, tokenizer, tensors, tensors, damage, damage, index, code]


def test_each_is_read_whole_or_refused_by_name_within_a_second(sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw, n_refused, slow = random.Random(0), 0, []
    for number in range(N_DIRECTORY):
        source, harm = draw.choice(sources), draw.choice(HARM)
        path = tmp_path / f"hostile-{number}"
        shutil.copytree(source, path)
        harm(path, draw)
        began = time.process_time()
        try:
            import_model(str(path), tmp_path / "out")
        except ValueError as error:
            n_refused += 1
            message = str(error)
            assert path.name in message, (source.name, harm.__name__, message)
            assert not (tmp_path / "out").exists()
        except Exception as error:
            pytest.fail(f"{source.name}, {harm.__name__}, {number}: {type(error).__name__} {str(error)[:300]}")
        else:    # a harmless change: then it is a model like any other
            model_directory.load(tmp_path / "out", kind=Model)
            shutil.rmtree(tmp_path / "out")
        if time.process_time() - began > SECONDS:
            slow.append((source.name, harm.__name__, time.process_time() - began))
        shutil.rmtree(path)
    assert [p.name for p in tmp_path.iterdir()] == [], "nothing ran, and nothing half-written stayed"
    assert n_refused > N_DIRECTORY / 2
    assert slow == []
