"""LoRA: attaching, merging and removing an adapter; its targets, gradients and refused settings."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.engine.engine import Engine
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.linear import Linear
from chatwright.model.lora import LoRAConfig
from chatwright.model.presets import preset

TOKENS = torch.arange(60).view(3, 20) % 50


def base(**changes: object) -> GPT:
    model = GPT(preset("nano", vocab_size=50, **changes))
    init_weights(model, generator(0, "weights"))
    return model.eval()


def adapted(model: GPT, config: LoRAConfig = LoRAConfig()) -> GPT:
    """Attach an adapter and give its products values, as training would."""
    lora.attach(model, config, generator(0, "lora"))
    for layer in lora.lora_layers(model).values():
        layer.lora_b.data.normal_(0, 0.1, generator=generator(0, "trained"))
    return model


def test_the_logits_with_a_fresh_adapter_are_bit_identical_to_those_of_the_base() -> None:
    model = base()
    before = model(TOKENS)
    lora.attach(model, LoRAConfig(), generator(0, "lora"))
    assert torch.equal(model(TOKENS), before)


@pytest.mark.parametrize("activation", ["none", "silu", "gelu"])
def test_an_adapted_layer_equals_its_formula(activation: str) -> None:
    linear = Linear(12, 8, bias=True)
    for p in linear.parameters():
        p.data.normal_(generator=generator(0, "w"))
    model = torch.nn.Sequential(linear)
    lora.attach(model, LoRAConfig(rank=2, alpha=6.0), generator(0, "lora"))
    layer = model[0]
    layer.lora_b.data.normal_(generator=generator(0, "b"))
    x = torch.randn(5, 12, generator=generator(0, "x"))
    expected = x @ linear.weight.T + linear.bias + 3.0 * (x @ layer.lora_a.T @ layer.lora_b.T)
    expected = {
        "none": expected,
        "silu": torch.nn.functional.silu(expected),
        "gelu": torch.nn.functional.gelu(expected, approximate="tanh"),
    }
    torch.testing.assert_close(layer(x, activation), expected[activation], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "gelu", "bias": True, "norm": "layer", "position": "learned", "tied": False},
    ],
    ids=str,
)
def test_merging_an_adapter_does_not_change_the_logits(changes: dict) -> None:
    model = adapted(base(**changes))
    before = model(TOKENS)
    lora.merge(model)
    assert lora.lora_layers(model) == {}
    assert (before - base(**changes)(TOKENS)).abs().max() > 0.1, (
        "the adapter must change the logits, or this test would pass without a merge"
    )
    torch.testing.assert_close(model(TOKENS), before, atol=1e-5, rtol=1e-5)


def test_removing_an_adapter_restores_the_base_bit_for_bit() -> None:
    model = adapted(base())
    lora.remove(model)
    assert torch.equal(model(TOKENS), base()(TOKENS))
    assert dict(model.named_parameters()).keys() == dict(base().named_parameters()).keys()


def test_a_packed_adapter_equals_an_unpacked_one() -> None:
    model = adapted(base())
    with torch.no_grad():
        before = model(TOKENS)
        with Engine(model):
            torch.testing.assert_close(model(TOKENS), before, atol=1e-5, rtol=1e-5)


def test_only_the_adapter_matrices_of_the_target_layers_have_gradients() -> None:
    model = adapted(base(), LoRAConfig(targets=("query", "feed_forward.up")))
    model(TOKENS).square().mean().backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == {
        f"blocks.{i}.{part}.{factor}"
        for i in range(2)
        for part in ("attention.query", "feed_forward.up")
        for factor in ("lora_a", "lora_b")
    }
    assert with_gradient == {name for name, p in model.named_parameters() if p.requires_grad}


def test_without_targets_all_linear_layers_but_the_head_are_adapted() -> None:
    model = adapted(base(tied=False))
    linears = {
        name for name, module in base(tied=False).named_modules() if isinstance(module, Linear)
    }
    assert lora.lora_layers(model).keys() == linears - {"head"}


def test_an_untied_head_can_be_a_target() -> None:
    model = adapted(base(tied=False), LoRAConfig(targets=("head",)))
    assert lora.lora_layers(model).keys() == {"head"}


def test_adapter_dropout_acts_only_in_training_and_draws_from_its_generator() -> None:
    model = adapted(base(), LoRAConfig(dropout=0.5))
    without_dropout = model(TOKENS)
    model.train()
    results = []
    for _ in range(2):
        set_dropout_generator(model, generator(0, "dropout"))
        results.append(model(TOKENS))
    assert torch.equal(*results)
    assert not torch.allclose(results[0], without_dropout)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (LoRAConfig(targets=("quary",)), "lora.targets", "quary"),
        (LoRAConfig(rank=65), "lora.rank", 65),
        (LoRAConfig(targets=("head",)), "lora.targets", "head"),
    ],
)
def test_unsuitable_targets_and_ranks_are_refused(
    config: LoRAConfig, field: str, value: object
) -> None:
    with pytest.raises(InputError) as caught:
        lora.attach(base(), config, generator(0, "lora"))
    assert (caught.value.field, caught.value.value) == (field, value)


def test_every_layer_can_have_its_own_rank_and_alpha() -> None:
    model = base()
    lora.insert_layers(
        model,
        {"blocks.0.attention.query": (2, 4.0), "blocks.1.feed_forward.down": (5, 1.0)},
        dropout=0.0,
    )
    layers = lora.lora_layers(model)
    assert {name: (len(layer.lora_a), layer.scale) for name, layer in layers.items()} == {
        "blocks.0.attention.query": (2, 2.0),
        "blocks.1.feed_forward.down": (5, 0.2),
    }
    assert torch.equal(model(TOKENS), base()(TOKENS))  # the products are zero


def test_a_second_adapter_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        lora.attach(adapted(base()), LoRAConfig(), generator(0, "lora"))
    assert caught.value.field == "lora"
    assert "chatwright merge" in caught.value.remedy


@pytest.mark.parametrize(("field", "value"), [("rank", 0), ("alpha", 0.0), ("dropout", 1.0)])
def test_settings_outside_their_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        LoRAConfig(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, value)
