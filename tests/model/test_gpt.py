"""The decoder equals transformers' Qwen3 with the same weights; its laws; the historical sizes."""

import pytest
import torch

from chatwright.checkpoint.family import to_public_tensors
from chatwright.checkpoint.model_directory import layout, public_config
from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.gpt import GPT, GPTConfig, init_weights
from chatwright.model.model import count_parameters
from chatwright.model.presets import PRESETS, preset


def make(**changes: object) -> GPT:
    model = GPT(preset("nano", vocab_size=97, **changes))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():  # away from 1, so that a forgotten norm weight shows
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
def test_logits_equal_those_of_transformers_qwen3(changes: dict) -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model = make(**changes)
    public = public_config(model.config)
    theirs = Qwen3ForCausalLM(
        Qwen3Config(
            **{
                k: v
                for k, v in public.items()
                if k not in ("chatwright", "architectures", "model_type")
            }
        )
    ).eval()
    weights = to_public_tensors(layout(model, "qwen3"), dict(model.named_parameters()))
    if model.config.tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    theirs.load_state_dict({name: p.detach() for name, p in weights.items()})
    x = tokens(2, 33)
    with torch.no_grad():
        torch.testing.assert_close(model(x), theirs(x).logits, atol=1e-5, rtol=1e-4)


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
    ],
    ids=str,
)
def test_a_token_changes_nothing_before_it(changes: dict) -> None:
    model, x = make(**changes), tokens(1, 24)
    y = x.clone()
    y[0, 15] = (y[0, 15] + 1) % 97
    with torch.no_grad():
        a, b = model(x), model(y)
    assert torch.equal(a[:, :15], b[:, :15])
    assert not torch.equal(a[:, 15:], b[:, 15:])


def test_a_windowed_layer_sees_so_far_and_no_further() -> None:
    """Two layers of a window of 4 carry what stands 6 places before, and nothing from further away."""
    model, x = make(window=4, bias=("qkv",)), tokens(1, 24)
    y = x.clone()
    y[0, 10] = (y[0, 10] + 1) % 97
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            changed = (model(x) != model(y)).any(dim=-1)[0]
            assert changed.nonzero().flatten().tolist() == list(range(10, 17))
    names = {
        name.rpartition(".")[0].partition("attention.")[2]
        for name, _ in model.named_parameters()
        if name.endswith("bias")
    }
    assert names == {"query", "key", "value"}


@pytest.mark.parametrize(
    "changes", [{}, {"ngrams": (2, 4), "ngram_rows": 50, "n_previous": 1}, {"window": 5}], ids=str
)
def test_packed_documents_equal_documents_alone(changes: dict) -> None:
    model, x = make(**changes), tokens(1, 20)
    ids = torch.tensor([[0] * 7 + [1] * 13])
    positions = torch.tensor([[*range(7), *range(13)]])
    with torch.no_grad():
        packed = model(x, mask=masks.documents(ids), positions=positions)
        torch.testing.assert_close(packed[:, :7], model(x[:, :7]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(packed[:, 7:], model(x[:, 7:]), atol=1e-5, rtol=1e-5)
        leaking = model(x)
    assert not torch.allclose(
        packed[:, 7:], leaking[:, 7:], atol=1e-3
    )  # the control: without the mask it does leak


def test_training_and_inference_paths_agree() -> None:
    model, x = make(), tokens(2, 30)
    with torch.no_grad():
        fused = model(x)
    torch.testing.assert_close(model(x), fused, atol=1e-5, rtol=1e-5)


def test_gates_of_one_change_nothing_and_of_zero_remove_the_head() -> None:
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
def test_historical_parameter_counts(name: str, millions: float) -> None:
    with torch.device("meta"):
        assert count_parameters(GPT(preset(name))) / 1e6 == pytest.approx(millions, abs=0.1)


def test_gpt2_shape_equals_transformers_gpt2() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):
        assert count_parameters(GPT(preset("gpt2"))) == sum(
            p.numel() for p in GPT2LMHeadModel(GPT2Config()).parameters()
        )


def test_one_dial_gives_growing_models() -> None:
    with torch.device("meta"):
        sizes = [
            count_parameters(GPT(preset(name, vocab_size=4096)))
            for name in ("nano", "tiny", "small", "medium", "large")
        ]
    assert sizes == sorted(sizes)
    assert set(PRESETS) >= {"nano", "gpt1", "gpt3"}


def test_wrong_settings_say_what_to_change() -> None:
    with pytest.raises(ValueError, match=r"n_head \(6\) must be a multiple of n_kv_head \(4\)"):
        GPTConfig(vocab_size=10, n_head=6, n_kv_head=4)
    with pytest.raises(ValueError, match=r"nope_layers .*must name layers from 0 to 1"):
        GPTConfig(vocab_size=10, n_layer=2, nope_layers=(2,))
    with pytest.raises(ValueError, match="no such shape. Choose one of nano"):
        preset("huge", vocab_size=10)
