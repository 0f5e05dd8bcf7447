"""Decoders in GGUF files compute the original's logits; other files are rejected by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chatwright.checkpoint import (
    gguf_architectures,
    gguf_file,
    gguf_model,
    gguf_obstacles,
    gguf_settings,
)
from chatwright.checkpoint.family import as_parameters
from chatwright.checkpoint.gguf_header import read_gguf_header
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model
from chatwright.model.positions import RotaryScaling
from tests.checkpoint.gguf_converter import VOCAB_SIZE, convert, random_reference, write

pytestmark = pytest.mark.uses_global_rng  # transformers draws initial weights

LLAMA3_ROTARY = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
    "rope_theta": 10_000.0,
}
# Llama 3.1's own values, on heads of its own size.
LLAMA31_ROTARY = LLAMA3_ROTARY | {
    "original_max_position_embeddings": 8192,
    "rope_theta": 500_000.0,
}
LINEAR_ROTARY = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
# Case -> family, settings in transformers.
REFERENCES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("llama", {"tie_word_embeddings": False}),
    "Llama, tied": ("llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
    "Llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "Llama, linear": ("llama", {"rope_parameters": LINEAR_ROTARY}),
    "Llama 3": ("llama", {"rope_parameters": LLAMA3_ROTARY}),
    "Llama 3.1": (
        "llama",
        {"rope_parameters": LLAMA31_ROTARY, "head_dim": 128, "num_hidden_layers": 1},
    ),
    "Mistral": ("mistral", {"head_dim": 12, "sliding_window": None}),
    "Mistral, window": ("mistral", {"sliding_window": 16}),
    "Qwen 2.5": ("qwen2", {"tie_word_embeddings": True}),
    "Qwen 3": ("qwen3", {"head_dim": 16}),
    "SmolLM 3": ("smollm3", {"num_hidden_layers": 5}),
    "Gemma 3": ("gemma3_text", {}),
    "Gemma 3, linear, untied": (
        "gemma3_text",
        {
            "num_hidden_layers": 7,
            "sliding_window_pattern": 6,
            "rope_parameters": {"full_attention": LINEAR_ROTARY},
            "tie_word_embeddings": False,
        },
    ),
    "Gemma 3, other scale": (
        "gemma3_text",
        {"num_hidden_layers": 62, "query_pre_attn_scalar": 32 // 4, "head_dim": 6},
    ),
    "GPT-2": ("gpt2", {}),
}


def read(path: Path) -> Model:
    return gguf_model.read(read_gguf_header(path))


@torch.no_grad()
@pytest.mark.parametrize("case", REFERENCES)
def test_a_converted_model_computes_the_logits_of_transformers(case: str, tmp_path: Path) -> None:
    family, settings = REFERENCES[case]
    reference = random_reference(family, **settings)
    model = read(convert(reference, family, tmp_path / "a.gguf"))
    for prompt in random_prompts(VOCAB_SIZE, 64, 8):
        torch.testing.assert_close(model(prompt), reference(prompt).logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_rows_in_the_wrong_order_are_noticed_by_the_comparison_of_logits(tmp_path: Path) -> None:
    """The rows of queries and keys are reordered in llama and smollm3, and in no other."""
    reference = random_reference("qwen2")
    file = convert(reference, "qwen2", tmp_path / "a.gguf")
    paired = gguf_architectures.by_name("llama", "")
    header = read_gguf_header(file)
    assert not gguf_architectures.by_name("qwen2", "").has_paired_rows
    prompt = random_prompts(VOCAB_SIZE, 64, 2)[1]
    model = gguf_model.read(header)
    weights = gguf_architectures.weights(paired, model.config, dict(model.named_parameters()))
    entry = next(weight for weight in weights if weight.paired_rows)
    with torch.no_grad():
        parameter = dict(model.named_parameters())[entry.parameters[0]]
        parameter.copy_(as_parameters(entry, parameter.clone()))
    assert float((model(prompt) - reference(prompt).logits).abs().max()) > 1e-3


# ---- there and back ------------------------------------------------------------------------------

TINY = {
    "vocab_size": VOCAB_SIZE,
    "context_length": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_kv_head": 2,
    "head_dim": 8,
    "d_model": 32,
    "d_ff": 48,
}
NO_NORMS = {"qk_norm": False}
LLAMA3 = RotaryScaling(kind="llama3", factor=32.0)
GEMMA3: dict[str, Any] = {
    "activation": "geglu",
    "sandwich_norm": True,
    "embedding_scale": True,
    "head_dim": 10,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama": NO_NORMS | {"tied": False, "norm_eps": 1e-5, "rotary_base": 500_000.0},
    "Llama, biases": NO_NORMS | {"bias": ("qkv", "output", "feed_forward")},
    "Llama, linear": NO_NORMS | {"rotary_scaling": RotaryScaling(kind="linear", factor=4.0)},
    "Llama 3": NO_NORMS | {"rotary_scaling": LLAMA3, "head_dim": 64, "rotary_base": 500_000.0},
    "Qwen 2": NO_NORMS | {"bias": ("qkv",)},
    "Qwen 3": {"qk_norm": True, "head_dim": 10},
    "SmolLM 3": NO_NORMS | {"n_layer": 9, "nope_layers": (3, 7)},
    "Gemma 3": GEMMA3
    | {"n_layer": 7, "window": 5, "unwindowed_layers": (2, 5), "window_rotary_base": 1000.0},
    "Gemma 3, long window": GEMMA3
    | {"window": 4096, "unwindowed_layers": (1,), "window_rotary_base": 1000.0},
    "Gemma 3, no window": GEMMA3 | {"rotary_scaling": RotaryScaling(kind="linear", factor=8.0)},
    "GPT-2": NO_NORMS
    | {
        "n_kv_head": 4,
        "norm": "layer",
        "activation": "gelu",
        "position": "learned",
        "bias": True,
    },
}


def random_model(config: GPTConfig) -> GPT:
    model = GPT(config)
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator(1, "weights")))
    return model


def contents(model: GPT) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the fields and the tensors that the export writes."""
    architecture = gguf_obstacles.architecture_of(model.config)
    fields = {gguf_architectures.ARCHITECTURE: architecture.name}
    return fields | gguf_settings.write(model.config, architecture), gguf_model.tensors(
        model, architecture
    )


def test_a_file_of_gemma3_that_names_no_period_has_a_window_in_five_of_six_layers(
    tmp_path: Path,
) -> None:
    windows = {"window": 5, "unwindowed_layers": (5, 11), "window_rotary_base": 10_000.0}
    fields, tensors = contents(random_model(GPTConfig(**TINY | GEMMA3 | windows | {"n_layer": 13})))
    for key in ("attention.sliding_window_pattern", "rope.freq_base_swa"):
        del fields[f"gemma3.{key}"]
    gguf_file.write(tmp_path / "a.gguf", fields, tensors)
    config = read(tmp_path / "a.gguf").config
    assert isinstance(config, GPTConfig)
    assert windows == {name: getattr(config, name) for name in windows}


@pytest.mark.parametrize("case", CONFIGS)
def test_an_exported_model_is_read_with_equal_settings_and_weights(
    case: str, tmp_path: Path
) -> None:
    model = random_model(GPTConfig(**TINY | CONFIGS[case]))
    gguf_file.write(tmp_path / "a.gguf", *contents(model))
    loaded = read(tmp_path / "a.gguf")
    assert loaded.config == model.config
    assert not loaded.training
    parameters = dict(loaded.named_parameters())
    assert parameters.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameters[name], parameter), name


def test_a_shorter_context_can_be_asked_for(tmp_path: Path) -> None:
    gguf_file.write(tmp_path / "a.gguf", *contents(random_model(GPTConfig(**TINY))))
    header = read_gguf_header(tmp_path / "a.gguf")
    assert gguf_model.read(header, 16).config.context_length == 16
    with pytest.raises(InputError) as caught:
        gguf_model.read(header, 65)
    assert caught.value.field == "context_length"


# ---- other files ---------------------------------------------------------------------------------


def llama_file() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the fields and the tensors of a small Llama."""
    config = GPTConfig(**TINY | NO_NORMS | {"n_layer": 1, "tied": False})
    fields, tensors = contents(random_model(config))
    return fields, {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def rejection(path: Path, fields: dict[str, Any], tensors: dict[str, Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        read(write(path, fields, tensors))
    return caught.value


REQUIRED = (
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.layer_norm_rms_epsilon",
)
INTEGERS = (
    "vocab_size",
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
)
NOT_INTEGERS: list[Any] = [0, -1, 2**31, 2**40, 1.5, float("nan"), "8", True, [8, 8]]
REALS = ("attention.layer_norm_rms_epsilon", "rope.freq_base")
NOT_REALS: list[Any] = [-1.0, float("nan"), float("inf"), "1", True, [1.0]]
# Key -> a value that changes the computation, or that nobody knows.
UNSUPPORTED: dict[str, Any] = {
    "some_new_scale": 1.0,
    "attention.causal": False,
    "attention.clamp_kqv": 8.0,
    "attention.max_alibi_bias": 8.0,
    "attention.scale": 0.5,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "embedding_scale": 12.0,
    "logit_scale": 0.25,
    "residual_scale": 0.5,
    "expert_count": 8,
    "expert_used_count": 2,
    "pooling_type": 1,
    "nextn_predict_layers": 1,
    "rope.scaling.type": "yarn",
    "rope.scaling.attn_factor": 1.2,
    "rope.scaling.yarn_log_multiplier": 0.1,
    "rope.scaling.yarn_beta_fast": 32.0,
    "rope.dimension_count": 4,
    "rope.dimension_sections": [1, 1],
    "attention.value_length": 4,
    "attention.sliding_window_pattern": [True],
}


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_field_is_named(key: str, tmp_path: Path) -> None:
    fields, tensors = llama_file()
    del fields[f"llama.{key}"]
    assert rejection(tmp_path / "a.gguf", fields, tensors).field == f"llama.{key}"


@pytest.mark.parametrize("key", [*INTEGERS, *REALS])
def test_a_field_with_a_wrong_value_is_named(key: str, tmp_path: Path) -> None:
    fields, tensors = llama_file()
    for value in NOT_REALS if key in REALS else NOT_INTEGERS:
        error = rejection(tmp_path / "a.gguf", fields | {f"llama.{key}": value}, tensors)
        assert error.field == f"llama.{key}", value


@pytest.mark.parametrize("key", INTEGERS)
def test_a_field_that_disagrees_with_the_tensors_is_rejected(key: str, tmp_path: Path) -> None:
    fields, tensors = llama_file()
    value = fields[f"llama.{key}"]
    if key == "context_length":  # the tensors do not depend on it
        read(write(tmp_path / "a.gguf", fields | {f"llama.{key}": 2 * value}, tensors))
        return
    for wrong in (value + 1, 2 * value):
        assert rejection(tmp_path / "a.gguf", fields | {f"llama.{key}": wrong}, tensors).field


@pytest.mark.parametrize("key", UNSUPPORTED)
def test_a_field_that_would_change_the_computation_is_named(key: str, tmp_path: Path) -> None:
    fields, tensors = llama_file()
    fields[f"llama.{key}"] = UNSUPPORTED[key]
    assert rejection(tmp_path / "a.gguf", fields, tensors).field == f"llama.{key}"


@torch.no_grad()
def test_fields_without_an_effect_are_accepted(tmp_path: Path) -> None:
    fields, tensors = llama_file()
    expected = read(write(tmp_path / "a.gguf", fields, tensors))
    neutral = {key: values[0] for key, values in gguf_settings.WITHOUT_EFFECT.items()}
    neutral |= {
        "attention.sliding_window": 4096,
        "rope.scaling.type": "none",
        "rope.scaling.factor": 2.0,
        "tensor_data_layout": "Meta AI original pth",
    }
    more = {f"llama.{key}": value for key, value in neutral.items()}
    more |= {"general.name": "x", "somebody.else": [1, 2], "split.count": 1}
    model = read(write(tmp_path / "b.gguf", fields | more, tensors))
    assert model.config == expected.config
    prompt = random_prompts(VOCAB_SIZE, 64, 2)[1]
    assert torch.equal(model(prompt), expected(prompt))


def test_a_window_is_read_for_llama_and_named_for_other_architectures(tmp_path: Path) -> None:
    fields, tensors = llama_file()
    with_window = fields | {"llama.attention.sliding_window": 16}
    assert read(write(tmp_path / "a.gguf", with_window, tensors)).config.window == 16
    qwen, qwen_tensors = contents(random_model(GPTConfig(**TINY)))
    qwen |= {"qwen3.attention.sliding_window": 16}
    arrays = {name: tensor.detach().numpy() for name, tensor in qwen_tensors.items()}
    error = rejection(tmp_path / "b.gguf", qwen, arrays)
    assert error.field == "qwen3.attention.sliding_window"


def test_the_factor_of_old_files_is_read(tmp_path: Path) -> None:
    fields, tensors = llama_file()
    model = read(write(tmp_path / "a.gguf", fields | {"llama.rope.scale_linear": 4.0}, tensors))
    assert isinstance(model.config, GPTConfig)
    assert model.config.rotary_scaling == RotaryScaling(kind="linear", factor=4.0)


@pytest.mark.parametrize("architecture", [None, "mamba", "llama ", "clip", 7, ["llama"], "Llama"])
def test_an_unknown_architecture_is_named_with_the_known_ones(
    architecture: Any, tmp_path: Path
) -> None:
    fields, tensors = llama_file()
    fields["general.architecture"] = architecture
    if architecture is None:
        del fields["general.architecture"]
    error = rejection(tmp_path / "a.gguf", fields, tensors)
    assert (error.field, error.value) == ("general.architecture", architecture)
    assert all(known.name in error.problem for known in gguf_architectures.ARCHITECTURES)


@pytest.mark.parametrize(
    ("key", "value"), [("split.count", 3), ("general.type", "adapter"), ("general.type", "mmproj")]
)
def test_a_part_of_a_model_is_rejected(key: str, value: Any, tmp_path: Path) -> None:
    fields, tensors = llama_file()
    error = rejection(tmp_path / "a.gguf", fields | {key: value}, tensors)
    assert (error.field, error.value) == (key, value)
    assert error.remedy


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    fields, tensors = llama_file()
    for name in tensors.keys() - {"output.weight"}:  # without it, the output uses the embedding
        others = {other: tensor for other, tensor in tensors.items() if other != name}
        error = rejection(tmp_path / "a.gguf", fields, others)
        assert error.field in (name, "llama.vocab_size")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blk.0.ffn_gate_inp.weight", (2, 32)),  # of a mixture of experts
        ("blk.1.attn_q.weight", (32, 32)),
        ("blk.0.attn_q.bias", (32,)),  # without those of keys and values
        ("output_norm.bias", (32,)),
        ("x", (1,)),
    ],
)
def test_a_tensor_that_the_model_does_not_have_is_rejected(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    fields, tensors = llama_file()
    tensors[name] = np.ones(shape, np.float32)
    assert rejection(tmp_path / "a.gguf", fields, tensors).field


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    fields, tensors = llama_file()
    for name, tensor in tensors.items():
        for wrong in (tensor[:-1], tensor.reshape(1, *tensor.shape), tensor.reshape(-1)[None]):
            if wrong.shape != tensor.shape:
                error = rejection(tmp_path / "a.gguf", fields, tensors | {name: wrong})
                assert error.field, name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_named(value: float, tmp_path: Path) -> None:
    fields, tensors = llama_file()
    for name in ("blk.0.attn_q.weight", "output_norm.weight", "output.weight"):
        damaged = tensors[name].copy()
        damaged.flat[3] = value
        error = rejection(tmp_path / "a.gguf", fields, tensors | {name: damaged})
        assert error.field == name


@pytest.mark.parametrize(
    "factors",
    [[1.0, 1.0, 2.0], [1.0, 5.0, 2.0, 3.0], [1.0, float("nan"), 8.0, 8.0], [0.5] * 4, [0.0] * 4],
)
def test_factors_of_another_rotary_scaling_are_rejected(
    factors: list[float], tmp_path: Path
) -> None:
    fields, tensors = llama_file()
    tensors["rope_freqs.weight"] = np.array(factors, np.float32)
    assert rejection(tmp_path / "a.gguf", fields, tensors).field == "rope_freqs.weight"


def test_factors_of_one_change_nothing(tmp_path: Path) -> None:
    fields, tensors = llama_file()
    expected = read(write(tmp_path / "a.gguf", fields, tensors)).config
    tensors["rope_freqs.weight"] = np.ones(4, np.float32)
    assert read(write(tmp_path / "b.gguf", fields, tensors)).config == expected


def test_a_hostile_size_is_rejected_before_memory_is_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a model was built")

    fields, tensors = llama_file()
    monkeypatch.setattr("chatwright.checkpoint.build_model.build", refuse)
    with pytest.raises(AssertionError, match="was built"):  # a valid file gets as far as that
        read(write(tmp_path / "a.gguf", fields, tensors))
    sizes = {"embedding_length": 2**24, "feed_forward_length": 2**24, "attention.head_count": 1}
    for key, value in sizes.items():
        rejection(tmp_path / "a.gguf", fields | {f"llama.{key}": value}, tensors)
