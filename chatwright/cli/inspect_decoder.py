"""Look into a decoder: `chatwright inspect tokens`, `next`, `attention` and `lens`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import ModelDirectory
from chatwright.cli.output import print_json
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.inspection.decoder_trace import DecoderTrace
    from chatwright.model.head_name import Head
    from chatwright.pipeline.inspected_text import InspectedText

Text = Annotated[str, typer.Argument(help="The text that the model reads.")]
IsMessage = Annotated[
    bool, typer.Option("--chat", help="The text is a user's message, not plain text.")
]
Reply = Annotated[
    Path | None,
    typer.Option(
        "--reply",
        help='Look at a reply as it was served: a response to a request with "receipt": true.',
    ),
]
Off = Annotated[
    list[str] | None,
    typer.Option("--off", help="Switch an attention head off: LAYER.HEAD, counted from 0."),
]
Position = Annotated[
    int, typer.Option("--position", help="Which token, from 0; -1 is the last one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def tokens(
    directory: ModelDirectory,
    text: Text = "",
    is_message: IsMessage = False,
    reply: Reply = None,
    off: Off = None,
    as_json: Json = False,
) -> None:
    """Show the tokens of a text, and how probable each one was for the model.

    Improbable tokens surprised the model.
    """
    from math import exp

    read, trace = _read(directory, text, is_message, reply, off)
    log_probs = [None, *trace.token_log_probs().tolist()]
    rows = [
        {"position": i, "id": token_id, "token": _shown(read, token_id), "log_prob": log_prob}
        for i, (token_id, log_prob) in enumerate(zip(read.token_ids, log_probs, strict=True))
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        probability = "" if row["log_prob"] is None else f"{exp(row['log_prob']):8.4f}"
        print(f"{row['position']:5} {row['id']:7} {probability:8}  {row['token']}")


def next_tokens(
    directory: ModelDirectory,
    text: Text = "",
    is_message: IsMessage = False,
    reply: Reply = None,
    position: Position = -1,
    top: Annotated[int, typer.Option("--top", min=1, help="Number of tokens to show.")] = 10,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A sampling setting that changes the second column: temperature=0.7."
        ),
    ] = None,
    off: Off = None,
    as_json: Json = False,
) -> None:
    """Show the most probable next tokens, before and after the sampling settings.

    The first column is the model's own distribution. The second is the one that tokens are drawn
    from with these settings: temperature, top_k, top_p, min_p, typical_p.
    """
    from chatwright.cli.load_model import read_sampling
    from chatwright.inspection.sampling_view import sampled_distribution

    read, trace = _read(directory, text, is_message, reply, off)
    place = trace.index_of(position)
    sampling = read_sampling(settings or [])
    drawn = sampled_distribution(trace.logits(place), sampling)
    rows = [
        {
            "id": found.token_id,
            "token": _shown(read, found.token_id),
            "probability": found.probability,
            "drawn_with": float(drawn[found.token_id]),
        }
        for found in trace.next_tokens(place, top)
    ]
    if as_json:
        print_json(rows)
        return
    print("  model  drawn  token")
    for row in rows:
        print(f"{row['probability']:7.4f} {row['drawn_with']:6.4f}  {row['token']}")


def attention(
    directory: ModelDirectory,
    text: Text = "",
    is_message: IsMessage = False,
    reply: Reply = None,
    layer: Annotated[int, typer.Option("--layer", help="The layer, from 0.")] = 0,
    head: Annotated[int, typer.Option("--head", help="The head, from 0.")] = 0,
    position: Position = -1,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Write a page with the maps of all heads of all layers."),
    ] = None,
    off: Off = None,
    as_json: Json = False,
) -> None:
    """Show which earlier tokens a token attends to, in one head; or write a page of all heads."""
    read, trace = _read(directory, text, is_message, reply, off)
    if page is not None:
        _write_page(read, trace, page)
        return
    weights = trace.head_attention(layer, head)
    if as_json:
        print_json({"layer": layer, "head": head, "weights": weights.tolist()})
        return
    row = weights[trace.index_of(position)]
    for place, weight in enumerate(row.tolist()):
        if weight:
            bar = "#" * round(weight * 40)
            print(f"{place:5} {weight:7.4f}  {_shown(read, read.token_ids[place]):16} {bar}")


def lens(
    directory: ModelDirectory,
    text: Text = "",
    is_message: IsMessage = False,
    reply: Reply = None,
    position: Position = -1,
    top: Annotated[int, typer.Option("--top", min=1, help="Tokens to show for each layer.")] = 4,
    off: Off = None,
    as_json: Json = False,
) -> None:
    """Show what each layer would predict next: the logit lens.

    The model's last norm and its head read the state after each layer.
    """
    read, trace = _read(directory, text, is_message, reply, off)
    found = trace.logit_lens(trace.index_of(position), top)
    if as_json:
        print_json(
            [
                [{**token._asdict(), "token": _shown(read, token.token_id)} for token in layer]
                for layer in found
            ]
        )
        return
    for layer, best in enumerate(found):
        parts = [f"{_shown(read, token.token_id)} {token.probability:.3f}" for token in best]
        print(f"after layer {layer:3}:  {'   '.join(parts)}")


def _read(
    directory: Path, text: str, is_message: bool, reply: Path | None, off: list[str] | None
) -> "tuple[InspectedText, DecoderTrace]":
    from chatwright.inspection.decoder_trace import trace_decoder
    from chatwright.pipeline.inspected_text import read_text

    read = read_text(directory, text, is_message, reply)
    return read, trace_decoder(read.model, read.token_ids, [_head(name) for name in off or []])


def _head(name: str) -> "Head":
    from chatwright.model.head_name import Head

    layer, _, number = name.partition(".")
    if not (layer.isdecimal() and number.isdecimal()):
        raise InputError(
            f"--off {name} is not a head.",
            remedy="Write LAYER.HEAD, for example --off 0.1.",
            field="off",
            value=name,
        )
    return Head(int(layer), int(number))


def _shown(read: "InspectedText", token_id: int) -> str:
    from chatwright.cli.terminal.token_table import display_token

    return display_token(token_id, read.tokenizer)


def _write_page(read: "InspectedText", trace: "DecoderTrace", path: Path) -> None:
    import numpy as np
    import torch

    from chatwright.inspection.attention_maps import AttentionMap
    from chatwright.inspection.attention_page import attention_page

    if len(read.token_ids) > MOST_TOKENS:
        raise InputError(
            f"A page of {len(read.token_ids)} tokens would be too large; it takes {MOST_TOKENS}.",
            remedy="Give a shorter text, or look at one head with --layer and --head.",
            field="text",
            value=len(read.token_ids),
        )
    weights = np.stack([trace.attention(layer) for layer in range(trace.n_layer)])
    labels = [_shown(read, token_id) for token_id in read.token_ids]
    about = "Self-attention of the decoder: each token attends to itself and earlier tokens."
    maps = [AttentionMap("Attention", about, labels, labels, torch.from_numpy(weights))]
    path.write_text(attention_page("Attention", [("Attention", "", maps)]), encoding="utf-8")
    print(f"written: {path}")


MOST_TOKENS = 200
"""Tokens on a page of all heads."""
