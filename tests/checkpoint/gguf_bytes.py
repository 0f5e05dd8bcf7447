"""Build a small GGUF file from its parts, so that a test can make any part of it wrong."""

import struct
from dataclasses import dataclass, replace
from pathlib import Path

UINT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 4, 6, 7, 8, 9, 10
ALIGNMENT = 32
ELEMENT = "element"  # label of the texts in an array


@dataclass(frozen=True)
class Part:
    """Some bytes of the file, and what they mean."""

    kind: str  # "length", "text", "type", "number", "count", "size", "offset", ...
    label: str
    data: bytes


def uint32(kind: str, label: str, value: int) -> Part:
    return Part(kind, label, struct.pack("<I", value))


def uint64(kind: str, label: str, value: int) -> Part:
    return Part(kind, label, struct.pack("<Q", value))


def text(label: str, value: str) -> list[Part]:
    data = value.encode()
    return [uint64("length", label, len(data)), Part("text", label, data)]


def field(key: str, kind: int, *value: Part) -> list[Part]:
    return [*text(key, key), uint32("type", key, kind), *value]


def array(key: str, kind: int, count: int, *elements: Part) -> list[Part]:
    kinds = [uint32("element type", key, kind), uint64("count", key, count)]
    return field(key, ARRAY, *kinds, *elements)


def strings(key: str, values: list[str]) -> list[Part]:
    elements = [part for value in values for part in text(ELEMENT, value)]
    return array(key, STRING, len(values), *elements)


def tensor(name: str, sizes: tuple[int, ...], number: int, offset: int) -> list[Part]:
    """Describe a tensor. The file lists the dimension of neighboring elements first."""
    return [
        *text(name, name),
        uint32("n_dimension", name, len(sizes)),
        *(uint64("size", name, size) for size in sizes),
        uint32("tensor type", name, number),
        uint64("offset", name, offset),
    ]


FIELDS = [
    field("general.architecture", STRING, *text("general.architecture", "llama")),
    field("general.alignment", UINT32, uint32("alignment", "general.alignment", ALIGNMENT)),
    field("llama.context_length", UINT32, uint32("number", "llama.context_length", 64)),
    field("llama.epsilon", FLOAT32, Part("number", "llama.epsilon", struct.pack("<f", 1e-5))),
    field("tokenizer.ggml.add_bos_token", BOOL, Part("bool", "add_bos_token", b"\x01")),
    strings("tokenizer.ggml.tokens", ["a", "", "bé", "x" * 300]),
    array(
        "tokenizer.ggml.scores",
        FLOAT32,
        3,
        Part("numbers", "scores", struct.pack("<3f", 0.0, -1.0, -2.0)),
    ),
    array("general.flags", BOOL, 2, Part("bools", "flags", b"\x00\x01")),
    field("general.big", UINT64, uint64("number", "general.big", 2**60)),
]
TENSORS = [
    tensor("token_embd.weight", (8, 16), 0, 0),  # F32: 512 bytes
    tensor("output_norm.weight", (8,), 0, 512),  # F32: 32 bytes
    tensor("blk.0.ffn_up.weight", (32, 3), 2, 544),  # Q4_0: 54 bytes
    tensor("blk.0.ffn_down.weight", (256, 1), 12, 608),  # Q4_K: 144 bytes
]
DATA = 752


def small_file(
    fields: list[list[Part]] = FIELDS, tensors: list[list[Part]] = TENSORS
) -> list[Part]:
    """Return the parts of a file, which is valid unless other fields or tensors are given."""
    header = [
        Part("magic", "magic", b"GGUF"),
        uint32("version", "version", 3),
        uint64("count", "tensor_count", len(tensors)),
        uint64("count", "field_count", len(fields)),
        *(part for described in (*fields, *tensors) for part in described),
    ]
    padding = -sum(len(part.data) for part in header) % ALIGNMENT
    data = bytes(range(256)) * 3
    return [*header, Part("padding", "padding", bytes(padding)), Part("data", "data", data[:DATA])]


def with_data(parts: list[Part], index: int, data: bytes) -> list[Part]:
    """Return the parts with other bytes in one of them."""
    return [*parts[:index], replace(parts[index], data=data), *parts[index + 1 :]]


def save(parts: list[Part], path: Path) -> Path:
    path.write_bytes(b"".join(part.data for part in parts))
    return path
