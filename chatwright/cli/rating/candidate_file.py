"""The file of prompts with replies that wait to be ranked: one JSON object a line.

    {"prompt": [{"role": "user", "content": "..."}],
     "replies": [{"message": {...}, "weights": "..."}, ...]}

`chatwright rate` keeps the replies that it samples in such a file, so that a later session shows
the same ones. `chatwright compare --votes-out` writes one too.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chatwright.data.preferences import Ranking
from chatwright.data.readers.feedback_json import feedback_from_json, feedback_to_json
from chatwright.data.readers.values import parse_json
from chatwright.data.rows import DataError, Location
from chatwright.pipeline.collect import Candidates

# A row is a ranking that lacks these fields.
_UNRATED = {"feedback": "ranking", "rater": "nobody", "time": "2000-01-01T00:00:00+00:00"}


def read_candidates(path: Path) -> list[Candidates]:
    """Read the file; a last line that a crash cut is left out.

    Raises DataError, which names the line, if a line holds no prompt with replies.
    """
    if not path.is_file():
        raise DataError(Location(str(path)), "there is no such file", "check the path")
    *whole, _rest = path.read_text(encoding="utf-8").split("\n")
    return [
        _candidates(line, Location(str(path), number))
        for number, line in enumerate(whole, 1)
        if line.strip()
    ]


def append_candidates(path: Path, candidates: Sequence[Candidates]) -> None:
    """Append prompts with replies. A last line that a crash cut is removed first."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if cut := len(text) - (text.rfind("\n") + 1):
        path.write_text(text[:-cut], encoding="utf-8", newline="\n")
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(_row(c), ensure_ascii=False) + "\n" for c in candidates)


def _candidates(line: str, location: Location) -> Candidates:
    values = parse_json(line, location)
    if not isinstance(values, dict):
        raise DataError(location, "the line is not an object", "remove it")
    n_reply = len(values["replies"]) if isinstance(values.get("replies"), list) else 0
    row: dict[str, Any] = {**values, **_UNRATED, "ranks": [1] * n_reply}
    ranking = feedback_from_json(row, location)
    assert isinstance(ranking, Ranking), "the row says that it is a ranking"
    return Candidates(ranking.prompt, ranking.replies)


def _row(candidates: Candidates) -> dict[str, Any]:
    ranking = Ranking(
        prompt=candidates.prompt,
        rater=_UNRATED["rater"],
        time=datetime(2000, 1, 1, tzinfo=UTC),
        replies=candidates.replies,
        ranks=(1,) * len(candidates.replies),
    )
    row = feedback_to_json(ranking)
    return {key: row[key] for key in ("prompt", "replies")}
