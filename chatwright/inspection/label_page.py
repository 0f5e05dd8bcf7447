"""An HTML page of what [CLS] attended to: the tokens shaded by attention, for every head.

The page needs no network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chatwright.inspection.attention_page import fill_template
from chatwright.inspection.label_attention import LabelAttention

TEMPLATE = Path(__file__).with_name("label_page.html")
DATA_MARKER = "/* the texts */ null"


def label_page(texts: Sequence[tuple[Mapping[str, float], Sequence[LabelAttention]]]) -> str:
    """Write the page; each text is (probability of every label, attention of every piece)."""
    data = [
        {
            "labels": [[name, round(share, 4)] for name, share in probabilities.items()],
            "pieces": [_to_json(piece) for piece in pieces],
        }
        for probabilities, pieces in texts
    ]
    return fill_template(TEMPLATE, DATA_MARKER, data)


def _to_json(piece: LabelAttention) -> dict[str, Any]:
    weights = (piece.weights * 10_000).round().int()  # finer than a shade
    return {"tokens": piece.tokens, "weights": weights.tolist()}
