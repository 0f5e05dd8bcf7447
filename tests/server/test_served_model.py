"""The server with a small untrained model: its replies equal those of the assistant alone."""

import json
import threading

import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.server.app import make_app
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.engine_thread import EngineThread
from chatwright.server.replies.pending_reply import PendingReply
from chatwright.tokenizer.characters import CharacterTokenizer

URL = "/v1/chat/completions"
TOKENIZER = CharacterTokenizer.train(["abcdefgh é🙂\n"])
CONTEXT = 96
# Without this bias an untrained model would end its replies at once.
NO_CONTROL_TOKENS = {str(id_): -100 for id_ in TOKENIZER.control.all()}


@pytest.fixture(scope="module")
def engine():
    shape = {"n_layer": 2, "n_head": 2, "n_kv_head": 1, "head_dim": 32, "d_model": 64, "d_ff": 128}
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=CONTEXT, **shape))
    init_weights(model, generator(5, "init"))
    with Engine(model) as engine:
        yield engine


@pytest.fixture
def client(engine):
    with TestClient(
        make_app(Assistant(engine, TOKENIZER), "m"), base_url="http://127.0.0.1"
    ) as client:
        yield client
    assert engine.n_free_slot == engine.config.n_slot, "a reply kept its slot in the cache"


def ask(text="abc", **fields):
    return {
        "model": "m",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 24,
        "logit_bias": NO_CONTROL_TOKENS,
        **fields,
    }


def settings(seed):
    return SamplingConfig(
        seed=seed, max_tokens=24, logit_bias=dict.fromkeys(TOKENIZER.control.all(), -100)
    )


def test_live_replies_share_the_engine_steps(engine, monkeypatch):
    n_step = [0]
    real_step = engine.step

    def counted_step():
        n_step[0] += 1
        return real_step()

    monkeypatch.setattr(engine, "step", counted_step)
    thread = EngineThread(Assistant(engine, TOKENIZER))
    thread.submit(
        [
            PendingReply([Message("user", "abc")], settings(seed), lambda event: None)
            for seed in range(8)
        ]
    )
    assert thread.wait_until_idle(30)
    thread.close()
    assert n_step[0] < 2 * 24, "one by one it would be 8 x 24"


def test_replies_to_concurrent_requests_equal_replies_sampled_alone(client, engine):
    texts = {seed: "abcdefgh"[: 1 + seed % 7] for seed in range(12)}
    served = {}

    def post(seed):
        served[seed] = client.post(URL, json=ask(texts[seed], seed=seed)).json()["choices"][0][
            "message"
        ]["content"]

    threads = [threading.Thread(target=post, args=(seed,)) for seed in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.app.state.service.engine.wait_until_idle(30)
    alone = Assistant(engine, TOKENIZER)
    for seed, text in texts.items():
        *_, finished = alone.reply([Message("user", text)], settings(seed))
        assert served[seed] == finished.message.text
    assert len(set(served.values())) == 12, "equal replies would prove nothing"


def test_choices_use_consecutive_seeds_and_a_drawn_seed_is_reported(client):
    status = client.post(URL, json=ask(seed=2**64 - 2, n=1)).status_code
    assert status == 400, "seeds are signed 64-bit integers, as in the OpenAI API"
    choices = client.post(URL, json=ask(seed=-2, n=3)).json()["choices"]
    alone = [
        client.post(URL, json=ask(seed=seed)).json()["choices"][0]["message"]
        for seed in (-2, -1, 0)
    ]
    assert [choice["message"] for choice in choices] == alone

    drawn = client.post(URL, json=ask()).json()
    again = client.post(URL, json=ask(seed=drawn["chatwright"]["seed"])).json()
    assert drawn["choices"] == again["choices"]


def test_log_probs_list_the_tokens_of_the_text(client):
    choice = client.post(URL, json=ask(seed=3, logprobs=True, top_logprobs=4)).json()["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert len(choice["message"]["content"]) == len(tokens) == 24
    assert (
        b"".join(bytes(token["bytes"]) for token in tokens).decode() == choice["message"]["content"]
    )
    for token in tokens:
        values = [other["logprob"] for other in token["top_logprobs"]]
        assert len(values) == 4
        assert values == sorted(values, reverse=True)
        assert token["logprob"] <= values[0] < 0
    assert client.post(URL, json=ask(seed=3)).json()["choices"][0]["logprobs"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"top_p": 0.3},
        {"top_k": 1},
        {"min_p": 0.9},
        {"frequency_penalty": 2},
        {"presence_penalty": 2},
        {"repetition_penalty": 5},
        {"logit_bias": {"0": 100}},
        {"stop": "e"},
        {"stop": ["a", "b", "c", "d"]},
        {"max_tokens": 2},
        {"seed": 2},
    ],
)
def test_every_sampling_option_changes_the_reply(client, fields):
    plain = ask(seed=1)
    usual = client.post(URL, json=plain).json()["choices"][0]["message"]["content"]
    assert len(usual) == 24
    merged = {
        **plain,
        **fields,
        "logit_bias": {**plain["logit_bias"], **fields.get("logit_bias", {})},
    }
    changed = client.post(URL, json=merged).json()["choices"][0]["message"]["content"]
    assert changed != usual
    if "stop" in fields:
        cut = min(usual.index(stop) for stop in fields["stop"] if stop in usual)
        assert changed == usual[:cut]


def test_left_out_messages_are_reported_and_a_message_too_long_is_refused(client):
    messages = [
        {"role": role, "content": "abcdefgh"} for _ in range(8) for role in ("user", "assistant")
    ][:-1]
    request = {"model": "m", "messages": messages, "max_tokens": 8}
    truncated = client.post(URL, json=request).json()["chatwright"]["truncated"]
    assert truncated["n_cut"] + truncated["n_kept"] == len(messages)
    assert truncated["message"]
    assert (
        f'"n_cut": {truncated["n_cut"]}' in client.post(URL, json={**request, "stream": True}).text
    )
    assert "truncated" not in client.post(URL, json=ask()).json()["chatwright"]
    for body in (ask("a" * CONTEXT), ask(max_tokens=CONTEXT)):
        error = client.post(URL, json={**body, "stream": True})
        assert (error.status_code, error.json()["error"]["code"]) == (
            400,
            "context_length_exceeded",
        )


def test_a_tool_call_of_the_model_can_be_sent_back(client):
    # The model begins a tool call, and ends it by beginning another one.
    forced = ask(seed=1, logit_bias={str(TOKENIZER.control.command): 100})
    choice = client.post(URL, json=forced).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    call = choice["message"]["tool_calls"][0]
    assert (call["type"], call["function"]) == (
        "function",
        {"name": "command", "arguments": '{"text": ""}'},
    )
    streamed = client.post(URL, json={**forced, "stream": True}).text
    assert '"finish_reason": "tool_calls"' in streamed
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    deltas = [event["choices"][0]["delta"].get("tool_calls") for event in events]
    [[whole]] = [calls for calls in deltas if calls]  # the page reads such a call in one piece
    assert whole["function"] == call["function"]
    messages = [
        *forced["messages"],
        choice["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "abc"},
    ]
    assert client.post(URL, json=ask(messages=messages)).status_code == 200


def test_messages_out_of_order_are_refused(client):
    messages = [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    response = client.post(URL, json={"model": "m", "messages": messages})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages"


def test_several_messages_of_one_role_are_read_as_one(client):
    apart = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "developer", "content": "c"},
        {"role": "user", "content": [{"type": "text", "text": "d"}, {"type": "text", "text": "e"}]},
    ]
    joined = [{"role": "system", "content": "a\n\nc"}, {"role": "user", "content": "b\n\nde"}]
    replies = [
        client.post(URL, json=ask(messages=messages, seed=4)).json() for messages in (apart, joined)
    ]
    assert replies[0]["choices"] == replies[1]["choices"]
    assert replies[0]["usage"] == replies[1]["usage"]


@pytest.mark.parametrize("temperature", [1e-320, 1e-300, 1e-9])
def test_a_tiny_temperature_is_greedy(client, temperature):
    greedy, tiny = (
        client.post(URL, json=ask(seed=2, temperature=value)).json() for value in (0, temperature)
    )
    assert greedy["choices"] == tiny["choices"]
    assert len(greedy["choices"][0]["message"]["content"]) == 24


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_reply_longer_than_the_context_names_the_field_that_asks_for_it(client, name):
    fields = ask(**{"max_tokens": None, name: 4096})
    error = client.post(URL, json=fields).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", name)
    text = {"model": "m", "prompt": "abc", "max_tokens": 4096}
    error = client.post("/v1/completions", json=text).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "max_tokens")
    long = client.post(URL, json=ask("a" * CONTEXT, **{"max_tokens": None, name: 8}))
    assert long.json()["error"]["param"] == "messages"


def test_best_of_returns_the_most_probable_replies(client):
    request = ask(seed=0, logprobs=True)
    every = client.post(URL, json={**request, "n": 5}).json()["choices"]

    def mean(choice):
        tokens = choice["logprobs"]["content"]
        return sum(token["logprob"] for token in tokens) / len(tokens)

    ranked = sorted(every, key=mean, reverse=True)[:2]
    assert ranked != every[:2], "the first replies would prove nothing"
    best = client.post(URL, json={**request, "n": 2, "best_of": 5}).json()
    assert [choice["message"] for choice in best["choices"]] == [
        choice["message"] for choice in ranked
    ]
    assert best["usage"]["completion_tokens"] == 5 * 24
    assert client.post(URL, json={**request, "n": 2, "best_of": 1}).status_code == 400


def test_a_token_id_beyond_the_vocabulary_is_refused(client):
    answer = client.post(URL, json=ask(logit_bias={"99999": 1}))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "logit_bias")


def test_streamed_log_probs_equal_those_of_the_whole_reply(client):
    request = ask(seed=3, logprobs=True, top_logprobs=2, n=2)
    whole = client.post(URL, json=request).json()["choices"]
    *events, _done, _end = client.post(URL, json={**request, "stream": True}).text.split("\n\n")
    tokens = {0: [], 1: []}
    for event in events:
        for choice in json.loads(event.removeprefix("data: "))["choices"]:
            tokens[choice["index"]] += (choice["logprobs"] or {"content": []})["content"]
    assert [tokens[0], tokens[1]] == [choice["logprobs"]["content"] for choice in whole]


def test_both_names_of_the_token_limit_mean_the_same(client):
    old = client.post(URL, json=ask(seed=3)).json()
    fields = ask(seed=3, max_completion_tokens=24)
    del fields["max_tokens"]
    new = client.post(URL, json=fields).json()
    assert (new["choices"], new["usage"]) == (old["choices"], old["usage"])


def test_the_fingerprint_changes_with_the_weights(client):
    assert client.post(URL, json=ask()).json()["system_fingerprint"] is None  # unknown weights
    service = client.app.state.service
    found = []
    for weights in ("a" * 64, "b" * 64, "a" * 64):
        identity = ModelIdentity(weights=weights)
        service.publish(service.engine.served.assistant, "m", "", identity)
        found.append(client.post(URL, json=ask()).json()["system_fingerprint"])
    assert found[0] == found[2] != found[1]
