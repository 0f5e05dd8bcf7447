"""One directory = one model: config.json, model.safetensors, tokenizer files, generation_config.json, in the Hugging Face layout.

A model of the default shape is written as Qwen3, so that other tools open it; every other shape carries our own settings and says so.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright import config as config_files
from chatwright.checkpoint import directory, safetensors_file
from chatwright.devices import available_memory
from chatwright.model.gpt import GPT, GPTConfig, count_parameters
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer

# our module path -> Qwen3's name, in the order the replacement is tried
RENAMES = [
    ("blocks.", "model.layers."), (".attention.query_norm.", ".self_attn.q_norm."), (".attention.key_norm.", ".self_attn.k_norm."),
    (".attention.query.", ".self_attn.q_proj."), (".attention.key.", ".self_attn.k_proj."), (".attention.value.", ".self_attn.v_proj."),
    (".attention.output.", ".self_attn.o_proj."), (".attention_norm.", ".input_layernorm."),
    (".feed_forward_norm.", ".post_attention_layernorm."), (".feed_forward.", ".mlp."), (".gate.", ".gate_proj."), (".up.", ".up_proj."),
    (".down.", ".down_proj."), ("position_embedding.", "model.embed_positions."), ("embedding.", "model.embed_tokens."),
    ("head.", "lm_head."),
]


def save(path: Path, model: GPT, tokenizer: Tokenizer, notes: Mapping[str, Any] | None = None) -> None:
    """Write the directory atomically. `notes` (how it was made) go into training.json beside the weights."""
    with directory.writing(path) as building:
        write_into(building, model, tokenizer)
        if notes is not None:
            (building / "training.json").write_text(json.dumps(notes, indent=1))


def write_into(building: Path, model: GPT, tokenizer: Tokenizer) -> None:
    safetensors_file.save(weights_by_public_name(model), building / "model.safetensors")
    control = tokenizer.control
    ids = {"bos_token_id": control.bos, "eos_token_id": control.end, "pad_token_id": control.pad}
    (building / "config.json").write_text(json.dumps(public_config(model.config) | ids, indent=1))
    stops = [control.end, control.end_of_command]
    (building / "generation_config.json").write_text(json.dumps(ids | {"eos_token_id": stops}, indent=1))
    tokenizer.save(building)


def find(path: Path) -> Path:
    """The model a person means by `path`: the directory itself, or the finished model or newest checkpoint of a training run."""
    directory.recover(path)
    if (path / "config.json").is_file():
        return path
    if (path / "model" / "config.json").is_file():
        return path / "model"
    if newest := directory.newest_valid(path / "checkpoints", "step-*"):
        return newest
    raise ValueError(f"{path}: holds no model (config.json and model.safetensors). Give the folder a training run wrote, "
                     "or make one with: chatwright up")


def load(path: Path, device: torch.device | str = "cpu") -> tuple[GPT, Tokenizer]:
    """Model (eval mode, float32) and tokenizer. Raises ValueError by name for anything that does not fit together."""
    path = find(path)
    config = read_config(path)
    tokenizer = load_tokenizer(path)
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(f"{path}: the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocab_size}. "
                         "They are not from the same run; copy both from one directory.")
    model = build(config, device)
    load_weights(model, safetensors_file.load(path / "model.safetensors"), path)
    return model.eval(), tokenizer


def build(config: GPTConfig, device: torch.device | str = "cpu") -> GPT:
    """A model with unset weights; refused before anything is allocated when it cannot fit in memory."""
    with torch.device("meta"):
        n_parameter = count_parameters(GPT(config))
    needed, free = 4 * n_parameter, available_memory()
    if torch.device(device).type == "cpu" and needed > free:
        raise ValueError(f"a model of {n_parameter:,} parameters needs {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free. "
                         "Choose a smaller size (for example size = \"small\") or a machine with more memory.")
    return GPT(config).to(device)


def read_config(path: Path) -> GPTConfig:
    file = path / "config.json"
    try:
        table = json.loads(file.read_text())
        ours = table["chatwright"]
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: cannot be read ({error}). Give a directory that a training run wrote.") from None
    except (KeyError, TypeError):
        raise ValueError(f"{file}: not written by Chatwright (no \"chatwright\" settings in it). "
                         "Models of other tools have to be imported first.") from None
    return config_files.build(GPTConfig, ours, str(file))


def public_config(config: GPTConfig) -> dict[str, Any]:
    """config.json: Qwen3's fields where the shape is Qwen3's, and always our own settings under "chatwright"."""
    ours = {"chatwright": dataclasses.asdict(config)}
    if not is_qwen3(config):
        return {"architectures": ["ChatwrightGPT"], "model_type": "chatwright", "vocab_size": config.vocab_size} | ours
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": config.vocab_size, "hidden_size": config.width,
        "intermediate_size": config.hidden, "num_hidden_layers": config.n_layer, "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head, "head_dim": config.head_dim, "hidden_act": "silu",
        "max_position_embeddings": config.context_length, "rms_norm_eps": config.norm_eps, "rope_theta": config.rotary_base,
        "tie_word_embeddings": config.tied, "attention_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02,
        "use_sliding_window": False, "torch_dtype": "float32"} | ours


def is_qwen3(config: GPTConfig) -> bool:
    wanted = {"activation": "swiglu", "norm": "rms", "norm_first": True, "qk_norm": True, "bias": False, "position": "rotary"}
    plain = {f.name: f.default for f in dataclasses.fields(GPTConfig) if f.name in EXPERIMENTAL}
    return all(getattr(config, name) == value for name, value in (wanted | plain).items())


# Settings that no other tool knows: any of them away from its default makes the shape our own.
EXPERIMENTAL = ("ngrams", "n_previous", "embedding_norm")


def public_name(name: str) -> str:
    for ours, theirs in RENAMES:
        if name.startswith(ours) or (ours.startswith(".") and ours in name):
            name = name.replace(ours, theirs, 1)
    return "model." + name if name.startswith("norm.") else name


def weights_by_public_name(model: GPT) -> dict[str, Tensor]:
    """Every weight once: a tied head is the embedding and is not written again."""
    return {public_name(name): p for name, p in model.named_parameters()}


def load_weights(model: GPT, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Copy `tensors` into the model; missing, extra and misshapen ones are refused by name, before anything is copied."""
    expected = weights_by_public_name(model)
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or extra:
        raise ValueError(f"{source}: model.safetensors does not match config.json: missing {missing[:3] or 'none'}, unexpected "
                         f"{extra[:3] or 'none'} ({len(missing)} and {len(extra)} in all). The two files are from different models.")
    for name, parameter in expected.items():
        if tensors[name].shape != parameter.shape:
            raise ValueError(f"{source}: {name} has shape {tuple(tensors[name].shape)}, config.json asks for {tuple(parameter.shape)}. "
                             "The two files are from different models.")
    with torch.no_grad():
        for name, parameter in expected.items():
            parameter.copy_(tensors[name])
