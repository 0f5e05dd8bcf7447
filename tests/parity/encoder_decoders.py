"""Encoder-decoders to compare with transformers: every setting of MarianMT that changes the output.

Each case compares the logits of whole texts, padded texts and texts of the full context length, of
chunks with a key/value cache, of the forward pass in training, and of the engine.
"""

from typing import Any

import torch
from torch import Tensor

from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.kv_cache import DenseCache
from tests.parity.case import Case, Pairs, make_random

# Lengths of two texts and their translations; the shorter ones are padded.
SOURCE_LENGTHS = torch.tensor([19, 11])
TARGET_LENGTHS = torch.tensor([16, 9])
S, T = 19, 16


def outputs(reference: Any, model: EncoderDecoder, dtype: torch.dtype | None) -> Pairs:
    """Return the logits (B, T, V) of both models for every kind of input and forward pass."""
    source = random_ids(model, 2, S, seed=1)
    target = random_ids(model, 2, T, seed=2)
    is_source = torch.arange(S) < SOURCE_LENGTHS[:, None]  # (B, S)
    is_target = torch.arange(T) < TARGET_LENGTHS[:, None]  # (B, T)
    mask = masks.padding(SOURCE_LENGTHS, S)
    whole = reference(input_ids=source, decoder_input_ids=target).logits
    padded = reference(
        input_ids=source, attention_mask=is_source.long(), decoder_input_ids=target
    ).logits
    full_source = random_ids(model, 1, model.config.context_length, seed=3)
    full_target = random_ids(model, 1, model.config.context_length, seed=4)
    full = reference(input_ids=full_source, decoder_input_ids=full_target).logits
    actual = model(source, target, mask, dtype)
    trained = in_training(model, source, target, mask, dtype)
    pairs = {
        "whole": (whole, model(source, target, dtype=dtype)),
        "padded": (padded[is_target], actual[is_target]),
        "training": (padded[is_target], trained[is_target]),
        "full context": (full, model(full_source, full_target, dtype=dtype)),
        "cache": (padded, with_cache(model, source, target, mask, dtype)),
    }
    if dtype == torch.float32:
        pairs["engine"] = (padded, in_engine(model, source, target))
    return pairs


def random_ids(model: EncoderDecoder, n_row: int, n_token: int, seed: int) -> Tensor:
    """Return random token ids (n_row, n_token)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.vocab_size, (n_row, n_token), generator=generator)


@torch.enable_grad()
def in_training(
    model: EncoderDecoder, source: Tensor, target: Tensor, mask: Tensor, dtype: torch.dtype | None
) -> Tensor:
    """Compute the logits with gradients enabled, which selects the operations for training."""
    return model(source, target, mask, dtype).detach()


def with_cache(
    model: EncoderDecoder, source: Tensor, target: Tensor, mask: Tensor, dtype: torch.dtype | None
) -> Tensor:
    """Compute the logits in chunks of uneven length, most of them a single token."""
    config = model.config
    memory = model.cross_key_values(model.encode(source, mask, dtype))
    cache = DenseCache(
        config.n_decoder_layer,
        2,
        config.n_head,
        config.head_dim,
        T,
        dtype or model.embedding.weight.dtype,
    )
    starts = [0, 5, 6, *range(7, T)]
    chunks = []
    for start, end in zip(starts, [*starts[1:], T], strict=True):
        positions = torch.arange(start, end).expand(2, -1)
        cache.start_step(torch.arange(2), positions)
        causal = masks.causal(positions, T)
        hidden = model.decode(target[:, start:end], memory, mask, causal, positions, cache)
        chunks.append(model.head(hidden))
    return torch.cat(chunks, dim=1)


def in_engine(model: EncoderDecoder, source: Tensor, target: Tensor) -> Tensor:
    """Compute the logits with packed kernels and tiled attention, one token at a time."""
    texts = [ids[:n].tolist() for ids, n in zip(source, SOURCE_LENGTHS, strict=True)]
    with EncoderDecoderForward(model) as forward:
        rows = forward.start(texts)
        return torch.stack([rows.next_logits(token_ids) for token_ids in target.T], dim=1)


SHAPE = {
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


def _marian(variant: str, **changes: Any) -> Case:
    def make_reference() -> Any:
        from transformers import MarianConfig, MarianMTModel

        reference = make_random(MarianMTModel, MarianConfig(**(SHAPE | changes)))
        # This bias is a buffer, so `make_random` left it at zero.
        generator = torch.Generator().manual_seed(5)
        reference.final_logits_bias.normal_(0.0, 0.5, generator=generator)
        # The sinusoidal positions are computed, not saved, so they must not be random.
        for half in (reference.model.encoder, reference.model.decoder):
            positions = half.embed_positions.create_weight()
            half.embed_positions.weight = torch.nn.Parameter(positions, requires_grad=False)
        return reference

    return Case("marian", variant, make_reference, outputs)


CASES = [
    _marian("default settings (opus-mt)"),
    _marian(
        "ReLU, more encoder than decoder layers",
        activation_function="relu",
        encoder_layers=4,
        decoder_layers=2,
    ),
    _marian("GELU, unscaled embeddings", activation_function="gelu", scale_embedding=False),
    _marian("512 tokens", max_position_embeddings=512),
]
