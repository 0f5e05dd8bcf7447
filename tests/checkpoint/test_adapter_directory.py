"""Adapters are loaded exactly and give equal logits in PEFT; a wrong base is rejected."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import adapter_file, model_directory, safetensors_file
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.lora import LoRAConfig
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. " * 20
TOKENS = torch.arange(60).view(3, 20)
# The shape of GPT-2, which stores query, key and value as one matrix.
GPT2 = {
    "activation": "gelu",
    "norm": "layer",
    "norm_eps": 1e-5,
    "position": "learned",
    "bias": True,
    "qk_norm": False,
    "n_kv_head": 2,
}


def peft_test(test: Any) -> Any:
    """Mark a test that uses PEFT: ignore PEFT's warnings and allow it to use the global RNG."""
    for message in (
        "`is_gradient_checkpointing`:FutureWarning",
        "fan_in_fan_out is set to:UserWarning",
        "Setting `save_embedding_layers`:UserWarning",
        "Model .* `tie_word_embeddings=True`:UserWarning",
        "You passed `target_modules`:UserWarning",
    ):
        test = pytest.mark.filterwarnings(f"ignore:{message}")(test)
    return pytest.mark.uses_global_rng(test)


def save_base(path: Path, seed: int = 0, **changes: object) -> GPT:
    tokenizer = ByteBPE.train([TEXT], 300)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, **changes))
    init_weights(model, generator(seed, "weights"))
    model_directory.save(path, model, tokenizer)
    return model


def save_adapter(folder: Path, config: LoRAConfig = LoRAConfig(rank=4), **changes: object) -> GPT:
    """Save a base and an adapter with random factors in `folder`, and return the model."""
    if not (folder / "base").exists():
        save_base(folder / "base", **changes)
    model, tokenizer = model_directory.load(folder / "base")
    lora.attach(model, config, generator(0, "lora"))
    for linear in lora.lora_layers(model).values():
        linear.lora_b.data.normal_(0, 0.1, generator=generator(0, "trained"))
    base = model_directory.base_of(model, folder / "base")
    model_directory.save(folder / "adapter", model, tokenizer, base=base)
    return model


def open_in_peft(folder: Path) -> torch.nn.Module:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    with torch.no_grad():
        before = base(TOKENS).logits
        adapted = PeftModel.from_pretrained(base, folder / "adapter").eval()
        difference = (adapted(TOKENS).logits - before).abs().max()
    assert difference > 0.05, "PEFT did not apply the adapter"
    return adapted


def make_in_peft(
    folder: Path, save_embedding_layers: bool | str = "auto", **settings: object
) -> torch.nn.Module:
    """Save an adapter of the model at folder/base with PEFT, and return PEFT's model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    config = LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", **settings)
    adapted = get_peft_model(base, config).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=generator(0, name))
    adapted.save_pretrained(folder / "adapter", save_embedding_layers=save_embedding_layers)
    return adapted


@torch.no_grad()
def assert_equal_logits(model: torch.nn.Module, reference: torch.nn.Module) -> None:
    torch.testing.assert_close(model(TOKENS), reference(TOKENS).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        LoRAConfig(),
        LoRAConfig(rank=2, alpha=3.0, dropout=0.1, targets=("query", "value")),
        LoRAConfig(targets=("blocks.1.feed_forward.up",)),
    ],
    ids=str,
)
def test_a_loaded_adapter_gives_the_logits_of_the_saved_one(
    tmp_path: Path, config: LoRAConfig
) -> None:
    model = save_adapter(tmp_path, config)
    loaded, tokenizer = model_directory.load(tmp_path / "adapter")
    assert lora.lora_layers(loaded).keys() == lora.lora_layers(model).keys()
    assert torch.equal(loaded(TOKENS), model(TOKENS))
    assert tokenizer.vocab_size == model.config.vocab_size
    files = {file.name for file in (tmp_path / "adapter").iterdir()}
    assert files >= {"adapter_config.json", "adapter_model.safetensors", "base.json"}
    assert "model.safetensors" not in files


@peft_test
@pytest.mark.parametrize(
    "targets",
    [(), ("query", "value"), ("blocks.1.feed_forward.up", "blocks.0.attention.output")],
    ids=str,
)
def test_an_adapter_that_we_saved_gives_equal_logits_in_peft(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    model = save_adapter(tmp_path, LoRAConfig(rank=3, alpha=5.0, targets=targets))
    assert_equal_logits(model, open_in_peft(tmp_path))


@peft_test
@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {"target_modules": ["q_proj", "down_proj"]}),
        (GPT2, {"target_modules": ["c_attn", "c_fc"], "alpha_pattern": {"c_fc": 3}}),
        ({"tied": False}, {"target_modules": ["q_proj", "v_proj", "lm_head"]}),
        ({"tied": True}, {"target_modules": ["q_proj", "v_proj", "lm_head"]}),
        ({}, {"target_modules": ["q_proj"], "save_embedding_layers": True}),
        ({"tied": False}, {"target_modules": ["q_proj"], "save_embedding_layers": True}),
        ({**GPT2, "tied": False}, {"target_modules": ["c_proj", "lm_head"]}),
    ],
    ids=str,
)
def test_an_adapter_that_peft_saved_is_loaded_with_equal_logits(
    tmp_path: Path, changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    """PEFT stores copies of the embedding and the head if one of them has an adapter."""
    save_base(tmp_path / "base", **changes)
    reference = make_in_peft(tmp_path, **settings)
    model, _ = model_directory.load(tmp_path / "adapter")
    assert_equal_logits(model, reference)


@peft_test
@pytest.mark.parametrize("change", ["values", "rows"])
def test_a_stored_head_that_differs_from_the_base_is_rejected(tmp_path: Path, change: str) -> None:
    save_base(tmp_path / "base", tied=False)
    make_in_peft(tmp_path, target_modules=["q_proj", "lm_head"])
    file = tmp_path / "adapter" / adapter_file.WEIGHTS
    tensors = safetensors_file.load(file)
    key = next(key for key in tensors if "lm_head.base_layer" in key)
    tensors[key] = tensors[key] + 1 if change == "values" else tensors[key][:-1]
    safetensors_file.save(tensors, file)
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "adapter")
    assert caught.value.field == "lm_head.weight"


@peft_test
def test_an_adapter_of_the_embedding_is_rejected_with_its_name(tmp_path: Path) -> None:
    save_base(tmp_path / "base", tied=False)
    make_in_peft(tmp_path, target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "adapter")
    assert "embed_tokens.lora_embedding" in caught.value.field
    assert "Merge" in caught.value.remedy


def test_a_folder_with_base_and_adapter_can_be_moved(tmp_path: Path) -> None:
    model = save_adapter(tmp_path / "runs")
    (tmp_path / "runs").rename(tmp_path / "moved")
    loaded, _ = model_directory.load(tmp_path / "moved" / "adapter")
    assert torch.equal(loaded(TOKENS), model(TOKENS))


def test_settings_of_the_base_that_training_changed_are_loaded_with_the_adapter(
    tmp_path: Path,
) -> None:
    save_base(tmp_path / "base")
    model, tokenizer = model_directory.load(tmp_path / "base", changes={"context_length": 512})
    lora.attach(model, LoRAConfig(), generator(0, "lora"))
    base = model_directory.base_of(model, tmp_path / "base")
    model_directory.save(tmp_path / "adapter", model, tokenizer, base=base)
    assert model_directory.load(tmp_path / "adapter")[0].config == model.config


def test_a_missing_base_and_one_with_other_weights_are_rejected(tmp_path: Path) -> None:
    save_adapter(tmp_path)
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "adapter")
    assert (caught.value.field, caught.value.value) == ("base", str(tmp_path / "base"))
    save_base(tmp_path / "base", seed=1)
    with pytest.raises(InputError, match="SHA-256") as caught:
        model_directory.load(tmp_path / "adapter")
    assert caught.value.field == "base"


def test_an_adapter_cannot_be_its_own_base(tmp_path: Path) -> None:
    save_adapter(tmp_path)
    adapter = tmp_path / "adapter"
    shutil.copy(tmp_path / "base" / "config.json", adapter)
    reference = json.loads((adapter / "base.json").read_text())
    changes = {"path": str(adapter), "from_here": ".", "sha256": ""}
    (adapter / "base.json").write_text(json.dumps(reference | changes))
    with pytest.raises(InputError) as caught:
        model_directory.load(adapter)
    assert caught.value.field == "base"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_type", "IA3"),
        ("use_dora", True),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("lora_alpha", "x"),
        ("alpha_pattern", {".*q_proj": 3}),
    ],
)
def test_an_unsupported_setting_is_rejected_with_its_name(
    tmp_path: Path, field: str, value: object
) -> None:
    save_adapter(tmp_path)
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "adapter")
    assert caught.value.field == field


def test_factors_of_another_model_are_rejected_with_the_name_of_their_layer(tmp_path: Path) -> None:
    save_adapter(tmp_path / "small")
    save_adapter(tmp_path / "deep", n_layer=3)
    save_adapter(tmp_path / "wide", d_ff=256)
    for other, layer in (("deep", "model.layers.2."), ("wide", "mlp.down_proj")):
        file = tmp_path / other / "adapter" / adapter_file.WEIGHTS
        shutil.copy(file, tmp_path / "small" / "adapter")
        with pytest.raises(InputError) as caught:
            model_directory.load(tmp_path / "small" / "adapter")
        assert layer in caught.value.field


def test_missing_extra_and_misshapen_factors_are_rejected_with_their_name(tmp_path: Path) -> None:
    save_adapter(tmp_path)
    file = tmp_path / "adapter" / adapter_file.WEIGHTS
    tensors = safetensors_file.load(file)
    first = sorted(tensors)[0]
    layer = first.removeprefix(adapter_file.PREFIX).removesuffix(".lora_A.weight")
    without_first = {name: tensor for name, tensor in tensors.items() if name != first}
    for changed, field in (
        (without_first, f"{layer}.lora_A.weight"),
        (tensors | {"stray": torch.ones(2)}, "stray"),
        (tensors | {first: tensors[first][:1]}, layer),
    ):
        safetensors_file.save(changed, file)
        with pytest.raises(InputError) as caught:
            model_directory.load(tmp_path / "adapter")
        assert caught.value.field == field


@pytest.mark.parametrize("targets", [(), ("query", "value"), ("key", "down")], ids=str)
def test_factors_stored_for_a_fused_matrix_are_loaded_into_separate_layers(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    """GPT-2 stores query, key and value as one matrix."""
    model = save_adapter(tmp_path, LoRAConfig(rank=3, targets=targets), **GPT2)
    loaded, _ = model_directory.load(tmp_path / "adapter")
    assert lora.lora_layers(loaded).keys() == lora.lora_layers(model).keys()
    assert torch.equal(loaded(TOKENS), model(TOKENS))


@peft_test
@pytest.mark.parametrize("targets", [(), ("query", "value")], ids=str)
def test_an_adapter_of_gpt2_gives_equal_logits_in_peft(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    model = save_adapter(tmp_path, LoRAConfig(rank=3, targets=targets), **GPT2)
    assert_equal_logits(model, open_in_peft(tmp_path))
