"""/v1/embeddings: vectors of the encoder alone, in both encodings, beside live replies."""

import base64
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.devices import generator
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.server.app import make_app
from chatwright.server.embedder import CHARACTERS_PER_ROUND, ServedEmbedder, rounds
from chatwright.server.engine_process.remote_engine import RemoteVector
from chatwright.tasks.embed import Embedder
from chatwright.tokenizer import wordpiece
from tests.server.fake_assistant import FakeAssistant

URL = "/v1/embeddings"
LONG = "the log and the dog and the cat and the mat"
TEXTS = ["the cat sat on the mat", "a dog", "cat"]


class Lists:
    """An embedder whose vectors are lists, as those of the engine's process."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.max_length = embedder.max_length
        self.vector_size = embedder.vector_size

    def embed(self, texts: Sequence[str]) -> list[RemoteVector]:
        return [
            RemoteVector(found.vector.tolist(), found.n_token, found.n_left_out)
            for found in self.embedder.embed(texts)
        ]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    tokenizer = wordpiece.train([*TEXTS, LONG] * 3, 60)
    config = encoder_preset(
        "nano", vocab_size=tokenizer.vocab_size, context_length=40, max_text_tokens=10, head="none"
    )
    model = Encoder(config)
    init_weights(model, generator(0, "weights"))
    return Embedder(EmbeddingForward(model), tokenizer)


@pytest.fixture(scope="module")
def client(embedder: Embedder) -> Iterator[TestClient]:
    app = make_app(FakeAssistant(), "m")
    app.state.service.publish_embedder(ServedEmbedder(Lists(embedder), "e"))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def post(client: TestClient, **fields: Any) -> Any:
    response = client.post(URL, json={"model": "e", **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_vectors_equal_those_of_the_encoder_alone(client: TestClient, embedder: Embedder) -> None:
    body = post(client, input=TEXTS)
    expected = [embedder.embed([text])[0] for text in TEXTS]
    assert [item["embedding"] for item in body["data"]] == [e.vector.tolist() for e in expected]
    assert [(item["object"], item["index"]) for item in body["data"]] == [
        ("embedding", index) for index in range(3)
    ]
    n_token = sum(e.n_token for e in expected)
    assert body["usage"] == {"prompt_tokens": n_token, "total_tokens": n_token}
    assert (body["object"], body["model"]) == ("list", "e")
    assert body.keys() == {"object", "data", "model", "usage"}
    assert post(client, input=TEXTS[0])["data"] == body["data"][:1]


def test_base64_holds_the_same_float32_numbers(client: TestClient) -> None:
    numbers = post(client, input=TEXTS)["data"]
    encoded = post(client, input=TEXTS, encoding_format="base64")["data"]
    for plain, coded in zip(numbers, encoded, strict=True):
        content = base64.b64decode(coded["embedding"])
        assert list(struct.unpack(f"<{len(content) // 4}f", content)) == plain["embedding"]


def test_a_long_text_is_refused_or_cut_and_reported(client: TestClient, embedder: Embedder) -> None:
    response = client.post(URL, json={"model": "e", "input": ["cat", LONG]})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (
        400,
        "context_length_exceeded",
        "input",
    )
    body = post(client, input=["cat", LONG], truncate=True)
    expected = embedder.embed([LONG])[0]
    assert body["data"][1]["embedding"] == expected.vector.tolist()
    assert body["chatwright"] == {"truncated": [{"index": 1, "n_left_out": expected.n_left_out}]}


def test_many_texts_are_computed_in_rounds(client: TestClient) -> None:
    texts = ["cat " * 300, "dog", "x" * 5000, "a", *["mat"] * 2000]
    found = list(rounds(texts))
    assert [text for round_ in found for text in round_] == texts
    assert all(len(r) == 1 or sum(map(len, r)) <= CHARACTERS_PER_ROUND for r in found)
    assert 3 < len(found) < 10
    assert len(post(client, input=["cat", "dog"] * 1024)["data"]) == 2048


def test_the_list_of_models_holds_both(client: TestClient) -> None:
    cards = client.get("/v1/models").json()["data"]
    assert [(card["id"], card["chatwright"]["task"]) for card in cards] == [
        ("m", "generate"),
        ("e", "embed"),
    ]
    assert client.get("/v1/models/e").json() == cards[1]


@pytest.mark.parametrize(
    ("fields", "param", "code", "status"),
    [
        ({}, "input", "missing_field", 400),
        ({"input": ""}, "input", "invalid_value", 400),
        ({"input": []}, "input", "invalid_value", 400),
        ({"input": [1, 2]}, "input", "invalid_value", 400),
        ({"input": ["cat"] * 2049}, "input", "invalid_value", 400),
        ({"input": "cat", "encoding_format": "int8"}, "encoding_format", "invalid_value", 400),
        ({"input": "cat", "dimensions": 3}, "dimensions", "invalid_value", 400),
        ({"input": "cat", "x": 3}, "x", "unsupported_field", 400),
        ({"input": "cat", "model": "m"}, "model", "model_not_found", 404),
    ],
)
def test_wrong_requests_are_refused(
    client: TestClient, fields: dict[str, Any], param: str, code: str, status: int
) -> None:
    response = client.post(URL, json={"model": "e", **fields})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert re.split(r"[.\[]", error["param"])[0] == param


def test_an_encoder_alone_is_ready_and_does_not_chat(embedder: Embedder) -> None:
    app = make_app(None, "")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.get("/readyz").status_code == 503
        app.state.service.publish_embedder(ServedEmbedder(Lists(embedder), "e"))
        assert client.get("/readyz").status_code == client.get("/health").status_code == 200
        assert client.get("/api/status").json()["state"] == "ready"
        assert len(post(client, input="cat", dimensions=embedder.vector_size)["data"]) == 1
        ask = {"model": "e", "messages": [{"role": "user", "content": "hi"}]}
        assert client.post("/v1/chat/completions", json=ask).status_code == 404


def test_without_an_encoder_there_are_no_vectors() -> None:
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://127.0.0.1") as client:
        response = client.post(URL, json={"model": "m", "input": "cat"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
