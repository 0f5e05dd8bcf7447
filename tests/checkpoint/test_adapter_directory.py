"""An adapter comes back to the bit, opens in PEFT with equal logits, and a base that is another one is refused by name."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import adapter_directory, model_directory, safetensors_file
from chatwright.devices import generator
from chatwright.model import lora
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.lora import LoRAConfig
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. " * 20
TOKENS = torch.arange(60).view(3, 20)
# PEFT asks transformers a question by its old name.
peft_as_it_comes = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def base(path: Path, seed: int = 0, **changes: object) -> GPT:
    tokenizer = ByteBPE.train([TEXT], 300)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, **changes))
    init_weights(model, generator(seed, "weights"))
    model_directory.save(path, model, tokenizer)
    return model


def saved(place: Path, config: LoRAConfig = LoRAConfig(rank=4), **changes: object) -> GPT:
    """A base and a trained-looking adapter of it below `place`."""
    if not (place / "base").exists():
        base(place / "base", **changes)
    model, tokenizer = model_directory.load(place / "base")
    lora.attach(model, config, generator(0, "lora"))
    for linear in lora.lora_layers(model).values():
        linear.lora_b.data.normal_(0, 0.1, generator=generator(0, "trained"))
    model_directory.save(
        place / "adapter", model, tokenizer, base=model_directory.base_of(model, place / "base")
    )
    return model


@pytest.mark.parametrize(
    "config",
    [
        LoRAConfig(),
        LoRAConfig(rank=2, alpha=3.0, dropout=0.1, targets=("query", "value")),
        LoRAConfig(targets=("blocks.1.feed_forward.up",)),
    ],
    ids=str,
)
def test_save_and_load_are_opposites(tmp_path: Path, config: LoRAConfig) -> None:
    model = saved(tmp_path, config)
    loaded, tokenizer = model_directory.load(tmp_path / "adapter")
    assert lora.lora_layers(loaded).keys() == lora.lora_layers(model).keys()
    assert torch.equal(loaded(TOKENS), model(TOKENS))
    assert tokenizer.vocab_size == model.config.vocab_size
    assert {p.name for p in (tmp_path / "adapter").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
        "base.json",
    }
    assert not (tmp_path / "adapter" / "model.safetensors").exists()


@peft_as_it_comes
@pytest.mark.uses_global_rng
@pytest.mark.parametrize(
    "targets",
    [(), ("query", "value"), ("blocks.1.feed_forward.up", "blocks.0.attention.output")],
    ids=str,
)
def test_the_adapter_opens_in_peft_with_equal_logits(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    model = saved(tmp_path, LoRAConfig(rank=3, alpha=5.0, targets=targets))
    theirs = opened_by_peft(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=1e-5)


@peft_as_it_comes
@pytest.mark.uses_global_rng
def test_an_adapter_made_by_peft_opens_here_with_equal_logits(tmp_path: Path) -> None:
    base(tmp_path / "base")
    ours, theirs = made_by_peft(tmp_path, target_modules=["q_proj", "down_proj"])
    with torch.no_grad():
        torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=1e-5)


def opened_by_peft(place: Path) -> torch.nn.Module:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(place / "base")
    with torch.no_grad():
        before = plain(TOKENS).logits
        opened = PeftModel.from_pretrained(plain, place / "adapter").eval()
        assert (opened(TOKENS).logits - before).abs().max() > 0.05, (
            "PEFT must have taken the adapter"
        )
    return opened


def made_by_peft(place: Path, **settings: object) -> tuple[GPT, torch.nn.Module]:
    """The same adapter of the model at place/base, (opened here, as PEFT made it)."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(place / "base")
    theirs = get_peft_model(
        plain, LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", **settings)
    ).eval()
    for name, p in theirs.named_parameters():
        if "lora_B" in name:
            p.data.normal_(0, 0.1, generator=generator(0, name))
    theirs.save_pretrained(place / "adapter")
    return model_directory.load(place / "adapter")[0], theirs


def test_a_folder_that_holds_both_can_be_moved(tmp_path: Path) -> None:
    model = saved(tmp_path / "runs")
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    loaded, _ = model_directory.load(tmp_path / "elsewhere" / "adapter")
    assert torch.equal(loaded(TOKENS), model(TOKENS))


def test_settings_changed_while_training_come_back(tmp_path: Path) -> None:
    base(tmp_path / "base")
    model, tokenizer = model_directory.load(tmp_path / "base", changes={"context_length": 512})
    lora.attach(model, LoRAConfig(), generator(0, "lora"))
    model_directory.save(
        tmp_path / "adapter",
        model,
        tokenizer,
        base=model_directory.base_of(model, tmp_path / "base"),
    )
    assert model_directory.load(tmp_path / "adapter")[0].config == model.config


def test_another_base_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path)
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(
        ValueError, match="this is an adapter, and its base, a whole model, is not at .*base"
    ):
        model_directory.load(tmp_path / "adapter")
    base(tmp_path / "base", seed=1)
    with pytest.raises(
        ValueError, match=r"trained on other weights than those at .*base \(SHA-256"
    ):
        model_directory.load(tmp_path / "adapter")


def test_an_adapter_that_names_itself_or_another_adapter_as_its_base_is_refused(
    tmp_path: Path,
) -> None:
    saved(tmp_path)
    shutil.copy(tmp_path / "base" / "config.json", tmp_path / "adapter" / "config.json")
    table = json.loads((tmp_path / "adapter" / "base.json").read_text())
    (tmp_path / "adapter" / "base.json").write_text(
        json.dumps({**table, "path": str(tmp_path / "adapter"), "from_here": ".", "sha256": ""})
    )
    with pytest.raises(ValueError, match="its base, a whole model, is not at"):
        model_directory.load(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type = 'IA3'"),
        ({"use_dora": True}, "use_dora = True is not understood"),
        ({"bias": "all"}, "bias = 'all' is not understood"),
        ({"lora_alpha": "x"}, "lora_alpha = 'x' is no number"),
        ({"alpha_pattern": {".*q_proj": 3}}, r"alpha_pattern names '\.\*q_proj', which is no end"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    tmp_path: Path, changes: dict, message: str
) -> None:
    saved(tmp_path)
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ValueError, match=message):
        model_directory.load(tmp_path / "adapter")


def test_tensors_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path / "small")
    saved(tmp_path / "deep", n_layer=3)
    saved(tmp_path / "wide", d_ff=256)
    for other, message in (
        ("deep", r"layers\.2\..* is no linear layer of its base"),
        ("wide", "down_proj is a matrix of 64 x 256, its base has one of 64 x 192"),
    ):
        shutil.copy(
            tmp_path / other / "adapter" / adapter_directory.WEIGHTS, tmp_path / "small" / "adapter"
        )
        with pytest.raises(ValueError, match=message):
            model_directory.load(tmp_path / "small" / "adapter")


def test_half_a_product_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path)
    file = tmp_path / "adapter" / adapter_directory.WEIGHTS
    tensors = safetensors_file.load(file)
    whole = sorted(tensors)
    for changed, message in (
        (whole[1:], f"{whole[0]} is missing"),
        ([*whole, "stray"], "stray.* is missing, or no part of a LoRA product"),
    ):
        safetensors_file.save({name: tensors.get(name, torch.ones(2)) for name in changed}, file)
        with pytest.raises(ValueError, match=message):
            model_directory.load(tmp_path / "adapter")
    safetensors_file.save(tensors | {whole[0]: tensors[whole[0]][:1]}, file)
    with pytest.raises(ValueError, match="which make no product"):
        model_directory.load(tmp_path / "adapter")


GPT2 = {
    "activation": "gelu",
    "norm": "layer",
    "norm_eps": 1e-5,
    "position": "learned",
    "bias": True,
    "qk_norm": False,
    "n_kv_head": 2,
}


@pytest.mark.parametrize("targets", [(), ("query", "value"), ("key", "down")], ids=str)
def test_products_of_a_fused_matrix_come_back_each_by_itself(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    """GPT-2 keeps query, key and value as one."""
    model = saved(tmp_path, LoRAConfig(rank=3, targets=targets), **GPT2)
    loaded, _ = model_directory.load(tmp_path / "adapter")
    assert lora.lora_layers(loaded).keys() == lora.lora_layers(model).keys()
    assert torch.equal(loaded(TOKENS), model(TOKENS))


@peft_as_it_comes
@pytest.mark.uses_global_rng
@pytest.mark.parametrize("targets", [(), ("query", "value")], ids=str)
def test_a_gpt2_adapter_opens_in_peft_with_equal_logits(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    model = saved(tmp_path, LoRAConfig(rank=3, targets=targets), **GPT2)
    theirs = opened_by_peft(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=1e-5)


@peft_as_it_comes
@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")
@pytest.mark.uses_global_rng
def test_a_gpt2_adapter_made_by_peft_opens_here_with_equal_logits(tmp_path: Path) -> None:
    base(tmp_path / "base", **GPT2)
    ours, theirs = made_by_peft(
        tmp_path, target_modules=["c_attn", "c_fc"], alpha_pattern={"c_fc": 3}
    )
    with torch.no_grad():
        torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=1e-5)
