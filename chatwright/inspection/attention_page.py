"""An HTML page of attention maps, for every layer and head and their mean.

The page needs no network.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatwright.inspection.attention_maps import AttentionMap

TEMPLATE = Path(__file__).with_name("attention_page.html")
DATA_MARKER = "/* the maps */ null"  # replaced by the data


def attention_page(title: str, texts: Sequence[tuple[str, str, Sequence[AttentionMap]]]) -> str:
    """Return the page as HTML. Each of `texts` is (source, translation, attention maps)."""
    data = {
        "title": title,
        "texts": [
            {"heading": source, "result": translation, "maps": [_to_json(m) for m in maps]}
            for source, translation, maps in texts
        ],
    }
    return fill_template(TEMPLATE, DATA_MARKER, data)


def fill_template(template: Path, marker: str, data: Any) -> str:
    """Replace the marker in an HTML template by `data` as JSON.

    "<" is escaped: a text may contain "</script>", which would end the script.
    """
    json_text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return template.read_text(encoding="utf-8").replace(marker, json_text)


def _to_json(attention_map: AttentionMap) -> dict[str, Any]:
    # The page divides by 1000 again. Integers keep it small, and its colors show less precision.
    weights = (attention_map.weights * 1000).round().int()
    return {
        "name": attention_map.title,
        "about": attention_map.description,
        "queries": attention_map.queries,
        "keys": attention_map.keys,
        "weights": weights.tolist(),
    }
