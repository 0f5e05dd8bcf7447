"""What <cls> looked at as one page of HTML that opens without a network: the text shaded by attention, every head to choose from, the labels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chatwright.inspection.label_attention import LabelAttention

TEMPLATE = Path(__file__).with_name("label_page.html")
PLACE = "/* the texts */ null"


def label_page(texts: Sequence[tuple[Mapping[str, float], Sequence[LabelAttention]]]) -> str:
    """The page for (probability of every label, attention of every piece) of each text."""
    data = [
        {
            "labels": [[name, round(share, 4)] for name, share in shares.items()],
            "pieces": [_plain(piece) for piece in pieces],
        }
        for shares, pieces in texts
    ]
    # A text may hold "</script>": in JSON inside a page every "<" is written as its escape.
    return TEMPLATE.read_text(encoding="utf-8").replace(
        PLACE, json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    )


def _plain(piece: LabelAttention) -> dict[str, Any]:
    weights = (piece.weights * 10_000).round().int()  # finer than any shade
    return {"tokens": piece.tokens, "weights": weights.tolist()}
