"""/v1/completions: log-probabilities by a direct forward, streams by whole replies."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import SamplingConfig
from tests.server.small_model import (
    CONTEXT,
    NO_CONTROL_TOKENS,
    TOKENIZER,
    client_of_engine,
    small_model,
)

URL = "/v1/completions"
ASK = {"model": "m", "prompt": "abc é🙂", "max_tokens": 12, "logit_bias": NO_CONTROL_TOKENS}
BOS = TOKENIZER.control.bos


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(small_model(), EngineConfig(prefill_tokens=16)) as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with client_of_engine(engine) as client:
        yield client


def post(client: TestClient, **fields: Any) -> Any:
    response = client.post(URL, json={**ASK, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def streamed(client: TestClient, **fields: Any) -> tuple[list[dict[str, Any]], Any]:
    """Return the choices that a streaming client puts together, and the usage."""
    text = client.post(URL, json={**ASK, **fields, "stream": True}).text
    *events, done, end = text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    choices: dict[int, dict[str, Any]] = {}
    usage = None
    for event in events:
        chunk = json.loads(event.removeprefix("data: "))
        assert chunk["object"] == "text_completion"
        usage = chunk.get("usage") or usage
        for part in chunk["choices"]:
            empty = {"index": part["index"], "text": "", "logprobs": None, "finish_reason": None}
            choice = choices.setdefault(part["index"], empty)
            choice["text"] += part["text"]
            choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
            if part["logprobs"]:
                lists = choice["logprobs"] or {name: [] for name in part["logprobs"]}
                choice["logprobs"] = {
                    name: [*lists[name], *part["logprobs"][name]] for name in lists
                }
    return [choices[index] for index in sorted(choices)], usage


def direct(ids: list[int]) -> torch.Tensor:
    """Log-probabilities (T, V) of one forward pass of the unpacked model over the whole text."""
    with torch.no_grad():
        logits = small_model()(torch.tensor([ids]))
    return logits[0].double().log_softmax(dim=-1)


def test_the_response_has_the_shape_of_openai(client: TestClient) -> None:
    body = post(client, logprobs=2)
    extra = {"system_fingerprint", "chatwright"}
    assert body.keys() == {"id", "object", "created", "model", "choices", "usage"} | extra
    assert body["object"] == "text_completion"
    [choice] = body["choices"]
    assert choice.keys() == {"index", "text", "logprobs", "finish_reason"}
    names = {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert choice["logprobs"].keys() == names
    assert {len(choice["logprobs"][name]) for name in names} == {12}
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 12, "total_tokens": 19}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"echo": True},
        {"logprobs": 2},
        {"echo": True, "logprobs": 3},
        {"echo": True, "logprobs": 0, "max_tokens": 0},
        {"n": 3, "echo": True, "logprobs": 1},
        {"prompt": ["ab", "cd", ""], "n": 2, "echo": True},
        {"prompt": [[1, 2], [3]], "logprobs": 1, "echo": True},
        {"stop": ["a", "b"], "logprobs": 1},
    ],
)
def test_a_streamed_continuation_equals_the_whole_one(
    client: TestClient, fields: dict[str, Any]
) -> None:
    whole = post(client, seed=4, **fields)
    choices, usage = streamed(client, seed=4, stream_options={"include_usage": True}, **fields)
    for choice in whole["choices"]:
        if not choice["text"]:  # no chunk of the stream holds a token
            choice["logprobs"] = None
    assert choices == whole["choices"]
    assert usage == whole["usage"]
    assert streamed(client, seed=4, **fields)[1] is None


@pytest.mark.parametrize("ids", [[1, 2, 3, 9, 4, 0, 7] * 5, [5]])
def test_log_probs_of_a_prompt_equal_a_direct_forward(client: TestClient, ids: list[int]) -> None:
    [choice] = post(client, prompt=ids, echo=True, logprobs=3, max_tokens=0)["choices"]
    assert (choice["text"], choice["finish_reason"]) == (TOKENIZER.decode(ids), "length")
    lists = choice["logprobs"]
    assert lists["tokens"] == [TOKENIZER.decode([id_]) for id_ in ids]
    assert (lists["token_logprobs"][0], lists["top_logprobs"][0]) == (None, None)
    expected = direct(ids)
    # float32 logits; the engine's attention adds the keys in tiles
    found = torch.tensor(lists["token_logprobs"][1:], dtype=torch.float64)
    wanted = expected[torch.arange(len(ids) - 1), ids[1:]]
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5)
    for row, top in zip(expected, lists["top_logprobs"][1:], strict=False):
        best = sorted(top.values(), reverse=True)[:3]
        torch.testing.assert_close(
            torch.tensor(best).double(), row.topk(3).values, atol=2e-5, rtol=0
        )


def test_tokens_with_their_ids_say_the_same_as_the_lists(client: TestClient) -> None:
    ids = [5, 3, 9, 5]
    fields = {"prompt": ids, "echo": True, "logprobs": 3, "seed": 2}
    plain = post(client, **fields)["choices"][0]["logprobs"]
    lists = post(client, **fields, return_token_ids=True)["choices"][0]["logprobs"]
    content = lists.pop("content")
    assert lists == plain
    assert [token["id"] for token in content[:4]] == ids
    assert [token["logprob"] for token in content] == lists["token_logprobs"]
    assert content[0]["top_logprobs"] == []
    expected = direct(ids)
    for row, token in zip(expected, content[1:4], strict=False):
        assert [other["id"] for other in token["top_logprobs"]] == row.topk(3).indices.tolist()
    streamed_lists = streamed(client, **fields, return_token_ids=True)[0][0]["logprobs"]
    assert streamed_lists["content"] == content


def test_a_text_is_the_ids_after_the_bos_token(client: TestClient) -> None:
    fields = {"echo": True, "logprobs": 1, "seed": 2}
    by_text = post(client, **fields)
    by_ids = post(client, **fields, prompt=[BOS, *TOKENIZER.encode("abc é🙂")])
    assert by_text["usage"] == by_ids["usage"]
    for name, values in by_text["choices"][0]["logprobs"].items():
        assert values == by_ids["choices"][0]["logprobs"][name][1:], name
    assert by_text["choices"][0]["logprobs"]["token_logprobs"][0] < 0
    assert by_text["choices"][0]["text"] == by_ids["choices"][0]["text"]


def test_the_continuation_is_that_of_the_assistant_alone(
    client: TestClient, engine: Engine
) -> None:
    served = post(client, seed=3, n=2, prompt=["abc", "de"])
    assert served["chatwright"]["seeds"] == [3, 4, 5, 6]
    bias = {int(id_): value for id_, value in NO_CONTROL_TOKENS.items()}
    for choice, seed, prompt in zip(
        served["choices"], (3, 4, 5, 6), ("abc", "abc", "de", "de"), strict=True
    ):
        sampling = SamplingConfig(seed=seed, max_tokens=12, logit_bias=bias)
        alone = Assistant(engine, TOKENIZER).complete(prompt, sampling)
        assert choice["text"] == alone.message.text
        again = post(client, prompt=prompt, seed=seed)["choices"][0]["text"]
        assert choice["text"] == again


def test_a_sampled_text_has_the_same_log_probs_when_it_is_scored(
    client: TestClient, engine: Engine
) -> None:
    if engine.batch_dependence_reason:
        pytest.skip("bits depend on the batch on this machine")
    [sampled] = post(client, seed=8, echo=True, logprobs=2)["choices"]
    text = sampled["text"]
    [scored] = post(client, prompt=text, echo=True, logprobs=2, max_tokens=0)["choices"]
    assert scored["text"] == text
    assert scored["logprobs"] == sampled["logprobs"]
    for token, offset in zip(
        scored["logprobs"]["tokens"], scored["logprobs"]["text_offset"], strict=True
    ):
        assert text[offset : offset + len(token)] == token


def test_best_of_returns_the_continuations_with_the_highest_mean_log_prob(
    client: TestClient,
) -> None:
    every = [post(client, seed=seed, logprobs=0)["choices"][0] for seed in range(5)]
    means = [sum(choice["logprobs"]["token_logprobs"]) / 12 for choice in every]
    order = sorted(range(5), key=lambda seed: -means[seed])[:2]
    body = post(client, seed=0, logprobs=0, n=2, best_of=5)
    assert [choice["text"] for choice in body["choices"]] == [every[i]["text"] for i in order]
    assert body["chatwright"]["seeds"] == order
    assert body["usage"]["completion_tokens"] == 5 * 12


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": None}, "prompt", "missing_field"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": [[]]}, "prompt", "invalid_value"),
        ({"prompt": [-1]}, "prompt", "invalid_value"),
        ({"prompt": [True]}, "prompt", "invalid_value"),
        ({"prompt": ["a", 1]}, "prompt", "invalid_value"),
        ({"prompt": [10**6]}, "prompt", "invalid_value"),
        ({"prompt": "x"}, "prompt", "invalid_value"),  # a character that the tokenizer lacks
        ({"prompt": ["a"] * 41}, "prompt", "invalid_value"),
        ({"prompt": "a" * CONTEXT}, "prompt", "context_length_exceeded"),
        ({"max_tokens": CONTEXT}, "max_tokens", "context_length_exceeded"),
        ({"max_tokens": 0}, None, "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_value"),
        ({"return_token_ids": True}, None, "invalid_value"),
        ({"logprobs": 21}, "logprobs", "invalid_value"),
        ({"n": 3, "best_of": 2}, None, "invalid_value"),
        ({"best_of": 2, "stream": True}, None, "invalid_value"),
        ({"stream_options": {"include_usage": True}}, None, "invalid_value"),
        ({"suffix": "x"}, "suffix", "unsupported_field"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"model": "other"}, "model", "model_not_found"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_wrong_requests_are_refused(
    client: TestClient, fields: dict[str, Any], param: str | None, code: str, stream: bool
) -> None:
    if stream and (code == "missing_field" or "stream_options" in fields):
        pytest.skip("without a stream only")
    response = client.post(URL, json={**ASK, "stream": stream, **fields})
    error = response.json()["error"]
    found = error["param"] and re.split(r"[.\[]", error["param"])[0]
    assert (error["code"], found) == (code, param)
    assert response.status_code == (404 if code == "model_not_found" else 400)


def test_fields_that_clients_send_by_default_are_accepted(client: TestClient) -> None:
    for field in ("suffix", "best_of", "logprobs", "stop", "seed", "stream_options", "logit_bias"):
        post(client, **{field: None})
    post(client, echo=False, stream=False, user="u", temperature=1, top_p=1)


def test_a_token_that_is_no_whole_character_is_written_with_its_bytes() -> None:
    from chatwright.engine.messages import RequestId, TokenSampled
    from chatwright.server.completions_api.text_log_probs import TextLogProbs, written
    from chatwright.tokenizer.byte_bpe import ByteBPE

    tokenizer = ByteBPE.train(["the cat sat"] * 4, 270)
    ids = tokenizer.encode("aé🙂b")  # é and 🙂 are single bytes for this tokenizer
    assert written(tokenizer, ids[1]) == "bytes:\\xc3"
    sampled = [TokenSampled(RequestId("r"), 0, id_, -1.0) for id_ in ids]
    offsets = [token["offset"] for token in TextLogProbs(tokenizer).sampled(sampled)]
    assert offsets == [0, 1, 1, 2, 2, 2, 2, 3]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "grammar",
    [
        {"syntax": "regex", "definition": "[a-d]{3,9}"},
        {"syntax": "lark", "definition": 'start: ("ab" | "cd")+ "e"'},
    ],
)
def test_a_grammar_decides_what_a_text_may_be(
    client: TestClient, grammar: dict[str, str], stream: bool
) -> None:
    pattern = {"regex": "[a-d]{3,9}", "lark": "(ab|cd)+e"}[grammar["syntax"]]
    for seed in range(5):
        fields = {"grammar": grammar, "logit_bias": None, "max_tokens": 60, "seed": seed}
        [choice] = streamed(client, **fields)[0] if stream else post(client, **fields)["choices"]
        assert choice["finish_reason"] == "stop"
        assert re.fullmatch(pattern, choice["text"])


def test_a_grammar_that_cannot_be_used_is_refused_with_its_field(client: TestClient) -> None:
    for definition in ("start: (", "start: missing"):
        grammar = {"syntax": "lark", "definition": definition}
        response = client.post(URL, json={**ASK, "grammar": grammar})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "grammar.definition"
