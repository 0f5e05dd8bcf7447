"""Files that other programs read, made from a model directory: GGUF for llama.cpp, and GPT-2."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.gguf_export import export_gguf

HEAD_TYPE = "Q8_0"
"""Our head has 8 bits in every format, so llama.cpp gets 8 bits there, too."""


def write_gpt2(directory: Path, target: Path) -> Path:
    """Write a model of GPT-2's shape (124M) with random weights and the tokenizer of `directory`.

    Its vocabulary is the tokenizer's, so that every program can open it.
    """
    _, tokenizer = model_directory.load(directory)
    model = GPT(preset("gpt2", vocab_size=tokenizer.vocab_size, context_length=2048))
    init_weights(model, generator(0, "weights"))
    model_directory.save(target, model, tokenizer)
    return target


def write_gguf(directory: Path, file: Path, kind: str) -> None:
    """Write the model as GGUF with its matrices in one format of llama.cpp, such as Q8_0."""
    import gguf

    whole = file.with_suffix(".f32")
    export_gguf(directory, whole)
    file_type = gguf.LlamaFileType[f"MOSTLY_{kind}"].value  # openvino-genai goes by it
    writer, tensors = copy_settings(whole, file, {"general.file_type": file_type})
    for tensor in tensors:
        data = tensor.data
        target = HEAD_TYPE if tensor.name == "token_embd.weight" else kind
        add_tensor(writer, tensor.name, data, target)
    finish(writer)


def copy_settings(
    source: Path, file: Path, changes: dict[str, Any] | None = None
) -> tuple[Any, list[Any]]:
    """Begin a GGUF file with the settings of another; return its writer and the other's tensors.

    `changes` gives settings, without the architecture's name, new values.
    """
    import gguf

    changes = changes or {}
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(file, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kinds = field.types
        value = changes.get(name.removeprefix(f"{architecture}."), field.contents())
        writer.add_key_value(name, value, kinds[0], kinds[-1] if len(kinds) > 1 else None)
    return writer, reader.tensors


def add_tensor(writer: Any, name: str, data: np.ndarray, kind: str) -> None:
    """Add a tensor; a matrix of whole groups of 32 numbers in the format `kind`."""
    if data.ndim == 2 and data.shape[1] % 32 == 0:
        add_packed(writer, name, *quantized(data, kind))
    else:
        writer.add_tensor(name, data)


def quantized(data: np.ndarray, kind: str) -> tuple[np.ndarray, Any]:
    """Quantize a matrix; return its bytes and llama.cpp's number of the format."""
    import gguf

    target = gguf.GGMLQuantizationType[kind]
    return gguf.quants.quantize(data, target), target


def add_packed(writer: Any, name: str, packed: np.ndarray, target: Any) -> None:
    """Add a quantized matrix."""
    writer.add_tensor(name, packed, raw_dtype=target)


def finish(writer: Any) -> None:
    """Write everything and close the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def real_prompts(directory: Path, batch: int, length: int) -> list[list[int]]:
    """Cut `batch` distinct texts of `length` tokens out of this project's documents."""
    _, tokenizer = model_directory.load(directory)
    root = Path(__file__).parents[1]
    pages = sorted(root.glob("docs/**/*.md"))
    ids = torch.tensor([i for page in pages for i in tokenizer.encode(page.read_text())])
    assert len(ids) >= batch * length, f"the documents have {len(ids)} tokens only"
    starts = range(0, batch * length, length)
    prompts: list[list[int]] = [ids[start : start + length].tolist() for start in starts]
    return prompts
