"""The decoder: equality with Qwen 3 in transformers, causality, packing, sizes of the presets."""

import pytest
import torch

from chatwright.checkpoint.config_file import public_config
from chatwright.checkpoint.family import to_public_tensors
from chatwright.checkpoint.model_directory import layout
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import masks
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import count_parameters
from chatwright.model.presets import PRESETS, preset

GEMMA = {
    "window": 5,
    "unwindowed_layers": (1,),
    "window_rotary_base": 100.0,
    "activation": "geglu",
    "sandwich_norm": True,
    "embedding_scale": True,
    "query_pre_attn_scalar": 48,
}


def make(**changes: object) -> GPT:
    model = GPT(preset("nano", vocab_size=97, **changes))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():  # not 1, so that a norm weight that is not applied changes the logits
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.uniform_(0.5, 1.5, generator=generator(1, name))
    return model.eval()


def tokens(B: int, T: int, vocab: int = 97) -> torch.Tensor:
    return torch.randint(vocab, (B, T), generator=generator(2, "tokens"))


@pytest.mark.uses_global_rng
@pytest.mark.parametrize(
    "changes",
    [{}, {"tied": False}, {"n_head": 4, "n_kv_head": 2, "head_dim": 16}, {"rotary_base": 1e6}],
    ids=str,
)
def test_logits_equal_transformers_qwen3(changes: dict) -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model = make(**changes)
    not_settings = ("chatwright", "architectures", "model_type")
    public = public_config(model.config)
    settings = {name: value for name, value in public.items() if name not in not_settings}
    reference = Qwen3ForCausalLM(Qwen3Config(**settings)).eval()
    weights = to_public_tensors(layout(model, "qwen3"), dict(model.named_parameters()))
    if model.config.tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    reference.load_state_dict({name: weight.detach() for name, weight in weights.items()})
    x = tokens(2, 33)
    with torch.no_grad():
        torch.testing.assert_close(model(x), reference(x).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "relu2"},
        {"activation": "gelu", "norm": "layer", "position": "learned", "bias": True},
        {"norm_first": False, "position": "sinusoidal"},
        {"position": "binary"},
        {"ngrams": (2, 3), "embedding_norm": True},
        {"window": 5, "unwindowed_layers": (0,), "nope_layers": (1,)},
        GEMMA,
    ],
    ids=str,
)
def test_a_token_does_not_change_the_logits_before_it(changes: dict) -> None:
    model, x = make(**changes), tokens(1, 24)
    y = x.clone()
    y[0, 15] = (y[0, 15] + 1) % 97
    with torch.no_grad():
        a, b = model(x), model(y)
    assert torch.equal(a[:, :15], b[:, :15])
    assert not torch.equal(a[:, 15:], b[:, 15:])


def test_two_layers_with_a_window_of_four_see_six_tokens_back() -> None:
    """Each layer sees 3 tokens before the current one, so two layers see 6 and no more."""
    model, x = make(window=4), tokens(1, 24)
    y = x.clone()
    y[0, 10] = (y[0, 10] + 1) % 97
    for gradients in (False, True):  # inference and training use different attention code
        with torch.set_grad_enabled(gradients):
            changed = (model(x) != model(y)).any(dim=-1)[0]
            assert changed.nonzero().flatten().tolist() == list(range(10, 17))


def test_with_bias_qkv_only_query_key_and_value_projections_have_a_bias() -> None:
    biased = {
        name.rpartition(".")[0].partition("attention.")[2]
        for name, _ in make(bias=("qkv",)).named_parameters()
        if name.endswith("bias")
    }
    assert biased == {"query", "key", "value"}


@pytest.mark.parametrize(
    "changes", [{}, {"ngrams": (2, 4), "ngram_rows": 50, "n_previous": 1}, GEMMA], ids=str
)
def test_documents_packed_into_one_row_equal_documents_alone(changes: dict) -> None:
    model, x = make(**changes), tokens(1, 20)
    ids = torch.tensor([[0] * 7 + [1] * 13])
    positions = torch.tensor([[*range(7), *range(13)]])
    with torch.no_grad():
        packed = model(x, mask=masks.causal_documents(ids), positions=positions)
        torch.testing.assert_close(packed[:, :7], model(x[:, :7]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(packed[:, 7:], model(x[:, 7:]), atol=1e-5, rtol=1e-5)
        unmasked = model(x)
    # Without the mask the second document sees the first, so this comparison can fail.
    assert not torch.allclose(packed[:, 7:], unmasked[:, 7:], atol=1e-3)


@pytest.mark.parametrize("changes", [{}, GEMMA], ids=str)
def test_logits_are_equal_with_and_without_gradients(changes: dict) -> None:
    model, x = make(**changes), tokens(2, 30)
    with torch.no_grad():  # torch's fused attention; with gradients, SoftmaxAttention
        fused = model(x)
    torch.testing.assert_close(model(x), fused, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_scaled_embeddings_equal_a_model_whose_embeddings_are_multiplied() -> None:
    scaled, plain = make(embedding_scale=True, tied=False), make(tied=False)
    plain.embedding.weight.mul_(8.0)  # sqrt(64)
    torch.testing.assert_close(scaled(tokens(1, 20)), plain(tokens(1, 20)))


@torch.no_grad()
def test_layers_with_a_window_rotate_by_the_base_of_windows() -> None:
    x = tokens(1, 24)
    in_all_layers = make(window=24, window_rotary_base=100.0)
    assert torch.equal(in_all_layers(x), make(rotary_base=100.0)(x))
    in_no_layer = make(window=24, window_rotary_base=100.0, unwindowed_layers=(0, 1))
    assert torch.equal(in_no_layer(x), make()(x))


@torch.no_grad()
def test_with_sandwich_norm_each_part_is_normalized_before_it_is_added() -> None:
    model, ids = make(sandwich_norm=True), tokens(1, 12)
    x = model.embedding(ids)
    rotary = model.rotary(None, 12, x.dtype)
    for block in model.blocks:
        part = block.attention(block.attention_norm(x), mask="causal", rotary=rotary)
        x = x + block.attention_output_norm(part)
        x = x + block.feed_forward_output_norm(block.feed_forward(block.feed_forward_norm(x)))
    assert torch.equal(model(ids), model.head(model.norm(x)))
    assert not torch.equal(model(ids), make()(ids))


def test_a_head_gate_of_one_has_no_effect_and_one_of_zero_removes_the_attention_head() -> None:
    model, x = make(), tokens(1, 12)
    gates = torch.ones(2, 2)
    with torch.no_grad():
        plain = model(x)
        assert torch.equal(model(x, head_gates=gates), plain)
        gates[1, 0] = 0
        gated = model(x, head_gates=gates)
        model.blocks[1].attention.output.weight[:, :32] = 0
        torch.testing.assert_close(gated, model(x))
    assert not torch.equal(gated, plain)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("gpt1", 116.5),
        ("gpt2", 124.4),
        ("gpt2-medium", 354.8),
        ("gpt2-large", 774.0),
        ("gpt2-xl", 1557.6),
        ("gpt3", 174_604.3),
    ],
)
def test_published_presets_have_the_published_numbers_of_parameters(
    name: str, millions: float
) -> None:
    with torch.device("meta"):
        assert count_parameters(GPT(preset(name))) / 1e6 == pytest.approx(millions, abs=0.1)


def test_the_gpt2_preset_has_as_many_parameters_as_in_transformers() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):
        assert count_parameters(GPT(preset("gpt2"))) == sum(
            p.numel() for p in GPT2LMHeadModel(GPT2Config()).parameters()
        )


def test_our_own_presets_are_ordered_by_size() -> None:
    with torch.device("meta"):
        sizes = [
            count_parameters(GPT(preset(name, vocab_size=4096)))
            for name in ("nano", "tiny", "small", "medium", "large")
        ]
    assert sizes == sorted(sizes)
    assert set(PRESETS) >= {"nano", "gpt1", "gpt3"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n_head": 6, "n_kv_head": 4}, "n_kv_head"),
        ({"n_layer": 2, "nope_layers": (2,)}, "nope_layers"),
        ({"n_layer": 2, "unwindowed_layers": (-1,)}, "unwindowed_layers"),
        ({"d_model": 0}, "d_model"),
        ({"window": -1}, "window"),
        ({"head_dim": 15}, "head_dim"),
        ({"query_pre_attn_scalar": -1}, "query_pre_attn_scalar"),
        ({"sandwich_norm": True, "norm_first": False}, "sandwich_norm"),
        ({"window_rotary_base": 1e4}, "window_rotary_base"),
        ({"window": 4, "window_rotary_base": -1.0}, "window_rotary_base"),
        ({"ngrams": (2, 2)}, "ngrams"),
        ({"dropout": 1.0}, "dropout"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_with_their_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        GPTConfig(vocab_size=10, **changes)
    assert caught.value.field == field
    assert caught.value.remedy


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        preset("huge", vocab_size=10)
    assert (caught.value.field, caught.value.value) == ("size", "huge")
    assert "nano" in caught.value.remedy
