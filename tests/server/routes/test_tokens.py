"""Tokenizing in the API: the ids that the model reads, and back."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.conversation import Message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import TokenScore
from chatwright.server.app import make_app
from chatwright.server.completions_api.text_log_probs import TextLogProbs
from chatwright.server.completions_api.token_text import text_of
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


class BeginsWithUnknown:
    """A tokenizer whose <bos> token decodes to U+FFFD, as in some imported models."""

    def __init__(self, inner: ByteBPE) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def token_bytes(self, token_id: int) -> bytes:
        is_bos = token_id == self.inner.control.bos
        return "\ufffd".encode() if is_bos else self.inner.token_bytes(token_id)

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode(errors="replace")


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
    control = client.app.state.service.engine.served.assistant.tokenizer.control
    assert found["tokens"][:1] == [control.bos] if special else control.bos not in found["tokens"]
    assert client.post("/detokenize", json={"tokens": found["tokens"]}).json() == {"prompt": text}


def test_a_bos_token_that_decodes_to_text_is_no_text_of_a_prompt() -> None:
    tokenizer: Any = BeginsWithUnknown(BytePairAssistant().tokenizer)
    ids = [tokenizer.control.bos, *tokenizer.encode("aé the cat")]
    assert tokenizer.decode(ids) != "aé the cat", "otherwise nothing is shown"
    assert text_of(tokenizer, ids) == text_of(tokenizer, ids[1:]) == "aé the cat"
    scores = [TokenScore(token_id, -1.0) for token_id in ids[1:]]
    tokens = TextLogProbs(tokenizer).prompt(ids, scores, 0)
    alone = TextLogProbs(tokenizer).prompt(ids, scores, 1)
    assert [token["offset"] for token in tokens[1:]] == [token["offset"] for token in alone]
    assert [token["offset"] for token in alone][:2] == [0, 1]


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
    found = error["param"] and re.split(r"[.\[]", error["param"])[0]
    assert (response.status_code, error["code"], found) == (status, code, param)
