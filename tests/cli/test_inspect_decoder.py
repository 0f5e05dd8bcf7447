"""`chatwright inspect tokens|next|attention|lens` print what a trace holds."""

import json
from pathlib import Path

import numpy as np
import pytest

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.inspection.decoder_trace import trace_decoder
from chatwright.model.head_name import Head
from tests.cli.conftest import Command
from tests.server.small_model import TOKENIZER, small_model

TEXT = "abc def"
IDS = [TOKENIZER.control.bos, *TOKENIZER.encode(TEXT)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inspect") / "model"
    model_directory.save(path, small_model(), TOKENIZER)
    return path


def run(command: Command, *arguments: object) -> object:
    outcome = command("inspect", *arguments, "--json")
    assert outcome.status == 0, outcome.error
    return json.loads(outcome.out)


def test_tokens(model: Path, command: Command) -> None:
    rows = run(command, "tokens", model, TEXT)
    trace = trace_decoder(small_model(), IDS)
    assert [row["id"] for row in rows] == IDS
    found = [row["log_prob"] for row in rows]
    assert found[0] is None
    np.testing.assert_allclose(found[1:], trace.token_log_probs(), rtol=1e-5)


def test_next_with_and_without_a_head(model: Path, command: Command) -> None:
    for off in ((), ("1.0",)):
        options = [part for name in off for part in ("--off", name)]
        rows = run(command, "next", model, TEXT, "--top", 3, "--set", "top_k=1", *options)
        trace = trace_decoder(small_model(), IDS, [Head(1, 0)] if off else [])
        expected = trace.next_tokens(len(IDS) - 1, 3)
        assert [row["id"] for row in rows] == [token.token_id for token in expected]
        assert [row["drawn_with"] for row in rows] == [1.0, 0.0, 0.0]


def test_attention_and_lens(model: Path, command: Command, tmp_path: Path) -> None:
    found = run(command, "attention", model, TEXT, "--layer", 1, "--head", 1)
    trace = trace_decoder(small_model(), IDS)
    np.testing.assert_allclose(found["weights"], trace.attention(1)[1], rtol=1e-5, atol=1e-7)
    layers = run(command, "lens", model, TEXT, "--position", 2)
    expected = trace.logit_lens(2, 4)
    assert [[t["token_id"] for t in layer] for layer in layers] == [
        [token.token_id for token in layer] for layer in expected
    ]
    outcome = command("inspect", "attention", model, TEXT, "--page", tmp_path / "page.html")
    assert outcome.status == 0
    assert (tmp_path / "page.html").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["tokens"], "text"),
        (["next", TEXT, "--position", "99"], "position"),
        (["attention", TEXT, "--layer", "9"], "layer"),
        (["attention", TEXT, "--head", "9"], "head"),
        (["lens", TEXT, "--off", "1"], "off"),
        (["lens", TEXT, "--off", "7.0"], "heads_off"),
        (["lens", TEXT, "--reply", "missing.json"], "text"),
    ],
)
def test_wrong_input_names_its_field(
    model: Path, command: Command, arguments: list[str], field: str
) -> None:
    verb, *rest = arguments
    outcome = command("inspect", verb, model, *rest)
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == field
