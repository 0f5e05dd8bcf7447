"""What an engine in another process refuses: clients get the status of an engine in this one."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.message_codec import event_from_json, event_to_json, request_to_json
from chatwright.engine.messages import Event, Request, RequestId, SamplingConfig, new_request_id
from chatwright.engine.vocabulary import Vocabulary
from chatwright.server.app import make_app
from chatwright.server.engine_process.program import ServedEngine
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

BIAS = {int(token_id): bias for token_id, bias in NO_CONTROL_TOKENS.items()}


class BehindPipe:
    """An engine as the web application sees it, with the engine's side in this process."""

    batch_dependence_reason = ""

    def __init__(self, engine: Engine) -> None:
        self.engine = ServedEngine(engine)
        self.vocab_size, self.context_length = engine.vocab_size, engine.context_length
        self.n_slot = engine.n_slot

    @property
    def has_work(self) -> bool:
        return self.engine.has_work

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        self.engine.engine.set_vocabulary(vocabulary)

    def submit(self, request: Request) -> RequestId:
        request_id = new_request_id()
        self.engine.submit(request_id, json.loads(json.dumps(request_to_json(request))))
        return request_id

    def cancel(self, request_id: RequestId) -> None:
        self.engine.cancel(request_id)

    def step(self) -> list[Event]:
        sent = [json.dumps(event_to_json(event)) for event in self.engine.step()]
        return [event_from_json(json.loads(text)) for text in sent]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        ({"max_user_waiting": 1}, 429, "rate_limit_exceeded"),
        ({"max_waiting": 2, "max_user_waiting": 2}, 429, "rate_limit_exceeded"),
        ({"max_waiting": 1, "max_user_waiting": 2}, 503, "server_full"),
        ({"max_waiting_tokens": 1}, 400, "invalid_value"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/messages"])
def test_a_refused_request_has_the_status_of_its_cause(
    limits: dict[str, int], status: int, code: str, stream: bool, path: str
) -> None:
    with Engine(small_model(), EngineConfig(n_slot=1, **limits)) as engine:
        sampling = SamplingConfig(max_tokens=60, seed=1, logit_bias=BIAS)
        if status != 400:  # one reply in the slot, and as many in the queue as it holds
            engine.submit(Request([1], sampling))
            engine.step()
            for _ in range(min(limits.get("max_waiting", 9), limits["max_user_waiting"])):
                engine.submit(Request([1], sampling))
        app = make_app(Assistant(BehindPipe(engine), TOKENIZER), "m")
        body: dict[str, Any] = {"model": "m", "max_tokens": 3, "stream": stream}
        messages = [{"role": "user", "content": "abc"}]
        body |= {"prompt": "abc"} if path == "/v1/completions" else {"messages": messages}
        with TestClient(app, base_url="http://127.0.0.1") as client:
            response = client.post(path, json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert ("retry-after" in response.headers) == (status != 400)
