"""The encoder-decoder equals torch.nn.Transformer; cached decoding equals uncached decoding."""

import pytest
import torch
from torch import nn

from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.kv_cache import DenseCache

V = 61
MODERN = {
    "norm": "rms",
    "norm_first": True,
    "position": "rotary",
    "activation": "swiglu",
    "qk_norm": True,
    "bias": False,
}
SETTINGS = [
    {},
    {"norm_first": True},
    MODERN,
    MODERN | {"activation": "relu2", "embedding_scale": False, "tied": False},
    {"position": "sinusoidal_halves", "activation": "silu", "head_bias": True},
    {"position": "learned", "activation": "gelu"},
]


def make(**changes: object) -> EncoderDecoder:
    shape = {
        "vocab_size": V,
        "context_length": 40,
        "n_encoder_layer": 2,
        "n_decoder_layer": 3,
        "n_head": 4,
        "head_dim": 6,
        "d_model": 24,
        "d_ff": 50,
    }
    model = EncoderDecoder(EncoderDecoderConfig(**(shape | changes)))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():  # not 0 or 1, so that a bias or norm weight changes the logits
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.uniform_(0.5, 1.5, generator=generator(1, name))
    return model.eval()


def tokens(B: int, T: int, name: str = "target") -> torch.Tensor:
    return torch.randint(V, (B, T), generator=generator(2, name))


SOURCE = tokens(3, 11, "source")
TARGET = tokens(3, 9)
LENGTHS = torch.tensor([11, 7, 4])
PADDING = masks.padding(LENGTHS, 11)


def torch_transformer(model: EncoderDecoder) -> nn.Transformer:
    """Load the model's weights into torch's modules.

    By default torch.nn.Transformer adds a final norm even for post-norm; the paper has none.
    """
    config = model.config
    common = {
        "d_model": config.d_model,
        "nhead": config.n_head,
        "dim_feedforward": config.d_ff,
        "dropout": 0.0,
        "activation": "relu",
        "batch_first": True,
        "norm_first": config.norm_first,
        "layer_norm_eps": config.norm_eps,
    }
    final_norms = [nn.LayerNorm(config.d_model) if config.norm_first else None for _ in range(2)]
    transformer = nn.Transformer(
        config.d_model,
        config.n_head,
        batch_first=True,
        custom_encoder=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**common),
            config.n_encoder_layer,
            final_norms[0],
            enable_nested_tensor=False,
        ),
        custom_decoder=nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**common), config.n_decoder_layer, final_norms[1]
        ),
    )
    transformer.load_state_dict(weights_for_torch(model))
    return transformer.eval()


def weights_for_torch(model: EncoderDecoder) -> dict[str, torch.Tensor]:
    """Return the model's weights under the names of torch.nn.Transformer."""
    weights = model.state_dict()
    renamed: dict[str, torch.Tensor] = {}
    for side in ("encoder", "decoder"):
        for i in range(len(getattr(model, side).blocks)):
            block, layer = f"{side}.blocks.{i}", f"{side}.layers.{i}"
            for kind in ("weight", "bias"):
                renamed |= layer_weights_for_torch(weights, block, layer, kind)
        for kind in ("weight", "bias"):
            if f"{side}.norm.{kind}" in weights:
                renamed[f"{side}.norm.{kind}"] = weights[f"{side}.norm.{kind}"]
    return renamed


def layer_weights_for_torch(
    weights: dict[str, torch.Tensor], block: str, layer: str, kind: str
) -> dict[str, torch.Tensor]:
    is_decoder = block.startswith("decoder")
    names = {
        "attention_norm": "norm1",
        "cross_attention_norm": "norm2",
        "feed_forward.up": "linear1",
        "feed_forward.down": "linear2",
        "feed_forward_norm": "norm3" if is_decoder else "norm2",
    }
    renamed = {
        f"{layer}.{torch_name}.{kind}": weights[f"{block}.{name}.{kind}"]
        for name, torch_name in names.items()
        if f"{block}.{name}.{kind}" in weights
    }
    attentions = {"attention": "self_attn"}
    if is_decoder:
        attentions["cross_attention"] = "multihead_attn"
    for name, torch_name in attentions.items():
        parts = [weights[f"{block}.{name}.{part}.{kind}"] for part in ("query", "key", "value")]
        renamed[f"{layer}.{torch_name}.in_proj_{kind}"] = torch.cat(parts)
        renamed[f"{layer}.{torch_name}.out_proj.{kind}"] = weights[f"{block}.{name}.output.{kind}"]
    return renamed


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
def test_logits_equal_torch_transformer(norm_first: bool) -> None:
    model = make(norm_first=norm_first)
    reference = torch_transformer(model)
    is_padding = ~PADDING[:, 0, 0]
    with torch.no_grad():
        source, target = (
            model.embedding(ids) * 24**0.5 + model.position_embedding.weight[: ids.shape[1]]
            for ids in (SOURCE, TARGET)
        )
        causal = nn.Transformer.generate_square_subsequent_mask(9) == float("-inf")
        hidden = reference(
            source,
            target,
            tgt_mask=causal,
            src_key_padding_mask=is_padding,
            memory_key_padding_mask=is_padding,
        )
        expected = hidden @ model.embedding.weight.T
        torch.testing.assert_close(model(SOURCE, TARGET, PADDING), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_a_target_token_changes_no_earlier_logits_and_a_source_token_changes_all(
    changes: dict,
) -> None:
    model, other_target, other_source = make(**changes), TARGET.clone(), SOURCE.clone()
    other_target[:, 5] = (TARGET[:, 5] + 1) % V
    other_source[:, 2] = (SOURCE[:, 2] + 1) % V
    with torch.no_grad():
        logits = model(SOURCE, TARGET, PADDING)
        with_other_target = model(SOURCE, other_target, PADDING)
        with_other_source = model(other_source, TARGET, PADDING)
    assert torch.equal(logits[:, :5], with_other_target[:, :5])
    assert (logits[:, 5:] != with_other_target[:, 5:]).any(dim=-1).all()
    assert (logits != with_other_source).any(dim=-1).all()


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_padding_does_not_change_the_logits(changes: dict) -> None:
    model = make(**changes)
    with torch.no_grad():
        padded = model(SOURCE, TARGET, PADDING)
        for row, length in enumerate(LENGTHS.tolist()):
            alone = model(SOURCE[row : row + 1, :length], TARGET[row : row + 1, :6])
            torch.testing.assert_close(padded[row : row + 1, :6], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
@pytest.mark.parametrize("cuts", [[1], [4], list(range(1, 9))], ids=str)
def test_decoding_in_steps_with_a_cache_equals_decoding_together(
    changes: dict, cuts: list[int]
) -> None:
    model = make(**changes)
    cache = DenseCache(3, 3, 4, 6, capacity=9)
    with torch.no_grad():
        encoded = model.encode(SOURCE, PADDING)
        whole = model.decode(TARGET, encoded, PADDING)
        memory = model.cross_key_values(encoded)
        pieces = []
        for start, end in zip([0, *cuts], [*cuts, 9], strict=True):
            positions = torch.arange(start, end).expand(3, -1)
            cache.start_step(torch.arange(3), positions)
            pieces.append(
                model.decode(
                    TARGET[:, start:end],
                    memory,
                    PADDING,
                    masks.causal(positions, 9),
                    positions,
                    cache,
                )
            )
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-4)


def test_keys_of_the_source_are_computed_once_for_all_decoding_steps() -> None:
    model, calls = make(), []
    for block in model.decoder.blocks:
        block.cross_attention.key.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        memory = model.cross_key_values(model.encode(SOURCE, PADDING))
        for n in range(1, 9):
            model.decode(TARGET[:, :n], memory, PADDING)
    assert len(calls) == 3, "once per layer"


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_gradients_equal_those_of_torch_fused_attention(
    changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training uses `SoftmaxAttention`, which has a custom backward pass."""
    model = make(**changes)

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(SOURCE, TARGET, PADDING).square().mean().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    custom = gradients()
    monkeypatch.setattr(masks, "for_training", lambda mask, *_: mask)
    fused = gradients()
    assert custom.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    for name, gradient in fused.items():
        torch.testing.assert_close(custom[name], gradient, atol=1e-6, rtol=1e-3, msg=name)


def test_a_fresh_model_gives_all_tokens_nearly_equal_probabilities() -> None:
    for init in ("xavier", "zero"):
        model = EncoderDecoder(
            EncoderDecoderConfig(
                vocab_size=2000,
                n_encoder_layer=2,
                n_decoder_layer=2,
                n_head=4,
                head_dim=32,
                d_model=128,
                d_ff=256,
                init=init,
            )
        ).eval()
        init_weights(model, generator(0, "weights"))
        source, target = (
            torch.randint(2000, (8, 12), generator=generator(3, name))
            for name in ("source", "target")
        )
        with torch.no_grad():
            loss = nn.functional.cross_entropy(
                model(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten()
            )
        assert float(loss) == pytest.approx(7.6009, rel=0.03)  # ln 2000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n_head": 0}, "n_head"),
        ({"dropout": 1.0}, "dropout"),
        ({"position": "rotary", "head_dim": 5}, "head_dim"),
    ],
)
def test_wrong_settings_are_refused_with_their_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        EncoderDecoderConfig(vocab_size=10, **changes)
    assert caught.value.field == field
