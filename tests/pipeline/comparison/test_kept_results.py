"""Kept results survive a crash: whole lines are read, a torn last line is dropped."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.comparison.kept_results import KeptResults


def test_results_are_read_again(tmp_path: Path) -> None:
    kept = KeptResults(tmp_path / "new" / "kept.jsonl")
    kept["a"] = {"text": "Grüße\n", "n": 1}
    kept["b"] = [True, None]
    assert dict(KeptResults(kept.path)) == {"a": {"text": "Grüße\n", "n": 1}, "b": [True, None]}


def test_every_torn_last_line_is_dropped_and_can_be_written_again(tmp_path: Path) -> None:
    kept = KeptResults(tmp_path / "kept.jsonl")
    kept["a"], kept["b"] = 1, "ü"
    content = kept.path.read_bytes()
    first = content.index(b"\n") + 1
    for length in range(first, len(content)):
        kept.path.write_bytes(content[:length])
        again = KeptResults(kept.path)
        assert dict(again) == {"a": 1}
        again["b"] = "ü"
        assert kept.path.read_bytes() == content


def test_another_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    path.write_text('{"key": "a", "value": 1}\n{"prompt": "x"}\n')
    with pytest.raises(InputError) as caught:
        KeptResults(path)
    assert (caught.value.field, caught.value.value) == (str(path), 2)
