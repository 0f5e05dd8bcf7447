"""Attention weights of a translation, for every layer and head, with the tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.model.attention import Attention
from chatwright.model.encoder_decoder import EncoderDecoder, Stack
from chatwright.tokenizer.sentence_pair import decoder_start_id, source_ids
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class AttentionMap:
    """The weights of cross-attention, or of self-attention in the encoder or decoder."""

    title: str
    description: str
    queries: list[str]
    """The T tokens of the queries. Those of the decoder are the tokens it predicts."""
    keys: list[str]
    """The S tokens of the keys, which the queries attend to."""
    weights: Tensor
    """(n_layer, H, T, S); each row sums to 1."""


# Title and description of each kind of attention in a translation.
CROSS = (
    "From the translation to the source",
    "Cross-attention: which source tokens the decoder used to predict each token.",
)
ENCODER = (
    "Within the source",
    "Self-attention of the encoder: every token can attend to the whole source.",
)
DECODER = (
    "Within the translation",
    "Self-attention of the decoder: each token is predicted from the tokens before it.",
)


@torch.no_grad()
def translation_maps(
    model: EncoderDecoder, tokenizer: Tokenizer, source: str, target_ids: Sequence[int]
) -> list[AttentionMap]:
    """Compute cross-attention and self-attention of a source and its translation.

    Args:
        model: The model that translated.
        tokenizer: Its tokenizer.
        source: The source text.
        target_ids: Token ids of the translation, with <end> if it has one.
    """
    encoder_ids = source_ids(tokenizer.encode(source), tokenizer.control)
    start_id = decoder_start_id(tokenizer.control, model.config.start_id)
    decoder_ids = [start_id, *target_ids[:-1]]
    source_tokens = token_labels(tokenizer, encoder_ids)
    predicted_tokens = token_labels(tokenizer, target_ids)
    target_tokens = token_labels(tokenizer, decoder_ids)

    def run() -> None:
        source_row = torch.tensor([encoder_ids], device=model.device)
        target_row = torch.tensor([decoder_ids], device=model.device)
        model.hidden_states(source_row, target_row)

    groups = {
        "cross": _attentions(model.decoder, "cross_attention"),
        "encoder": _attentions(model.encoder, "attention"),
        "decoder": _attentions(model.decoder, "attention"),
    }
    layers = observed_weights(groups, run)
    cross, encoder, decoder = (torch.stack(layers[name]) for name in groups)
    return [
        AttentionMap(*CROSS, predicted_tokens, source_tokens, cross),
        AttentionMap(*ENCODER, source_tokens, source_tokens, encoder),
        AttentionMap(*DECODER, predicted_tokens, target_tokens, decoder),
    ]


def _attentions(stack: Stack, name: str) -> list[Attention]:
    attentions: list[Attention] = []
    for block in stack.blocks:
        attention = getattr(block, name)
        assert isinstance(attention, Attention), f"every block has a layer {name}"
        attentions.append(attention)
    return attentions


def observed_weights(
    groups: Mapping[str, Sequence[Attention]], run: Callable[[], Any]
) -> dict[str, list[Tensor]]:
    """Collect the weights of groups of attention layers while `run` runs the model on one text.

    Returns, for each group, the weights (H, T, S) of its layers in the order of computation.
    """
    weights: dict[str, list[Tensor]] = {name: [] for name in groups}
    stop_functions = [
        attention.observe(_append_to(weights[name]))
        for name, attentions in groups.items()
        for attention in attentions
    ]
    try:
        run()
    finally:
        for stop in stop_functions:
            stop()
    return weights


def _append_to(layers: list[Tensor]) -> Callable[[Tensor], None]:
    return lambda weights: layers.append(weights[0].float().cpu())


def token_labels(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Return a readable label of each token.

    The label begins with "·" if the token continues a word. Control tokens are in angle brackets.
    """
    texts = [tokenizer.token_bytes(token_id).decode("utf-8", errors="replace") for token_id in ids]
    labels: list[str] = []
    for token_id, text, previous in zip(ids, texts, ["", *texts], strict=False):
        name = tokenizer.control.name_of(token_id)
        if name:
            labels.append(f"⟨{name.strip('<|>[]').lower()}⟩")
            continue
        continues_word = previous[-1:].isalnum() and text[:1].isalnum()
        labels.append(("·" if continues_word else "") + (text.strip() or "␣"))
    return labels
