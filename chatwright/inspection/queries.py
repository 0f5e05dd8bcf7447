"""Answer questions about what a decoder computes, as JSON in and out.

A query holds `token_ids`, `heads_off` (a list of [layer, head]) and `what`:

    tokens      {"tokens": [{id, log_prob, rank, best}], "loss", "vocab_size", "n_layer", "n_head"}:
                how well each token was predicted by those before it; null for the first, and for
                those before `first`; loss is their mean
    next        position, top, sampling: {"tokens": [{id, probability, drawn_with}]}
    attention   layer, head, first (a query), rows: {"shape": [rows, T], "weights": base64}
    heads       position: {"heads": [...]}, a summary of each head at one token
    lens        position, top: {"layers": [[{id, probability}]]}

Weights are float32 numbers in little-endian order, row by row.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.inspection.decoder_trace import DecoderTrace, TokenProbability, trace_decoder
from chatwright.inspection.sampling_view import sampled_distribution
from chatwright.model.gpt import GPT
from chatwright.model.head_name import Head

Json = dict[str, Any]
Key = tuple[tuple[int, ...], tuple[Head, ...]]
N_TRACE = 2
"""Traces that are kept: a reply, and the same one with heads switched off."""


class TraceCache:
    """The newest traces of one model, so that several questions about a text read it once."""

    def __init__(self, n_trace: int = N_TRACE) -> None:
        self._n_trace = n_trace
        self._traces: OrderedDict[Key, DecoderTrace] = OrderedDict()

    def trace(
        self, model: GPT, token_ids: Sequence[int], heads_off: Sequence[Head]
    ) -> DecoderTrace:
        """Return the trace of a text, from the cache if it is there."""
        key = (tuple(token_ids), tuple(sorted(heads_off)))
        found = self._traces.pop(key, None) or trace_decoder(model, token_ids, heads_off)
        self._traces[key] = found
        if len(self._traces) > self._n_trace:
            self._traces.popitem(last=False)
        return found


def answer_query(model: GPT, traces: TraceCache, query: Json) -> Json:
    """Answer one query; InputError if it asks for something that does not exist."""
    heads_off = [Head(*head) for head in query.get("heads_off", ())]
    trace = traces.trace(model, query["token_ids"], heads_off)
    match query["what"]:
        case "tokens":
            return _scores(trace, max(1, query.get("first", 0)))
        case "next":
            return _next(trace, query)
        case "attention":
            return _attention(trace, query)
        case "heads":
            return _heads(trace, _position(trace, query))
        case "lens":
            layers = trace.logit_lens(_position(trace, query), query.get("top", 5))
            return {"layers": [_tokens(layer) for layer in layers]}
        case what:
            raise InputError(
                f"what = {what!r} is no question.",
                remedy="Ask for tokens, next, attention, heads or lens.",
                field="what",
                value=what,
            )


def _scores(trace: DecoderTrace, first: int) -> Json:
    scores = trace.token_scores(first)
    columns = (scores.log_probs.tolist(), scores.ranks.tolist(), scores.best.tolist())
    tokens: list[Json] = [
        {"id": token_id, "log_prob": None, "rank": None, "best": None}
        for token_id in trace.token_ids[:first]
    ]
    tokens += [
        {"id": token_id, "log_prob": log_prob, "rank": rank, "best": best}
        for token_id, log_prob, rank, best in zip(trace.token_ids[first:], *columns, strict=True)
    ]
    n_scored = len(scores.log_probs)
    loss = -float(scores.log_probs.astype(np.float64).mean()) if n_scored else None
    config = trace.model.config
    shape = {
        "vocab_size": config.vocab_size,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
    }
    return {"tokens": tokens, "loss": loss, **shape}


def _next(trace: DecoderTrace, query: Json) -> Json:
    position = _position(trace, query)
    tokens = trace.next_tokens(position, query.get("top", 10))
    drawn = sampled_distribution(
        trace.logits(position), SamplingConfig(**query.get("sampling", {}))
    )
    pairs = zip(_tokens(tokens), tokens, strict=True)
    return {
        "tokens": [{**item, "drawn_with": float(drawn[token.token_id])} for item, token in pairs]
    }


def _attention(trace: DecoderTrace, query: Json) -> Json:
    first, n_row = query.get("first", 0), query.get("rows")
    rows = trace.head_attention(query["layer"], query["head"], first, n_row)
    content = base64.b64encode(rows.astype("<f4").tobytes()).decode("ascii")
    return {"shape": list(rows.shape), "weights": content}


def _heads(trace: DecoderTrace, position: int) -> Json:
    """Summarize each head at one token.

    `entropy` is in bits: 0 if the head attends to one token. `first` and `previous` are the weights
    of the text's first token and of the token before; `best` is the token with the largest weight.
    """
    found = []
    for layer, rows in enumerate(trace.attention_from(position)):
        for number, row in enumerate(rows):
            seen = row[: position + 1].astype(np.float64)
            logs = np.log2(seen, where=seen > 0, out=np.zeros_like(seen))
            found.append(
                {
                    "layer": layer,
                    "head": number,
                    "entropy": float(-(seen * logs).sum()),
                    "first": float(seen[0]),
                    "previous": float(seen[position - 1]) if position else 0.0,
                    "best": int(seen.argmax()),
                }
            )
    return {"heads": found}


def _tokens(tokens: Sequence[TokenProbability]) -> list[Json]:
    return [{"id": token.token_id, "probability": token.probability} for token in tokens]


def _position(trace: DecoderTrace, query: Json) -> int:
    return trace.index_of(int(query.get("position", -1)))
