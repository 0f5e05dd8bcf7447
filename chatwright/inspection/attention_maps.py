"""Who looked at whom while a text was read or written, gathered from the model that did it: weights of every layer and head, with the tokens."""

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
    name: str
    about: str
    queries: list[str]  # T tokens that look
    keys: list[str]  # S tokens that are looked at
    weights: Tensor  # (n_layer, H, T, S), each row sums to 1


@torch.no_grad()
def translation_maps(
    model: EncoderDecoder, tokenizer: Tokenizer, source: str, written: Sequence[int]
) -> list[AttentionMap]:
    """A source and what was written for it (ids, <end> included if it came to one): cross-attention, the encoder's and the decoder's own.

    The decoder looks where it stands for what comes next, so its rows are named by the token they choose.
    """
    read, begun = (
        source_ids(tokenizer.encode(source), tokenizer.control),
        [decoder_start_id(tokenizer.control, model.config.start_id), *written[:-1]],
    )
    sources, chosen, before = (labels(tokenizer, ids) for ids in (read, written, begun))
    watched = {
        "cross": _attentions(model.decoder, "cross_attention"),
        "source": _attentions(model.encoder, "attention"),
        "written": _attentions(model.decoder, "attention"),
    }
    weights = _observe(
        watched,
        lambda: model.hidden_states(
            torch.tensor([read], device=model.device), torch.tensor([begun], device=model.device)
        ),
    )
    return [
        AttentionMap(
            "The translation looks at the source",
            "Cross-attention: where the decoder looked when it chose each token.",
            chosen,
            sources,
            weights["cross"],
        ),
        AttentionMap(
            "The source looks at itself",
            "The encoder's self-attention: every token sees all others, before and after it.",
            sources,
            sources,
            weights["source"],
        ),
        AttentionMap(
            "The translation looks back at itself",
            "The decoder's self-attention: only what is already written can be seen.",
            chosen,
            before,
            weights["written"],
        ),
    ]


def _attentions(stack: Stack, name: str) -> list[Attention]:
    found = [getattr(block, name) for block in stack.blocks]
    assert all(isinstance(attention, Attention) for attention in found), (
        f"every block has its {name}"
    )
    return found


def _observe(
    watched: Mapping[str, Sequence[Attention]], run: Callable[[], Any]
) -> dict[str, Tensor]:
    """Weights (n_layer, H, T, S) of each group while `run` runs the model on one text."""
    seen: dict[str, list[Tensor]] = {name: [] for name in watched}
    stops = [
        attention.observe(_keeping(seen[name]))
        for name, attentions in watched.items()
        for attention in attentions
    ]
    try:
        run()
    finally:
        for stop in stops:
            stop()
    return {name: torch.stack(layers) for name, layers in seen.items()}


def _keeping(layers: list[Tensor]) -> Callable[[Tensor], None]:
    return lambda weights: layers.append(weights[0].float().cpu())


def labels(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Each token as a person reads it: a piece that goes on a word begins with a dot, a control token stands in angle brackets."""
    texts = [tokenizer.token_bytes(token_id).decode("utf-8", errors="replace") for token_id in ids]
    shown = []
    for token_id, text, before in zip(ids, texts, ["", *texts], strict=False):
        name = tokenizer.control.name_of(token_id)
        goes_on = before[-1:].isalnum() and text[:1].isalnum()
        shown.append(
            f"⟨{name.strip('<|>[]').lower()}⟩" if name else "·" * goes_on + (text.strip() or "␣")
        )
    return shown
