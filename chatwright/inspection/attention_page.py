"""Attention maps as one page of HTML that opens without a network: every layer and head, their mean, and the two texts side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatwright.inspection.attention_maps import AttentionMap

TEMPLATE = Path(__file__).with_name("attention_page.html")
PLACE = "/* the maps */ null"


def attention_page(title: str, texts: Sequence[tuple[str, str, Sequence[AttentionMap]]]) -> str:
    """The page for (heading, what came out, maps) of each text."""
    data = {
        "title": title,
        "texts": [
            {"heading": heading, "result": result, "maps": [_plain(m) for m in maps]}
            for heading, result, maps in texts
        ],
    }
    # A text may hold "</script>": in JSON inside a page every "<" is written as its escape.
    return TEMPLATE.read_text(encoding="utf-8").replace(
        PLACE, json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    )


def _plain(attention_map: AttentionMap) -> dict[str, Any]:
    weights = (attention_map.weights * 1000).round().int()  # thousandths are finer than any shade
    return {
        "name": attention_map.name,
        "about": attention_map.about,
        "queries": attention_map.queries,
        "keys": attention_map.keys,
        "weights": weights.tolist(),
    }
