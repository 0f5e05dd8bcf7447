"""The encoder-decoder equals torch.nn.Transformer with the same weights; its laws; decoding step by step equals decoding at once."""

import pytest
import torch
from torch import nn

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder, EncoderDecoderConfig, init_weights
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
    with torch.no_grad():  # away from 0 and 1, so that a forgotten bias or norm weight shows
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.uniform_(0.5, 1.5, generator=generator(1, name))
    return model.eval()


def tokens(B: int, T: int, name: str = "target") -> torch.Tensor:
    return torch.randint(V, (B, T), generator=generator(2, name))


SOURCE, TARGET, LENGTHS = tokens(3, 11, "source"), tokens(3, 9), torch.tensor([11, 7, 4])
PADDING = masks.padding(LENGTHS, 11)


def torch_transformer(model: EncoderDecoder) -> nn.Transformer:
    """The same weights in torch's own modules. Post-norm torch adds a last norm by itself; the paper has none."""
    c = model.config
    common = {
        "d_model": c.d_model,
        "nhead": c.n_head,
        "dim_feedforward": c.d_ff,
        "dropout": 0.0,
        "activation": "relu",
        "batch_first": True,
        "norm_first": c.norm_first,
        "layer_norm_eps": c.norm_eps,
    }
    last = (nn.LayerNorm(c.d_model), nn.LayerNorm(c.d_model)) if c.norm_first else (None, None)
    theirs = nn.Transformer(
        c.d_model,
        c.n_head,
        batch_first=True,
        custom_encoder=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**common),
            c.n_encoder_layer,
            last[0],
            enable_nested_tensor=False,
        ),
        custom_decoder=nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**common), c.n_decoder_layer, last[1]
        ),
    )
    theirs.load_state_dict(weights_for_torch(model))
    return theirs.eval()


def weights_for_torch(model: EncoderDecoder) -> dict[str, torch.Tensor]:
    ours, theirs = model.state_dict(), {}
    for side in ("encoder", "decoder"):
        names = {
            "attention_norm": "norm1",
            "cross_attention_norm": "norm2",
            "feed_forward.up": "linear1",
            "feed_forward.down": "linear2",
            "feed_forward_norm": "norm3" if side == "decoder" else "norm2",
        }
        for kind in ("weight", "bias"):
            for i in range(len(getattr(model, side).blocks)):
                a, b = f"{side}.blocks.{i}", f"{side}.layers.{i}"
                theirs |= {
                    f"{b}.{their}.{kind}": ours[f"{a}.{our}.{kind}"]
                    for our, their in names.items()
                    if f"{a}.{our}.{kind}" in ours
                }
                attentions = (
                    {"attention": "self_attn", "cross_attention": "multihead_attn"}
                    if side == "decoder"
                    else {"attention": "self_attn"}
                )
                for our, their in attentions.items():
                    theirs[f"{b}.{their}.in_proj_{kind}"] = torch.cat(
                        [ours[f"{a}.{our}.{part}.{kind}"] for part in ("query", "key", "value")]
                    )
                    theirs[f"{b}.{their}.out_proj.{kind}"] = ours[f"{a}.{our}.output.{kind}"]
            if f"{side}.norm.{kind}" in ours:
                theirs[f"{side}.norm.{kind}"] = ours[f"{side}.norm.{kind}"]
    return theirs


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
def test_logits_equal_those_of_torch_transformer(norm_first: bool) -> None:
    model = make(norm_first=norm_first)
    theirs = torch_transformer(model)
    hidden = ~PADDING[:, 0, 0]
    with torch.no_grad():
        source, target = (
            model.embedding(ids) * 24**0.5 + model.position_embedding.weight[: ids.shape[1]]
            for ids in (SOURCE, TARGET)
        )
        causal = nn.Transformer.generate_square_subsequent_mask(9) == float("-inf")
        expected = (
            theirs(
                source,
                target,
                tgt_mask=causal,
                src_key_padding_mask=hidden,
                memory_key_padding_mask=hidden,
            )
            @ model.embedding.weight.T
        )
        torch.testing.assert_close(model(SOURCE, TARGET, PADDING), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_a_target_token_changes_nothing_before_it_and_a_source_token_everything(
    changes: dict,
) -> None:
    model, other_target, other_source = make(**changes), TARGET.clone(), SOURCE.clone()
    other_target[:, 5] = (TARGET[:, 5] + 1) % V
    other_source[:, 2] = (SOURCE[:, 2] + 1) % V
    with torch.no_grad():
        plain, later, asked = (
            model(s, t, PADDING)
            for s, t in ((SOURCE, TARGET), (SOURCE, other_target), (other_source, TARGET))
        )
    assert torch.equal(plain[:, :5], later[:, :5])
    assert (plain[:, 5:] != later[:, 5:]).any(dim=-1).all()
    assert (plain != asked).any(dim=-1).all(), (
        "the encoder looks both ways and every target token looks at the source"
    )


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_padding_changes_nothing(changes: dict) -> None:
    model = make(**changes)
    with torch.no_grad():
        padded = model(SOURCE, TARGET, PADDING)
        for row, length in enumerate(LENGTHS.tolist()):
            alone = model(SOURCE[row : row + 1, :length], TARGET[row : row + 1, :6])
            torch.testing.assert_close(padded[row : row + 1, :6], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
@pytest.mark.parametrize("cuts", [[1], [4], list(range(1, 9))], ids=str)
def test_decoding_in_steps_with_a_cache_equals_decoding_at_once(
    changes: dict, cuts: list[int]
) -> None:
    model = make(**changes)
    cache = DenseCache(3, 3, 4, 6, capacity=9)
    with torch.no_grad():
        encoded = model.encode(SOURCE, PADDING)
        whole, memory = model.decode(TARGET, encoded, PADDING), model.read(encoded)
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


def test_the_source_is_read_once_however_many_steps_follow() -> None:
    model, calls = make(), []
    for block in model.decoder.blocks:
        block.cross_attention.key.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        memory = model.read(model.encode(SOURCE, PADDING))
        for n in range(1, 9):
            model.decode(TARGET[:, :n], memory, PADDING)
    assert len(calls) == 3, "once a layer"


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_gradients_of_the_training_path_equal_those_of_torch_fused_attention(
    changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training path keeps attention weights and goes back through them by hand (`SoftmaxAttention`)."""
    model = make(**changes)

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(SOURCE, TARGET, PADDING).square().mean().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    by_hand = gradients()
    monkeypatch.setattr(masks, "for_training", lambda mask, *_: mask)
    fused = gradients()
    assert by_hand.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    for name, gradient in fused.items():
        torch.testing.assert_close(by_hand[name], gradient, atol=1e-6, rtol=1e-3, msg=name)


def test_a_fresh_model_expects_every_token_alike() -> None:
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
        assert abs(float(loss) - 7.6009) < 0.03 * 7.6009, "ln 2000"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 0}, "n_head \\(0\\) must be at least 1"),
        ({"dropout": 1.0}, "dropout \\(1.0\\)"),
        ({"position": "rotary", "head_dim": 5}, "head_dim \\(5\\) must be even"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderDecoderConfig(vocab_size=10, **changes)
