"""Functions that damage a model directory, as an attacker or an accident would.

Each function in `CHANGES` changes the directory `path` at random with the generator `draw`.
"""

import copy
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

PICKLE = b"cos\nsystem\n(S'touch ran'\ntR."  # runs a shell command when it is loaded
VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    10**30,
    -(10**9),
    1e308,
    float("nan"),
    float("inf"),
    0.5,
    "",
    "x",
    "../../etc/passwd",
    [],
    {},
    [1],
    [[[]]],
    {"a": 1},
    "A" * 100_000,
    ["x"] * 1000,
    {"rope_type": "yarn"},
    "sliding_attention",
    10**6,
    2**31,
    65_537,
]
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "source.spm",
    "target.spm",
)


def change_json(path: Path, draw: random.Random, times: int) -> None:
    """Replace or delete `times` random values anywhere in a JSON file."""
    document = json.loads(path.read_text())
    for _ in range(times):
        inner: Any = document
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = draw.choice(keys[:40])
            if isinstance(inner[key], dict | list) and inner[key] and draw.random() < 0.6:
                inner = inner[key]
                continue
            if draw.random() < 0.2 and isinstance(inner, dict):
                del inner[key]
            else:
                inner[key] = copy.deepcopy(draw.choice(VALUES))
            break
    path.write_text(json.dumps(document))


def change_config(path: Path, draw: random.Random) -> None:
    change_json(path / "config.json", draw, draw.randint(1, 3))


def change_tokenizer(path: Path, draw: random.Random) -> None:
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
    files = [name for name in names if (path / name).is_file()]
    change_json(path / draw.choice(files), draw, draw.randint(1, 3))


def read_weights(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the header and the data of model.safetensors."""
    data = (path / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_weights(path: Path, header: str, data: bytes) -> None:
    raw = header.encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + data)


def change_tensor(path: Path, draw: random.Random) -> None:
    """Make the header describe tensors that differ from the data."""
    header, data = read_weights(path)
    name = draw.choice([n for n in header if n != "__metadata__"])
    change: Callable[[], Any] = draw.choice(
        [
            lambda: header.update({name + "x": header.pop(name)}),
            lambda: header.pop(name),
            lambda: header[name].update(shape=[2**31, 2**31]),
            lambda: header[name].update(dtype=draw.choice(["F16", "I64", "F8_E4M3", "Q4", None])),
            lambda: header[name]["shape"].reverse(),
            lambda: header[name].update(data_offsets=[0, 4]),
            lambda: header.update({"__metadata__": draw.choice(VALUES)}),
            lambda: header[name].update(shape=draw.choice(VALUES)),
        ]
    )
    change()
    write_weights(path, json.dumps(header), data)


def change_offsets(path: Path, draw: random.Random) -> None:
    """Make tensors overlap, leave a gap, or lie outside the data."""
    header, data = read_weights(path)
    one, other = draw.sample([n for n in header if n != "__metadata__"], 2)
    begin, end = header[one]["data_offsets"]
    header[one]["data_offsets"] = draw.choice(
        [
            header[other]["data_offsets"],
            [-4, end - begin - 4],
            [end, begin],
            [begin + 4, end + 4],
            [begin, 2**62],
            [2**63, 2**64],
            [begin, end - 1],
            [float(begin), end + 0.5],
            [begin],
            [None, None],
            "0:4",
            [True, False],
        ]
    )
    write_weights(path, json.dumps(header), data)


def change_header(path: Path, draw: random.Random) -> None:
    """Write a header with a wrong length, wrong JSON, or a repeated name."""
    header, data = read_weights(path)
    raw = json.dumps(header)
    name = next(n for n in header if n != "__metadata__")
    file = path / "model.safetensors"
    match draw.randrange(6):
        case 0:
            lengths = [0, 1, 2**31, 2**63, 2**64 - 1, len(raw) - 1, len(raw) + 1]
            file.write_bytes(struct.pack("<Q", draw.choice(lengths)) + raw.encode() + data)
        case 1:
            empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
            write_weights(path, json.dumps({f"{i}": empty for i in range(20_000)}), data)
        case 2:
            write_weights(path, '{"a":' * 50_000 + "1" + "}" * 50_000, data)
        case 3:
            write_weights(path, raw[:-1] + f', "{name}": {json.dumps(header[name])}}}', data)
        case 4:
            headers = ["[]", "null", "0", '"x"', "{}", "NaN", raw + "}", "\0" * 100]
            write_weights(path, draw.choice(headers), data)
        case 5:
            with file.open("r+b") as stream:  # append a terabyte of zeros
                stream.truncate(2**40)


def use_another_tokenizer(path: Path, draw: random.Random) -> None:
    """Replace the tokenizer by the one of another model in the folder `sources`."""
    others = [p for p in (path.parent / "sources").iterdir() if p.name != path.name]
    with_tokenizer = [p for p in others if any((p / name).is_file() for name in TOKENIZER_FILES)]
    other = draw.choice(with_tokenizer)
    for name in TOKENIZER_FILES:
        (path / name).unlink(missing_ok=True)
        if (other / name).is_file():
            shutil.copy(other / name, path / name)


def name_another_architecture(path: Path, draw: random.Random) -> None:
    table = json.loads((path / "config.json").read_text())
    kind = draw.choice(
        [
            "gemma3",
            "t5",
            "llama ",
            "../llama",
            "",
            None,
            7,
            ["llama"],
            "LlamaForCausalLM",
            "gpt2",
            "bert",
        ]
    )
    if "chatwright" in table:
        table["chatwright"] = {"architecture": kind}
    else:
        table["model_type"] = kind
    (path / "config.json").write_text(json.dumps(table))


def make_a_weight_infinite(path: Path, draw: random.Random) -> None:
    """Set one weight to NaN or to plus or minus infinity."""
    header, data = read_weights(path)
    numbers = bytearray(data)
    start = 4 * draw.randrange(len(numbers) // 4)
    value = draw.choice([float("nan"), float("inf"), -float("inf")])
    numbers[start : start + 4] = struct.pack("<f", value)
    write_weights(path, json.dumps(header), bytes(numbers))


def damage_a_file(path: Path, draw: random.Random) -> None:
    """Truncate or overwrite a file, or replace it by a pipe or a link."""
    suffixes = (".json", ".safetensors", ".txt", ".spm")
    file = path / draw.choice([p.name for p in path.iterdir() if p.suffix in suffixes])
    data = bytearray(file.read_bytes())
    match draw.randrange(6):
        case 0:
            data = data[: draw.randrange(len(data))]
        case 1:
            for _ in range(20):
                data[draw.randrange(min(len(data), 3000))] = draw.randrange(256)
        case 2:
            data = bytearray(b"[" * 200_000)
        case 3:
            data = bytearray(PICKLE)
        case 4:
            file.unlink()
            os.mkfifo(file)
            return
        case 5:
            file.unlink()
            file.symlink_to(draw.choice(["/dev/zero", "/etc/passwd", "nowhere", "."]))
            return
    file.write_bytes(data)


def write_a_wrong_index(path: Path, draw: random.Random) -> None:
    """Add an index whose weight_map is wrong, and rename model.safetensors."""
    (path / "model.safetensors").rename(path / "model-00001-of-00002.safetensors")
    weight_map = draw.choice(
        [
            {"a": "../model.safetensors"},
            {"a": "/etc/passwd"},
            {"a": "model-00001-of-00002.safetensors"},
            {"a": None},
            {},
            [],
            None,
            {"a": "x.bin"},
            {"a": "gone.safetensors"},
        ]
    )
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))


def replace_weights_by_code(path: Path, draw: random.Random) -> None:
    """Replace model.safetensors by pickle files and a Python module."""
    (path / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "modeling.py", "tokenizer.pkl"):
        (path / name).write_bytes(PICKLE)
    table = json.loads((path / "config.json").read_text())
    table |= {"auto_map": {"AutoModel": "modeling.Model"}}
    (path / "config.json").write_text(json.dumps(table))


CHANGES = [
    change_config,
    change_tokenizer,
    change_tensor,
    change_offsets,
    change_header,
    damage_a_file,
    write_a_wrong_index,
    replace_weights_by_code,
    use_another_tokenizer,
    name_another_architecture,
    make_a_weight_infinite,
]
