"""POST /api/inspect answers from the model in the engine's process, as a trace of our own does."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.inspection.decoder_trace import trace_decoder
from chatwright.model.head_name import Head
from chatwright.server.app import make_app
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.remote_engine import RemoteEngine
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    path = tmp_path_factory.mktemp("inspect") / "model"
    model_directory.save(path, small_model(), TOKENIZER)
    process = EngineProcess(warn=lambda message: None)
    engine = RemoteEngine(process, path, MemoryLimits(), 2)
    app = make_app(Assistant(engine, TOKENIZER, reports_waiting=True), "m")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client
    process.close()


@pytest.fixture(scope="module")
def ids(client: TestClient) -> list[int]:
    """The token ids of a reply, from its receipt."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "abc"}],
        "max_tokens": 10,
        "seed": 1,
        "receipt": True,
        "logit_bias": NO_CONTROL_TOKENS,
    }
    receipt = client.post("/v1/chat/completions", json=body).json()["chatwright"]["receipts"][0]
    [request] = receipt["requests"]
    return [*request["request"]["token_ids"], *request["token_ids"]]


def ask(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/api/inspect", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_answers_equal_a_trace_of_the_same_reply(client: TestClient, ids: list[int]) -> None:
    trace = trace_decoder(small_model(), ids)
    answer = ask(client, what="tokens", token_ids=ids)
    config = small_model().config
    assert (answer["n_layer"], answer["n_head"]) == (config.n_layer, config.n_head)
    assert answer["vocab_size"] == config.vocab_size
    assert answer["loss"] == pytest.approx(-trace.token_log_probs().mean(), abs=1e-5)
    tokens = answer["tokens"]
    assert [token["id"] for token in tokens] == ids
    assert tokens[0]["log_prob"] is None
    log_probs = [token["log_prob"] for token in tokens[1:]]
    np.testing.assert_allclose(log_probs, trace.token_log_probs(), atol=1e-5)
    rows = [trace.next_log_probs(position) for position in range(len(ids) - 1)]
    assert [token["best"] for token in tokens[1:]] == [row.argmax() for row in rows]
    ranks = [(row > row[token]).sum() for row, token in zip(rows, ids[1:], strict=True)]
    assert [token["rank"] for token in tokens[1:]] == ranks
    found = ask(client, what="next", token_ids=ids, position=4, top=3, sampling={"top_k": 1})
    assert [token["id"] for token in found["tokens"]] == [
        t.token_id for t in trace.next_tokens(4, 3)
    ]
    assert [token["drawn_with"] for token in found["tokens"]] == [1.0, 0.0, 0.0]
    lens = ask(client, what="lens", token_ids=ids, position=4, top=2)["layers"]
    assert [[t["id"] for t in layer] for layer in lens] == [
        [token.token_id for token in layer] for layer in trace.logit_lens(4, 2)
    ]


def test_attention_of_a_head_with_another_one_off(client: TestClient, ids: list[int]) -> None:
    question = {"what": "attention", "token_ids": ids, "layer": 1, "head": 0, "first": 5, "rows": 4}
    for off in ([], [[0, 1]]):
        trace = trace_decoder(small_model(), ids, [Head(*head) for head in off])
        found = ask(client, **question, heads_off=off)
        weights = np.frombuffer(base64.b64decode(found["weights"]), "<f4").reshape(found["shape"])
        np.testing.assert_allclose(weights, trace.attention(1)[0][5:9], atol=1e-6)


def test_summaries_of_all_heads(client: TestClient, ids: list[int]) -> None:
    trace = trace_decoder(small_model(), ids)
    heads = ask(client, what="heads", token_ids=ids, position=6)["heads"]
    assert [(head["layer"], head["head"]) for head in heads] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    row = trace.attention(1)[1, 6, :7].astype(np.float64)
    last = heads[-1]
    assert last["best"] == row.argmax()
    np.testing.assert_allclose(
        [last["entropy"], last["first"], last["previous"]],
        [-(row * np.log2(row)).sum(), row[0], row[5]],
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"what": "soul"}, "what"),
        ({"token_ids": []}, "token_ids"),
        ({"token_ids": [10_000]}, "token_ids"),
        ({"token_ids": [1] * 500}, "token_ids"),
        ({"what": "attention", "layer": 2}, "layer"),
        ({"what": "attention", "head": 2}, "head"),
        ({"what": "next", "position": 500}, "position"),
        ({"heads_off": [[5, 0]]}, "heads_off"),
        ({"heads_off": [[1]]}, "heads_off[0]"),
    ],
)
def test_a_wrong_question_names_its_field(
    client: TestClient, ids: list[int], change: dict[str, Any], param: str
) -> None:
    response = client.post("/api/inspect", json={"what": "tokens", "token_ids": ids, **change})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_a_model_elsewhere_is_not_looked_into() -> None:
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://127.0.0.1") as client:
        response = client.post("/api/inspect", json={"what": "tokens", "token_ids": [1]})
    assert response.status_code == 404


def test_words_near_a_sum_of_words(client: TestClient) -> None:
    body = {"expression": ["a", "-", "b", "+", "c"], "top": 3}
    found = client.post("/api/words", json=body).json()["words"]
    matrix = small_model().embedding.weight.detach().numpy().astype(np.float64)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    a, b, c = (TOKENIZER.encode(letter)[0] for letter in "abc")
    total = matrix[a] - matrix[b] + matrix[c]
    cosines = matrix @ total / np.linalg.norm(total)
    others = [i for letter in "defghé🙂" for i in TOKENIZER.encode(letter)]
    best = sorted(others, key=lambda i: -cosines[i])[:3]
    assert [word["token_id"] for word in found] == best
    np.testing.assert_allclose([w["similarity"] for w in found], cosines[best], atol=1e-5)


@pytest.mark.parametrize("expression", [["a", "b"], ["abc"], ["a", "-"]])
def test_a_wrong_sum_of_words_names_its_field(client: TestClient, expression: list[str]) -> None:
    response = client.post("/api/words", json={"expression": expression})
    assert response.status_code == 400
    assert response.json()["error"]["param"] in ("expression", "word")


def test_a_reply_is_written_again_without_heads(client: TestClient) -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "abc"}],
        "max_tokens": 10,
        "seed": 1,
        "logprobs": True,
        "receipt": True,
        "logit_bias": NO_CONTROL_TOKENS,
    }
    off = [[0, 1], [1, 0]]
    replies = []
    for heads in ([], off, []):
        response = client.post("/v1/chat/completions", json={**body, "heads_off": heads}).json()
        [request] = response["chatwright"]["receipts"][0]["requests"]
        assert request["request"]["sampling"]["heads_off"] == heads
        log_probs = [item["logprob"] for item in response["choices"][0]["logprobs"]["content"]]
        assert len(log_probs) == 10
        replies.append((request["request"]["token_ids"], request["token_ids"], log_probs))
    assert replies[0] == replies[2]
    for (prompt, written, log_probs), heads in zip(replies[:2], ([], off), strict=True):
        ids = [*prompt, *written]
        trace = trace_decoder(small_model(), ids, [Head(*head) for head in heads])
        expected = trace.token_log_probs()[-10:]
        np.testing.assert_allclose(log_probs, expected, atol=1e-5)
    other = trace_decoder(small_model(), [*replies[1][0], *replies[1][1]])
    assert np.abs(other.token_log_probs()[-10:] - replies[1][2]).max() > 1e-3
    response = client.post("/v1/chat/completions", json={**body, "heads_off": [[2, 0]]})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_value"
    assert "2.0" in response.json()["error"]["message"]
