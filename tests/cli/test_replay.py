"""`chatwright replay`: replies of a server are repeated from its responses; damage is reported."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.formats import FORMATS
from chatwright.server.app import make_app
from chatwright.server.engine_process.describe_model import identity_of
from tests.cli.conftest import Command
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "model"
    model_directory.save(path, small_model(), TOKENIZER)
    return path


@pytest.fixture(scope="module")
def responses(model: Path) -> list[dict[str, Any]]:
    return serve(model, "float32")


def serve(model: Path, weights: str) -> list[dict[str, Any]]:
    """Return responses to a chat with two choices, a stream, and a continued text."""
    with Engine(small_model(), EngineConfig(n_slot=4, weights=weights)) as engine:
        app = make_app(None, "m")
        service = app.state.service
        service.publish(Assistant(engine, TOKENIZER), "m", "", identity_of(model, model, engine))
        common = {"model": "m", "max_tokens": 12, "seed": 3, "logit_bias": NO_CONTROL_TOKENS}
        chat = {**common, "messages": [{"role": "user", "content": "abc"}], "receipt": True}
        text = {**common, "prompt": "abc", "receipt": True}
        with TestClient(app, base_url="http://127.0.0.1") as client:
            found = [client.post("/v1/chat/completions", json={**chat, "n": 2}).json()]
            found.append(client.post("/v1/completions", json=text).json())
            stream = client.post("/v1/chat/completions", json={**chat, "stream": True}).text
        chunks = [
            json.loads(part[6:]) for part in stream.split("\n\n") if part.startswith("data: {")
        ]
        found += [chunk for chunk in chunks if "receipts" in chunk.get("chatwright", {})]
    return found


def write(path: Path, values: list[Any]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def test_replies_of_a_server_are_repeated(
    model: Path, responses: list[dict[str, Any]], command: Command, tmp_path: Path
) -> None:
    outcome = command("replay", model, write(tmp_path / "replies.jsonl", responses), "--json")
    assert outcome.status == 0
    results = [json.loads(line) for line in outcome.out.splitlines()]
    assert [result["same"] for result in results] == [True] * 4
    assert all(result["tokens"] == 12 for result in results)


def test_receipts_of_several_weight_formats_are_repeated_in_one_call(
    model: Path, responses: list[dict[str, Any]], command: Command, tmp_path: Path
) -> None:
    if FORMATS["int8"].obstacle():
        pytest.skip("this machine has no kernel for 8-bit weights")
    small = serve(model, "int8")
    assert {one["build"]["weight_format"] for one in receipts_of(small)} == {"int8"}
    mixed = [one for pair in zip(responses, small, strict=True) for one in pair]
    outcome = command("replay", model, write(tmp_path / "replies.jsonl", mixed), "--json")
    assert outcome.status == 0
    results = [json.loads(line) for line in outcome.out.splitlines()]
    assert [result["same"] for result in results] == [True] * 8


def receipts_of(responses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for response in responses for one in response["chatwright"]["receipts"]]


def test_a_receipt_of_an_unknown_weight_format_is_refused(
    model: Path, responses: list[dict[str, Any]], command: Command, tmp_path: Path
) -> None:
    changed = json.loads(json.dumps(receipts_of(responses)[0]))
    changed["build"]["weight_format"] = "int3"
    outcome = command("replay", model, write(tmp_path / "changed.json", [changed]))
    assert outcome.status == 2
    assert (outcome.error.field, outcome.error.value) == ("weights", "int3")


def test_one_flipped_bit_of_the_weights_is_reported(
    model: Path, responses: list[dict[str, Any]], command: Command, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    other = small_model()
    weight = other.embedding.weight.data
    weight.view(-1).view(dtype=torch.int32)[5] ^= 1 << 30  # an exponent's bit
    model_directory.save(damaged, other, TOKENIZER)
    outcome = command("replay", damaged, write(tmp_path / "replies.jsonl", responses), "--json")
    assert outcome.status == 1
    results = [json.loads(line) for line in outcome.out.splitlines()]
    assert any(not result["same"] for result in results)
    assert all(cause.startswith("weights") for result in results for cause in result["causes"])
    assert all(len(result["causes"]) == 1 for result in results)


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}\n{"b"', "[1]", '{"chatwright": {}}'])
def test_a_file_without_receipts_is_refused(
    content: str, model: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(content, encoding="utf-8")
    outcome = command("replay", model, tmp_path / "file")
    assert outcome.status == 2
    assert outcome.error.field == "receipt"
