"""Every number type of GGUF files is read as by the gguf package, in parts and of any size."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from chatwright.checkpoint import gguf_tensors, gguf_types
from chatwright.checkpoint.gguf_header import read_gguf_header
from chatwright.checkpoint.gguf_tensors import GgufEntry
from chatwright.errors import InputError

NAMES = [kind.name for kind in gguf_types.TYPES.values()]
# Type -> largest error of a number in [-1, 1] that is stored in it. For a block type this is half
# of its step, which is 2 / (number of levels - 1), with some room for the rounding of its scales.
LARGEST_ERRORS = {
    "F32": 0.0,
    "F16": 2.0**-12,
    "BF16": 2.0**-9,
    "Q8_0": 0.005,
    "Q5_0": 0.07,
    "Q5_1": 0.035,
    "Q4_0": 0.14,
    "Q4_1": 0.07,
    "TQ1_0": 0.51,
    "TQ2_0": 0.51,
    "MXFP4": 0.26,
}


def write_tensor(path: Path, stored: np.ndarray, name: str) -> GgufEntry:
    """Write one tensor of this number type, and return where it is."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("a", stored, raw_dtype=gguf.GGMLQuantizationType[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufEntry(path, read_gguf_header(path).tensors["a"])


def random_blocks(name: str, n_block: int) -> np.ndarray:
    """Return random bytes of blocks, (1, bytes); some scales are infinite or NaN."""
    size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1]
    return np.random.default_rng(0).integers(0, 256, (1, n_block * size), dtype=np.uint8)


def test_the_table_of_types_agrees_with_the_gguf_package() -> None:
    library = {int(kind): kind.name for kind in gguf.GGMLQuantizationType}
    for number, kind in gguf_types.TYPES.items():
        sizes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(number)]
        assert (library[number], *sizes) == (kind.name, kind.n_element, kind.n_byte)
        assert gguf_tensors.PART % kind.n_element == 0
    # The package has no conversion for the types that are left out.
    others = {number: name for number, name in library.items() if number not in gguf_types.TYPES}
    assert others.items() <= gguf_types.OTHER_NAMES.items()
    for number in others:
        with pytest.raises(NotImplementedError):
            gguf.dequantize(np.zeros((1, 512), np.uint8), gguf.GGMLQuantizationType(number))


@pytest.mark.parametrize("name", NAMES)
def test_random_blocks_are_converted_as_by_the_gguf_package(name: str, tmp_path: Path) -> None:
    kind = gguf.GGMLQuantizationType[name]
    n_block = (gguf_tensors.PART + 2048) // gguf.GGML_QUANT_SIZES[kind][0]  # two parts
    blocks = random_blocks(name, n_block)
    with np.errstate(all="ignore"):
        expected = gguf.dequantize(blocks, kind)
    dtype = {"F32": np.float32, "F16": np.float16}.get(name, np.uint8)
    actual = write_tensor(tmp_path / "a.gguf", blocks.view(dtype), name).read()
    assert actual.dtype == torch.float32
    np.testing.assert_array_equal(actual.numpy(), expected)
    assert np.isfinite(expected).mean() > 0.5


@pytest.mark.parametrize("name", LARGEST_ERRORS)
def test_quantized_numbers_come_back_within_the_precision_of_the_type(
    name: str, tmp_path: Path
) -> None:
    numbers = np.random.default_rng(0).uniform(-1, 1, (6, 512)).astype(np.float32)
    kind = gguf.GGMLQuantizationType[name]
    entry = write_tensor(tmp_path / "a.gguf", gguf.quantize(numbers, kind), name)
    assert entry.shape == (6, 512)
    error = np.abs(entry.read().numpy() - numbers).max()
    assert error <= LARGEST_ERRORS[name]
    assert error > LARGEST_ERRORS[name] / 4 or name == "F32"


def test_a_file_that_becomes_shorter_while_it_is_read_is_reported(tmp_path: Path) -> None:
    numbers = np.zeros((4, 256), np.float32)
    entry = write_tensor(tmp_path / "a.gguf", numbers, "F32")
    with (tmp_path / "a.gguf").open("r+b") as stream:
        stream.truncate(entry.tensor.offset + 100)
    with pytest.raises(InputError) as caught:
        entry.read()
    assert caught.value.field == "a"
