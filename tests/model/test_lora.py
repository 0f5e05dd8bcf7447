"""An adapter starts as its base, equals its formula, merges without moving the logits and comes off without a trace."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.engine.engine import Engine
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
    """With factors as if it had been trained."""
    lora.attach(model, config, generator(0, "lora"))
    for linear in lora.linears(model).values():
        linear.lora_b.data.normal_(0, 0.1, generator=generator(0, "trained"))
    return model


def test_a_fresh_adapter_is_its_base_to_the_bit() -> None:
    model = base()
    before = model(TOKENS)
    lora.attach(model, LoRAConfig(), generator(0, "lora"))
    assert torch.equal(model(TOKENS), before)


@pytest.mark.parametrize("activation", ["none", "silu", "gelu"])
def test_an_adapted_layer_is_its_formula(activation: str) -> None:
    linear = Linear(12, 8, bias=True)
    for p in linear.parameters():
        p.data.normal_(generator=generator(0, "w"))
    holder = torch.nn.Sequential(linear)
    lora.attach(holder, LoRAConfig(rank=2, alpha=6.0), generator(0, "lora"))
    made = holder[0]
    made.lora_b.data.normal_(generator=generator(0, "b"))
    x = torch.randn(5, 12, generator=generator(0, "x"))
    expected = x @ linear.weight.T + linear.bias + 3.0 * (x @ made.lora_a.T @ made.lora_b.T)
    expected = {
        "none": expected,
        "silu": torch.nn.functional.silu(expected),
        "gelu": torch.nn.functional.gelu(expected, approximate="tanh"),
    }
    torch.testing.assert_close(made(x, activation), expected[activation], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "gelu", "bias": True, "norm": "layer", "position": "learned", "tied": False},
    ],
    ids=str,
)
def test_merged_equals_unmerged(changes: dict) -> None:
    model = adapted(base(**changes))
    before = model(TOKENS)
    lora.merge(model)
    assert lora.linears(model) == {}
    assert (before - base(**changes)(TOKENS)).abs().max() > 0.1, (
        "the adapter must say something for the test to mean anything"
    )
    torch.testing.assert_close(model(TOKENS), before, atol=1e-5, rtol=1e-5)


def test_removed_is_the_base_to_the_bit() -> None:
    model = adapted(base())
    lora.remove(model)
    assert torch.equal(model(TOKENS), base()(TOKENS))
    assert dict(model.named_parameters()).keys() == dict(base().named_parameters()).keys()


def test_packed_for_inference_equals_unpacked() -> None:
    model = adapted(base())
    with torch.no_grad():
        before = model(TOKENS)
        with Engine(model):
            torch.testing.assert_close(model(TOKENS), before, atol=1e-5, rtol=1e-5)


def test_only_the_chosen_layers_learn() -> None:
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


def test_without_targets_every_linear_but_the_head_is_chosen() -> None:
    model = adapted(base(tied=False))
    plain = {
        name for name, module in base(tied=False).named_modules() if isinstance(module, Linear)
    }
    assert lora.linears(model).keys() == plain - {"head"}


def test_an_untied_head_can_be_chosen_by_name() -> None:
    assert lora.linears(adapted(base(tied=False), LoRAConfig(targets=("head",)))).keys() == {"head"}


def test_dropout_acts_in_training_only_and_comes_from_its_generator() -> None:
    model = adapted(base(), LoRAConfig(dropout=0.5))
    quiet = model(TOKENS)
    model.train()
    results = []
    for _ in range(2):
        set_dropout_generator(model, generator(0, "dropout"))
        results.append(model(TOKENS))
    assert torch.equal(*results)
    assert not torch.allclose(results[0], quiet)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            LoRAConfig(targets=("quary",)),
            "'quary' names no linear layer of this model. Choose from .*query",
        ),
        (LoRAConfig(rank=65), r"lora.rank \(65\) is larger than blocks.0.attention.query"),
        (LoRAConfig(targets=("head",)), "head shares its weight with the embeddings"),
    ],
)
def test_a_wrong_choice_is_refused_by_name(config: LoRAConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lora.attach(base(), config, generator(0, "lora"))


def test_each_layer_may_have_a_rank_and_alpha_of_its_own() -> None:
    model = base()
    lora.place(
        model,
        {"blocks.0.attention.query": (2, 4.0), "blocks.1.feed_forward.down": (5, 1.0)},
        dropout=0.0,
    )
    assert {
        name: (len(linear.lora_a), linear.scale) for name, linear in lora.linears(model).items()
    } == {"blocks.0.attention.query": (2, 2.0), "blocks.1.feed_forward.down": (5, 0.2)}
    assert torch.equal(model(TOKENS), base()(TOKENS))  # products of zeros


def test_a_second_adapter_is_refused() -> None:
    with pytest.raises(ValueError, match="already has an adapter.*chatwright merge"):
        lora.attach(adapted(base()), LoRAConfig(), generator(0, "lora"))


@pytest.mark.parametrize(("field", "value"), [("rank", 0), ("alpha", 0.0), ("dropout", 1.0)])
def test_settings_outside_their_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        LoRAConfig(**{field: value})
