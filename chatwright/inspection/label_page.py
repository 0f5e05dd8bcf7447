"""An HTML page that shades each token by the attention of [CLS] to it, for every head.

The page needs no network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chatwright.inspection.attention_page import fill_template
from chatwright.inspection.label_attention import LabelAttention

TEMPLATE = Path(__file__).with_name("label_page.html")
DATA_MARKER = "/* the texts */ null"  # replaced by the data


def label_page(texts: Sequence[tuple[Mapping[str, float], Sequence[LabelAttention]]]) -> str:
    """Return the page as HTML.

    Each of `texts` is (probability of every label, attention in every piece of the text).
    """
    data = [
        {
            "labels": [
                [name, round(probability, 4)] for name, probability in probabilities.items()
            ],
            "pieces": [_to_json(piece) for piece in pieces],
        }
        for probabilities, pieces in texts
    ]
    return fill_template(TEMPLATE, DATA_MARKER, data)


def _to_json(piece: LabelAttention) -> dict[str, Any]:
    # The page divides by 10,000 again. Integers keep it small, and its colors show less precision.
    weights = (piece.weights * 10_000).round().int()
    return {"tokens": piece.tokens, "weights": weights.tolist()}
