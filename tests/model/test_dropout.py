"""Token dropout leaves out the embeddings of whole tokens in every architecture."""

from collections.abc import Callable

import pytest
import torch

from chatwright.devices import generator
from chatwright.model import encoder, encoder_decoder, gpt
from chatwright.model.dropout import Dropout, set_dropout_generator
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model

TOKENS = torch.arange(40).view(2, 20) % 17


def decoder() -> Model:
    model = gpt.GPT(
        GPTConfig(
            vocab_size=17,
            n_layer=1,
            d_model=16,
            n_head=2,
            n_kv_head=2,
            head_dim=8,
            d_ff=16,
            token_dropout=0.5,
        )
    )
    gpt.init_weights(model, generator(0, "weights"))
    return model


def bidirectional_encoder() -> Model:
    model = encoder.Encoder(
        EncoderConfig(
            vocab_size=17, n_layer=1, d_model=16, n_head=2, head_dim=8, d_ff=16, token_dropout=0.5
        )
    )
    encoder.init_weights(model, generator(0, "weights"))
    return model


def translator() -> Model:
    model = encoder_decoder.EncoderDecoder(
        EncoderDecoderConfig(
            vocab_size=17,
            n_encoder_layer=1,
            n_decoder_layer=1,
            d_model=16,
            n_head=2,
            head_dim=8,
            d_ff=16,
            dropout=0.0,
            embedding_dropout=0.0,
            token_dropout=0.5,
        )
    )
    encoder_decoder.init_weights(model, generator(0, "weights"))
    return model


def dropped_tokens() -> torch.Tensor:
    """Return which tokens are dropped by the first noise of the generator. (2, 20)."""
    dropout = Dropout(0.5)
    set_dropout_generator(dropout, generator(0, "dropout"))
    return dropout.drop_vectors(torch.ones(2, 20, 1))[..., 0] == 0


@pytest.mark.parametrize(
    "make", [decoder, bidirectional_encoder, translator], ids=lambda make: make.__name__
)
def test_the_output_does_not_depend_on_a_dropped_token(make: Callable[[], Model]) -> None:
    model, dropped = make().train(), dropped_tokens()
    assert 10 < int(dropped.sum()) < 30

    def run(tokens: torch.Tensor) -> torch.Tensor:
        set_dropout_generator(model, generator(0, "dropout"))
        if isinstance(model, encoder_decoder.EncoderDecoder):
            return model.encode(tokens, None)
        return model.hidden_states(tokens)

    before = run(TOKENS)
    assert torch.equal(run(torch.where(dropped, 3, TOKENS)), before)
    assert not torch.equal(run(torch.where(dropped, TOKENS, 3)), before)
    model.eval()
    assert not torch.equal(run(torch.where(dropped, 3, TOKENS)), run(TOKENS)), (
        "no token is dropped in eval mode"
    )


@pytest.mark.parametrize("p", [0.0001, 0.999])
def test_extreme_rates_give_finite_numbers_that_are_neither_all_kept_nor_all_dropped(
    p: float,
) -> None:
    dropout = Dropout(p)
    set_dropout_generator(dropout, generator(0, "dropout"))
    out = dropout(torch.ones(100_000))
    assert bool(out.isfinite().all())
    assert 0.0 < float((out == 0).float().mean()) < 1.0
