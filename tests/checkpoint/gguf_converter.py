"""Write GGUF files with the gguf package, as llama.cpp's converter does.

The names of fields and tensors are those of the package, so tests compare our tables with others.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from tests.parity.case import make_random
from tests.pipeline.imported_models import CLASSES, SHAPES

# Family -> architecture.
ARCHITECTURES = {
    "gpt2": "gpt2",
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "smollm3": "smollm3",
    "gemma3_text": "gemma3",
}
VOCAB_SIZE = 48


def random_reference(family: str, **settings: Any) -> Any:
    """Return a model of transformers with random weights."""
    import transformers

    model_class = getattr(transformers, CLASSES[family])
    config = SHAPES[family] | {"vocab_size": VOCAB_SIZE} | settings
    return make_random(model_class, model_class.config_class(**config))


def convert(model: Any, family: str, path: Path) -> Path:
    """Write a model of transformers, without a tokenizer."""
    writer = gguf.GGUFWriter(path, ARCHITECTURES[family])
    add_settings(writer, model.config, family)
    n_layer = model.config.num_hidden_layers
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[writer.arch.upper()], n_layer)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        stored_name = names.get_name(name, (".weight", ".bias"))
        assert stored_name is not None, name
        writer.add_tensor(stored_name, arranged(tensor, name, model.config, writer.arch).numpy())
    rope = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, head_dim_of(model.config)))
    finish(writer)
    return path


def add_settings(writer: gguf.GGUFWriter, config: Any, family: str) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if family == "gpt2":
        writer.add_feed_forward_length(4 * config.n_embd)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    rope = config.rope_parameters
    if family == "gemma3_text":
        writer.add_sliding_window(config.sliding_window)
        writer.add_sliding_window_pattern(config.layer_types.index("full_attention") + 1)
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(head_dim_of(config))
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if getattr(config, "head_dim", None):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if family == "mistral" and config.sliding_window:
        writer.add_sliding_window(config.sliding_window)


def head_dim_of(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def arranged(tensor: torch.Tensor, name: str, config: Any, architecture: str) -> torch.Tensor:
    """Transpose GPT-2's matrices, and reorder the rows of queries and keys for rotary pairs."""
    if architecture == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return tensor.T.contiguous()
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return tensor + 1
    if architecture in ("llama", "smollm3") and (".q_proj." in name or ".k_proj." in name):
        n_head = config.num_key_value_heads if ".k_proj." in name else config.num_attention_heads
        rows = tensor.reshape(n_head, 2, tensor.shape[0] // n_head // 2, *tensor.shape[1:])
        return rows.swapaxes(1, 2).reshape(tensor.shape)
    return tensor


def llama3_factors(rope: Mapping[str, Any], head_dim: int) -> np.ndarray:
    """Compute by how much each frequency is divided, number by number, from wavelengths."""
    longest = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    shortest = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        smooth = (
            rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"]
        ) / (rope["high_freq_factor"] - rope["low_freq_factor"])
        if wavelength < shortest:
            factors.append(1.0)
        elif wavelength > longest:
            factors.append(rope["factor"])
        else:
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write(path: Path, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Path:
    """Write any fields and tensors, also wrong ones. An integer gets the smallest type it fits."""
    writer = gguf.GGUFWriter(path, "none")
    writer.kv_data[0].clear()
    for name, value in fields.items():
        add_field(writer, name, value)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    finish(writer)
    return path


def add_field(writer: gguf.GGUFWriter, name: str, value: Any) -> None:
    match value:
        case bool():
            writer.add_bool(name, value)
        case int() if 0 <= value < 2**32:
            writer.add_uint32(name, value)
        case int():
            writer.add_int64(name, value)
        case float():
            writer.add_float32(name, value)
        case str():
            writer.add_string(name, value)
        case _:
            writer.add_array(name, value)


def rewrite(
    source: Path, target: Path, change: Callable[[str, np.ndarray], tuple[np.ndarray, str]]
) -> Path:
    """Copy a file of float32 tensors. `change` returns a tensor's stored numbers and their type."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "none")
    writer.kv_data[0].clear()
    for name, field in reader.fields.items():
        if not name.startswith("GGUF."):
            subtype = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], subtype)
    for tensor in reader.tensors:
        stored, name = change(tensor.name, np.array(tensor.data))
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(tensor.name, stored, raw_dtype=kind if stored.dtype == np.uint8 else None)
    finish(writer)
    return target
