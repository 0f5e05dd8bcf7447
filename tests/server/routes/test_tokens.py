"""Tokenizing in the API: the ids that the model reads, and back."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from chatwright.conversation import Message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.app import make_app
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.chat_template import render_prompt
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import TOKENIZER, client_of_engine, small_model

MESSAGES = [
    {"role": "system", "content": "abc"},
    {"role": "user", "content": [{"type": "text", "text": "a b"}, {"type": "text", "text": "é"}]},
]
HARD_TEXTS = [
    "",
    " ",
    "\n\n",
    "é🙂",
    "<|user|>",
    "<EOC><|bos|>",
    "a\x00b",
    "e\u0301 \u2028",
    "  x ",
]


class BytePairAssistant(FakeAssistant):
    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = ByteBPE.train(["the cat sat on the mat"] * 4, 280)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = make_app(BytePairAssistant(), "m")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize("text", HARD_TEXTS)
@pytest.mark.parametrize("special", [True, False])
def test_detokenize_undoes_tokenize(client: TestClient, text: str, special: bool) -> None:
    body = {"model": "m", "prompt": text, "add_special_tokens": special}
    found = client.post("/tokenize", json={**body, "return_token_strs": True}).json()
    assert found["count"] == len(found["tokens"]) == len(found["token_strs"])
    assert found["max_model_len"] == FakeAssistant.context_length
    control = client.app.state.service.engine.served.assistant.tokenizer.control  # type: ignore[attr-defined]
    assert found["tokens"][:1] == [control.bos] if special else control.bos not in found["tokens"]
    assert client.post("/detokenize", json={"tokens": found["tokens"]}).json() == {"prompt": text}


def test_messages_become_the_ids_of_the_prompt_that_the_model_reads() -> None:
    with (
        Engine(small_model(), EngineConfig(n_slot=2)) as engine,
        client_of_engine(engine) as client,
    ):
        ids = client.post("/tokenize", json={"messages": MESSAGES}).json()["tokens"]
        expected = render_prompt([Message("system", "abc"), Message("user", "a bé")], TOKENIZER)
        assert ids == expected
        body = {"model": "m", "messages": MESSAGES, "max_tokens": 1}
        usage = client.post("/v1/chat/completions", json=body).json()["usage"]
        assert usage["prompt_tokens"] == len(ids)


@pytest.mark.parametrize(
    ("path", "body", "param", "code", "status"),
    [
        ("/tokenize", {}, None, "invalid_value", 400),
        ("/tokenize", {"prompt": "a", "messages": MESSAGES}, None, "invalid_value", 400),
        ("/tokenize", {"prompt": 1}, "prompt", "invalid_value", 400),
        ("/tokenize", {"prompt": "a", "x": 1}, "x", "unsupported_field", 400),
        ("/tokenize", {"prompt": "a", "model": "other"}, "model", "model_not_found", 404),
        ("/tokenize", {"messages": MESSAGES[:1]}, "messages", "invalid_value", 400),
        ("/detokenize", {}, "tokens", "missing_field", 400),
        ("/detokenize", {"tokens": [-1]}, "tokens", "invalid_value", 400),
        ("/detokenize", {"tokens": [10**6]}, "tokens", "invalid_value", 400),
        ("/detokenize", {"tokens": [True]}, "tokens", "invalid_value", 400),
    ],
)
def test_wrong_bodies_are_refused(
    client: TestClient, path: str, body: object, param: str | None, code: str, status: int
) -> None:
    response = client.post(path, json=body)
    error = response.json()["error"]
    found = error["param"] and error["param"].split(".")[0]
    assert (response.status_code, error["code"], found) == (status, code, param)
