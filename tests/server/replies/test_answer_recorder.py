"""The server completes a pending answer by itself: whole, cut, or failed."""

import json

import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine
from chatwright.server.access.accounts import Accounts
from chatwright.server.app import make_app
from chatwright.server.model_identity import ModelIdentity
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
        app.state.service.publish(Assistant(engine, TOKENIZER), "m", "", identity)
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


def test_a_reply_whose_client_goes_away_is_kept_to_that_place(store):
    app = make_app(FakeAssistant(endless=True), "m", accounts=Accounts(store))
    with TestClient(app, base_url="http://localhost") as client:
        conversation, answer = ask(client)
        recorded = []
        service = app.state.service
        submit = service.engine.submit

        def submit_and_cut(work):
            """Cancel the reply after five of its events, as a lost connection does."""
            for pending in work:
                deliver = pending.deliver

                def deliver_some(event, pending=pending, deliver=deliver):
                    deliver(event)
                    recorded.append(event)
                    if len(recorded) == 5:
                        pending.cancel()

                pending.deliver = deliver_some
            submit(work)

        service.engine.submit = submit_and_cut
        chat(client, answer, max_tokens=1000)
    done = stored(store, conversation)
    texts = "".join(event.text for event in recorded if event is not None)
    assert (done.state, done.message.text) == ("partial", texts)
    assert texts


def test_answers_that_are_not_pending_or_of_others_are_refused(store):
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
