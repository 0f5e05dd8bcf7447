"""Which of several chat templates is read, compared with transformers."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from chatwright.tokenizer import imported_files
from tests.tokenizer.example_tokenizers import write_chatml, write_json

NAMED = [
    {"name": "tool_use", "template": "tools"},
    {"name": "default", "template": "chat"},
]


@pytest.mark.parametrize(
    ("in_config", "file", "expected"),
    [
        ("config", None, "config"),
        ("config", "file", "file"),
        (NAMED, None, "chat"),
        (NAMED, "file", "file"),
        (None, "file", "file"),
        (None, None, ""),
    ],
)
def test_the_template_is_the_one_that_transformers_uses(
    in_config: Any, file: str | None, expected: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    path = write_chatml(tmp_path) / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"chat_template": in_config}
    if in_config is None:
        del config["chat_template"]
    write_json(path, config)
    if file is not None:
        (tmp_path / "chat_template.jinja").write_text(file)
    assert imported_files.read(tmp_path).chat_template == expected
    if expected:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert AutoTokenizer.from_pretrained(tmp_path).get_chat_template() == expected
