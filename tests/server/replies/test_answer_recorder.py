"""The server completes a pending answer by itself as complete or failed; a client as partial."""

import json
import threading
from contextlib import ExitStack

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, TextDelta, Usage
from chatwright.chat.reply_form import FREE
from chatwright.conversation import Message
from chatwright.engine.engine import Engine
from chatwright.server.access.accounts import Accounts
from chatwright.server.app import make_app
from chatwright.server.http_server import serve_in_thread
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.opening_status import OpeningStatus
from chatwright.store.store import Store
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

TEXT = [{"type": "text", "text": "abc"}]
WEIGHTS = "ab" * 32


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.db") as store:
        yield store


def ask(client):
    """Store a question and return its conversation and the pending answer's id."""
    conversation = client.post("/api/conversations", json={}).json()["id"]
    body = {"role": "user", "parts": TEXT, "answer": {}}
    turn = client.post(f"/api/conversations/{conversation}/messages", json=body).json()
    return conversation, turn["answer"]["id"]


def chat(client, answer, **fields):
    body = {"model": "m", "messages": [{"role": "user", "content": "abc"}], "seed": 3, **fields}
    return client.post("/v1/chat/completions", json=body, headers={"x-chatwright-answer": answer})


def stored(store, conversation):
    return store.messages.tree(store.users.owner().id, conversation)[1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_of_the_model_is_stored_with_its_tokens_and_weights(store, stream):
    with Engine(small_model()) as engine:
        app = make_app(None, "m", accounts=Accounts(store))
        identity = ModelIdentity(weights=WEIGHTS)
        app.state.service.publish(Assistant(engine, TOKENIZER), "m", identity=identity)
        with TestClient(app, base_url="http://localhost") as client:
            conversation, answer = ask(client)
            response = chat(
                client, answer, max_tokens=20, stream=stream, logit_bias=NO_CONTROL_TOKENS
            )
            assert response.status_code == 200
        # Leaving the client stops the server, which waits for the write.
        done = stored(store, conversation)
    assert (done.state, done.origin.weights, done.origin.model) == ("complete", WEIGHTS, "m")
    assert done.tokens is not None
    assert done.tokens.reply == 20
    assert done.receipt is not None
    assert done.receipt["seed"] == 3
    if stream:
        events = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
        deltas = [choice["delta"] for e in events for choice in json.loads(e)["choices"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
    else:
        text = response.json()["choices"][0]["message"]["content"]
        assert done.tokens.prompt == response.json()["usage"]["prompt_tokens"]
    assert done.message.text == text != ""


def test_a_failed_reply_is_stored_as_failed(store):
    def fail():
        raise ZeroDivisionError

    app = make_app(FakeAssistant(before=fail), "m", accounts=Accounts(store))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        conversation, answer = ask(client)
        assert chat(client, answer).status_code == 500
    assert stored(store, conversation).state == "failed"


class GatedAssistant(FakeAssistant):
    """Waits for the gate before each word but the first."""

    def __init__(self, count):
        super().__init__()
        self.gate = threading.Semaphore(0)
        self.count = count

    def reply(self, conversation, sampling, thinking=None, form=FREE, *, user=""):
        """Reply with numbered words."""
        text = ""
        try:
            for number in range(self.count):
                if number:
                    assert self.gate.acquire(timeout=30), "the gate stayed closed"
                text += f"w{number} "
                yield TextDelta(f"w{number} ")
            usage = Usage(3, self.count)
            yield Finished("stop", usage, Message("assistant", text), seed=sampling.seed)
        finally:
            self.n_closed += 1


class Visit:
    """A server with a gated model, and a client with a question whose answer is pending."""

    def __init__(self, store, count=4, **answer):
        self.assistant = GatedAssistant(count)
        self.accounts = Accounts(store)
        self._stack = ExitStack()
        status = OpeningStatus("m").status
        serving = serve_in_thread("m", 0, status=status, accounts=self.accounts)
        service, self.address = self._stack.enter_context(serving)
        self.engine = service.engine
        service.publish(self.assistant, "m")
        self.api = self._stack.enter_context(httpx.Client(base_url=self.address, timeout=30))
        self.conversation = self.api.post("/api/conversations", json={}).json()["id"]
        body = {"role": "user", "parts": TEXT, "answer": answer}
        self.path = f"/api/conversations/{self.conversation}/messages"
        self.answer = self.api.post(self.path, json=body).json()["answer"]["id"]

    def read_first_word(self):
        """Ask for the reply, read its first word, and close the connection."""
        body = {"model": "m", "messages": [{"role": "user", "content": "abc"}], "stream": True}
        headers = {"x-chatwright-answer": self.answer}
        with self.api.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
            for line in reply.iter_lines():
                if "w0" in line:
                    return

    def message(self):
        """Return the answer as the page reads it."""
        return self.api.get(self.path).json()["messages"][1]

    def close(self):
        """Stop the server, which waits for its writes."""
        self.assistant.gate.release(1000)
        self._stack.close()


@pytest.fixture
def visit(store):
    visits = []

    def start(**settings):
        visits.append(Visit(store, **settings))
        return visits[-1]

    yield start
    for visit in visits:
        visit.close()


def test_a_reply_whose_client_goes_away_is_written_to_its_end(visit, store):
    here = visit(receipt={"page": {"a": 1}})
    here.read_first_word()
    running = here.message()
    assert (running["state"], running["is_running"]) == ("pending", True)
    assert running["parts"] == [{"type": "text", "text": "w0 "}]
    here.assistant.gate.release(3)
    assert here.engine.wait_until_idle(30)
    here.close()
    done = stored(store, here.conversation)
    assert (done.state, done.message.text) == ("complete", "w0 w1 w2 w3 ")
    assert done.receipt["page"] == {"a": 1}
    assert done.receipt["seconds_to_first"] <= done.receipt["seconds"]
    assert here.accounts.running == {}


def test_completing_an_answer_stops_the_reply_that_writes_it(visit, store):
    here = visit(count=1000)
    here.read_first_word()
    body = {"state": "partial", "parts": [{"type": "text", "text": "w0"}]}
    assert here.api.patch(f"{here.path}/{here.answer}", json=body).status_code == 200
    here.assistant.gate.release(1)
    assert here.engine.wait_until_idle(30)
    assert here.assistant.n_closed == 1
    here.close()
    assert stored(store, here.conversation).message.text == "w0"
    assert here.accounts.running == {}


def test_an_answer_whose_reply_is_refused_is_failed(store):
    app = make_app(FakeAssistant(), "m", accounts=Accounts(store))
    with TestClient(app, base_url="http://localhost") as client:
        conversation, answer = ask(client)
        app.state.service.engine.drain()
        assert chat(client, answer).status_code == 503
    assert stored(store, conversation).state == "failed"
    assert app.state.accounts.running == {}


def test_answers_that_are_unknown_or_not_pending_are_refused(store):
    app = make_app(FakeAssistant(), "m", accounts=Accounts(store))
    with TestClient(app, base_url="http://localhost") as client:
        conversation, answer = ask(client)
        assert chat(client, "nothing").json()["error"]["code"] == "not_found"
        assert chat(client, answer, n=2).json()["error"]["param"] == "n"
        assert chat(client, answer).status_code == 200
        app.state.accounts.finish_writes()
        assert chat(client, answer).json()["error"]["code"] == "not_pending"
    assert stored(store, conversation).state == "complete"
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://localhost") as client:
        assert chat(client, answer).json()["error"]["code"] == "no_store"
