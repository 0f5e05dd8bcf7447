"""Headers of GGUF files are read as by the gguf package, and every damaged one is rejected."""

import math
import os
import random
import re
import struct
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from chatwright.checkpoint.gguf_fields import HeaderCursor
from chatwright.checkpoint.gguf_header import is_gguf, read_gguf_header
from chatwright.errors import InputError
from tests.checkpoint.gguf_bytes import (
    ALIGNMENT,
    ARRAY,
    BOOL,
    DATA,
    ELEMENT,
    FIELDS,
    TENSORS,
    UINT32,
    Part,
    array,
    save,
    small_file,
    strings,
    tensor,
    uint32,
    uint64,
    with_data,
)

MAX_BYTES = 2 * 2**20  # memory for a file of two kilobytes
HUGE = (2**31, 2**63, 2**64 - 1)


def library_view(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return fields and tensors as the gguf package reads them."""
    reader = gguf.GGUFReader(path)
    fields = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.")
    }
    tensors = {
        tensor.name: (
            tuple(reversed(tensor.shape.tolist())),
            tensor.tensor_type.name,
            tensor.data_offset,
            tensor.n_bytes,
        )
        for tensor in reader.tensors
    }
    return fields, tensors


def our_view(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    header = read_gguf_header(path)
    tensors = {
        name: (tensor.shape, tensor.type_name, tensor.offset, tensor.n_byte)
        for name, tensor in header.tensors.items()
    }
    return dict(header.fields), tensors


def test_a_header_is_read_as_by_the_gguf_package(tmp_path: Path) -> None:
    file = save(small_file(), tmp_path / "a.gguf")
    assert our_view(file) == library_view(file)
    fields = read_gguf_header(file).fields
    assert fields["tokenizer.ggml.tokens"] == ["a", "", "bé", "x" * 300]
    assert fields["general.flags"] == [False, True]
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert "no such key" not in fields


@pytest.mark.parametrize("alignment", [8, 64])
def test_every_type_of_field_and_other_alignments_are_read(tmp_path: Path, alignment: int) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_custom_alignment(alignment)
    numbers: list[tuple[str, Any]] = [
        ("uint8", 255),
        ("int8", -128),
        ("uint16", 65_535),
        ("int16", -32_768),
        ("uint32", 2**32 - 1),
        ("int32", -(2**31)),
        ("uint64", 2**64 - 1),
        ("int64", -(2**63)),
        ("float32", 0.5),
        ("float64", math.pi),
        ("bool", True),
        ("string", "né\0\n"),
    ]
    for kind, value in numbers:
        getattr(writer, f"add_{kind}")(f"x.{kind}", value)
    for name, values in {"ints": [1, -2], "reals": [0.5, -1.5], "texts": ["", "é"]}.items():
        writer.add_array(f"x.{name}", values)
    for name, shape in {"a": (3,), "b": (2, 3), "c": (2, 1, 3), "d": (1, 2, 1, 3)}.items():
        writer.add_tensor(name, np.arange(math.prod(shape), dtype=np.float32).reshape(shape))
    writer.add_tensor("e", np.zeros(5, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert our_view(tmp_path / "a.gguf") == library_view(tmp_path / "a.gguf")
    assert (
        dict(numbers).items()
        <= {
            key.removeprefix("x."): value
            for key, value in read_gguf_header(tmp_path / "a.gguf").fields.items()
        }.items()
    )


def test_version_2_and_a_file_without_the_last_padding_are_read(tmp_path: Path) -> None:
    parts = with_data(small_file(), 1, uint32("version", "version", 2).data)
    expected = our_view(save(small_file(), tmp_path / "a.gguf"))
    assert our_view(save(parts, tmp_path / "b.gguf")) == expected
    padded = [*small_file(), Part("padding", "end", bytes(-DATA % ALIGNMENT))]
    assert our_view(save(padded, tmp_path / "c.gguf")) == expected


def test_a_file_of_a_vocabulary_alone_is_read(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_token_list([f"token {i}" for i in range(1000)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    header = read_gguf_header(tmp_path / "a.gguf")
    tokens = header.fields["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    assert (len(tokens), tokens[-1], header.tensors) == (1000, "token 999", {})


def test_a_gguf_file_is_recognized_by_its_suffix_or_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.GGUF").write_bytes(b"anything")
    (tmp_path / "blob").write_bytes(b"GGUF")
    (tmp_path / "model.bin").write_bytes(b"GGU")
    (tmp_path / "folder.gguf").mkdir()
    names = ("a.GGUF", "blob", "model.bin", "folder.gguf", "absent.gguf")
    assert [is_gguf(tmp_path / name) for name in names] == [True, True, False, False, False]


# ---- hostile files -------------------------------------------------------------------------------


def changed(part: Part, wide: str, *values: int) -> Iterator[bytes]:
    """Yield the number in the part plus and minus one, and other values, where it differs."""
    (number,) = struct.unpack(wide, part.data)
    limit = 2 ** (8 * len(part.data))
    for value in {number + 1, number - 1, *values} - {number}:
        yield struct.pack(wide, value % limit)


def changes(part: Part) -> Iterator[bytes]:
    """Yield bytes that make a valid file invalid when they replace the part's."""
    match part.kind:
        case "magic":
            yield from (b"GGML", b"FUGG", b"gguf", bytes(4))
        case "version":
            yield from (struct.pack("<I", n) for n in (0, 1, 4, 2**24, 3 * 2**24, 2**32 - 1))
        case "length" | "count":
            yield from changed(part, "<Q", *HUGE, 2_000_001, 2**40)
        case "text":
            yield b"\xff" * max(1, len(part.data))
        case "type":
            yield from (struct.pack("<I", n) for n in (13, 100, 2**32 - 1))
        case "element type":
            yield from (struct.pack("<I", n) for n in (9, 13, 100, 2**32 - 1))
        case "bool":
            yield from (b"\x02", b"\xff")
        case "alignment":
            yield from (struct.pack("<I", n) for n in (0, 3, 31, 33, 2**17, 2**32 - 1))
        case "n_dimension":
            yield from changed(part, "<I", 0, 5, 2**32 - 1)
        case "size":
            # One less may be valid: the tensor can end anywhere in its last 32 bytes.
            (size,) = struct.unpack("<Q", part.data)
            yield from (struct.pack("<Q", n) for n in (0, size + 1, 2**32, 2**60, *HUGE))
        case "tensor type":
            numbers = (4, 5, 9, 15, 24, 25, 26, 27, 28, 31, 36, 41, 42, 43, 99, 2**32 - 1)
            yield from (struct.pack("<I", n) for n in numbers)
        case "offset":
            yield from changed(part, "<Q", 16, 64, 2**32, 2**62, *HUGE)
        case "data":
            yield from (part.data[: DATA - n] for n in (1, 33, 144, DATA))
            yield from (part.data + bytes(n) for n in (17, 32, 1000))


def hostile_files() -> list[list[Part]]:
    """Return files of which one part is wrong."""
    parts = small_file()
    files = [
        with_data(parts, index, data)
        for index, part in enumerate(parts)
        if not (part.kind == "text" and part.label == ELEMENT and part.data)  # decoded when used
        for data in changes(part)
    ]
    nested = array("x", ARRAY, 1, uint32("type", "x", UINT32), uint64("count", "x", 0))
    return [
        *files,
        small_file(fields=[*FIELDS, FIELDS[2]]),
        small_file(fields=[*FIELDS, nested]),
        small_file(tensors=[*TENSORS, tensor("output_norm.weight", (8,), 0, DATA + 16)]),
        small_file(tensors=[TENSORS[1], TENSORS[0], *TENSORS[2:]]),
        small_file(tensors=[*TENSORS, tensor("x", (4, 2**30, 2**30, 2**30), 0, DATA + 16)]),
        small_file(tensors=[*TENSORS, tensor("x", (), 0, DATA + 16)]),
        small_file(tensors=[*TENSORS, tensor("x", (1, 1, 1, 1, 1), 0, DATA + 16)]),
        small_file(tensors=[]),
    ]


def rejection(path: Path) -> tuple[InputError, int]:
    """Return the error for a bad file, and the most bytes that were allocated at a time."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            read_gguf_header(path)
        return caught.value, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_with_one_wrong_part_is_rejected_without_much_memory(tmp_path: Path) -> None:
    files = hostile_files()
    assert len(files) >= 300
    read_gguf_header(save(small_file(), tmp_path / "valid.gguf"))  # each differs from a valid file
    for parts in files:
        error, n_byte = rejection(save(parts, tmp_path / "a.gguf"))
        assert error.field
        assert n_byte < MAX_BYTES
        assert len(str(error)) < 1500


def test_memory_that_a_hostile_length_would_take_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If lengths were not checked, the measurement of the test above would show it."""
    index, _ = next((i, p) for i, p in enumerate(small_file()) if p.kind == "length")
    parts = with_data(small_file(), index, struct.pack("<Q", 8 * MAX_BYTES))

    def careless_name(self: HeaderCursor, kind: str) -> str:
        data = bytearray(self.number("<Q", kind))
        raise self.invalid(kind, len(data), "it is not read here")

    monkeypatch.setattr(HeaderCursor, "name", careless_name)
    assert rejection(save(parts, tmp_path / "a.gguf"))[1] > MAX_BYTES


def test_a_file_that_ends_early_is_rejected_wherever_it_ends(tmp_path: Path) -> None:
    whole = save(small_file(), tmp_path / "whole.gguf").read_bytes()
    file = tmp_path / "a.gguf"
    for length in [*range(len(whole) - DATA), *range(len(whole) - DATA, len(whole), 15)]:
        file.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_gguf_header(file)


def test_a_file_with_random_bytes_is_read_or_rejected(tmp_path: Path) -> None:
    draw = random.Random(0)
    whole = save(small_file(), tmp_path / "whole.gguf").read_bytes()
    file, n_rejected = tmp_path / "a.gguf", 0
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data) - DATA)] = draw.randrange(256)
        file.write_bytes(data)
        try:
            dict(read_gguf_header(file).fields)
        except InputError:
            n_rejected += 1
    assert n_rejected > 150


@pytest.mark.parametrize(
    ("key", "elements"),
    [
        ("tokenizer.ggml.tokens", strings("tokenizer.ggml.tokens", ["a", "b"])),
        ("general.flags", array("general.flags", BOOL, 1, Part("bools", "x", b"\x02"))),
    ],
)
def test_a_wrong_element_of_an_array_is_rejected_when_it_is_used(
    key: str, elements: list[Part], tmp_path: Path
) -> None:
    wrong = [replace(p, data=b"\xff") if p.data == b"b" else p for p in elements]
    others = [parts for parts in FIELDS if parts[1].data != key.encode()]
    file = save(small_file(fields=[*others, wrong]), tmp_path / "a.gguf")
    fields = read_gguf_header(file).fields
    with pytest.raises(InputError) as caught:
        fields[key]
    assert caught.value.field == key


def test_an_unknown_number_type_is_named_with_the_known_ones(tmp_path: Path) -> None:
    parts = small_file()
    index = next(i for i, part in enumerate(parts) if part.kind == "tensor type")
    for number, name in ((42, "Q2_0"), (26, "I32"), (77, "77")):
        changed_type = with_data(parts, index, struct.pack("<I", number))
        error, _ = rejection(save(changed_type, tmp_path / "a.gguf"))
        assert error.value == name
        assert {"Q4_K", "IQ2_XXS", "BF16"} <= set(re.findall(r"\w+", error.problem))


@pytest.mark.parametrize("name", ["absent.gguf", "folder", "pipe"])
def test_what_is_no_regular_file_is_rejected(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError) as caught:
        read_gguf_header(tmp_path / name)
    assert caught.value.field == name


def test_a_large_vocabulary_is_not_decoded_before_it_is_used(tmp_path: Path) -> None:
    tokens = [f"token number {i}" for i in range(100_000)]
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_token_list(tokens)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    tracemalloc.start()
    header = read_gguf_header(tmp_path / "a.gguf")
    n_byte = tracemalloc.get_traced_memory()[0]
    assert n_byte < 1.1 * (tmp_path / "a.gguf").stat().st_size  # the header's bytes alone
    assert header.fields["tokenizer.ggml.tokens"] == tokens
    assert tracemalloc.get_traced_memory()[0] > 2 * n_byte
    tracemalloc.stop()
