"""Encoder-decoders: every configuration branch, sources and targets padded, step by step with a cache, in training's way, through the engine."""

from typing import Any

import torch
from torch import Tensor

from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.kv_cache import DenseCache
from tests.parity.case import Case, make_random

SOURCES, TARGETS = (
    torch.tensor([19, 11]),
    torch.tensor([16, 9]),
)  # lengths; the shorter ones are padded


def outputs(
    theirs: Any, ours: EncoderDecoder, dtype: torch.dtype | None
) -> dict[str, tuple[Tensor, Tensor]]:
    source, target = draw(ours, 2, 19, 1), draw(ours, 2, 16, 2)
    there, written = (
        torch.arange(n) < lengths[:, None] for n, lengths in ((19, SOURCES), (16, TARGETS))
    )
    padding = masks.padding(SOURCES, 19)
    padded = theirs(input_ids=source, attention_mask=there.long(), decoder_input_ids=target).logits
    long_source, long_target = (
        draw(ours, 1, ours.config.context_length, 3),
        draw(ours, 1, ours.config.context_length, 4),
    )
    long = theirs(input_ids=long_source, decoder_input_ids=long_target).logits
    return {
        "whole": (
            theirs(input_ids=source, decoder_input_ids=target).logits,
            ours(source, target, dtype=dtype),
        ),
        "padded": (padded[written], ours(source, target, padding, dtype)[written]),
        "training": (padded[written], in_training(ours, source, target, padding, dtype)[written]),
        "as long as it reads": (long, ours(long_source, long_target, dtype=dtype)),
        "cache": (padded, with_cache(ours, source, target, padding, dtype)),
        **(
            {"engine": (padded, through_the_engine(ours, source, target))}
            if dtype == torch.float32
            else {}
        ),
    }


def draw(ours: EncoderDecoder, n_row: int, n_token: int, seed: int) -> Tensor:
    return torch.randint(
        ours.config.vocab_size, (n_row, n_token), generator=torch.Generator().manual_seed(seed)
    )


@torch.enable_grad()
def in_training(
    ours: EncoderDecoder, source: Tensor, target: Tensor, padding: Tensor, dtype: torch.dtype | None
) -> Tensor:
    return ours(source, target, padding, dtype).detach()


def with_cache(
    ours: EncoderDecoder, source: Tensor, target: Tensor, padding: Tensor, dtype: torch.dtype | None
) -> Tensor:
    config, T = ours.config, target.shape[1]
    memory = ours.read(ours.encode(source, padding, dtype))
    cache = DenseCache(
        config.n_decoder_layer,
        2,
        config.n_head,
        config.head_dim,
        T,
        dtype or ours.embedding.weight.dtype,
    )
    cuts, pieces = [0, 5, 6, *range(7, T)], []
    for start, end in zip(cuts, [*cuts[1:], T], strict=True):
        positions = torch.arange(start, end).expand(2, -1)
        cache.start_step(torch.arange(2), positions)
        pieces.append(
            ours.head(
                ours.decode(
                    target[:, start:end],
                    memory,
                    padding,
                    masks.causal(positions, T),
                    positions,
                    cache,
                )
            )
        )
    return torch.cat(pieces, dim=1)


def through_the_engine(ours: EncoderDecoder, source: Tensor, target: Tensor) -> Tensor:
    """Packed kernels and tiled attention, a token at a time."""
    with EncoderDecoderForward(ours) as forward:
        rows = forward.begin(
            [ids[:length].tolist() for ids, length in zip(source, SOURCES, strict=True)]
        )
        return torch.stack([rows.next_logits(token_ids) for token_ids in target.T], dim=1)


def _marian(branch: str, **changes: Any) -> Case:
    def make() -> Any:
        from transformers import MarianConfig, MarianMTModel

        shape = {
            "vocab_size": 99,
            "max_position_embeddings": 40,
            "d_model": 48,
            "encoder_layers": 3,
            "decoder_layers": 3,
            "encoder_ffn_dim": 96,
            "decoder_ffn_dim": 96,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "pad_token_id": 98,
            "decoder_start_token_id": 98,
            "activation_function": "swish",
            "scale_embedding": True,
        }
        model = make_random(MarianMTModel, MarianConfig(**(shape | changes)))
        model.final_logits_bias.normal_(
            0.0, 0.5, generator=torch.Generator().manual_seed(5)
        )  # a buffer, and zero where nobody trained it
        for side in (
            model.model.encoder,
            model.model.decoder,
        ):  # no weights: sines, which no file holds
            side.embed_positions.weight = torch.nn.Parameter(
                side.embed_positions.create_weight(), requires_grad=False
            )
        return model

    return Case("marian", branch, make, outputs)


CASES = [
    _marian("as published (opus-mt)"),
    _marian(
        "ReLU, more layers to read than to write",
        activation_function="relu",
        encoder_layers=4,
        decoder_layers=2,
    ),
    _marian("GELU, embeddings not scaled", activation_function="gelu", scale_embedding=False),
    _marian("512 tokens", max_position_embeddings=512),
]
