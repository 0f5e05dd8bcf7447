"""A language model as judge, over real HTTP: both orders, strict outcomes, nothing asked twice."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chatwright.conversation import Message
from chatwright.data.rows import Location, PromptRow
from chatwright.errors import InputError
from chatwright.evaluation.chat_api import ChatApi, ChatApiConfig
from chatwright.evaluation.chat_judge import ChatJudge, parse

PROMPT = PromptRow((Message("user", "What is 5 + 7?"),), Location("test"))
GOOD, BAD = Message("assistant", "It is 12."), Message("assistant", "It is 7.")
Answer = Callable[[str], str]
"""The stub's answer to a question."""


class Stub:
    """A server of the OpenAI API whose model answers with a function."""

    def __init__(self) -> None:
        self.answer: Answer = prefers_12
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.statuses: list[int] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.requests.append({"path": self.path, **body})
                stub.headers.append(self.headers)
                status = stub.statuses.pop(0) if stub.statuses else 200
                answer = stub.answer(body["messages"][-1]["content"])
                reply = {"choices": [{"message": {"content": answer}}]}
                if status != 200:
                    reply = {"error": {"message": "try later"}}  # type: ignore[dict-item]
                content = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def prefers_12(question: str) -> str:
    first, second = question.split("Reply A:")[1].split("Reply B:")
    if ("12" in first) == ("12" in second):
        return "tie"
    return "A" if "12" in first else "B"


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    thread = threading.Thread(target=stub.server.serve_forever)
    thread.start()
    yield stub
    stub.server.shutdown()
    thread.join()
    stub.server.server_close()


def judge(stub: Stub, answers: dict[str, str] | None = None, **config: Any) -> ChatJudge:
    api = ChatApi(ChatApiConfig(url=stub.url, model="big", **config), wait=lambda _: None)
    return ChatJudge("big", api.ask, {} if answers is None else answers)


def test_the_better_reply_wins_in_both_orders(stub: Stub) -> None:
    measured = judge(stub).judge([PROMPT] * 2, [GOOD, BAD], [BAD, GOOD])
    assert measured == [1.0, 0.0]
    assert {request["path"] for request in stub.requests} == {"/v1/chat/completions"}
    assert {request["temperature"] for request in stub.requests} == {0}


def test_a_judge_that_always_prefers_the_first_reply_gives_ties_and_is_counted(stub: Stub) -> None:
    stub.answer = lambda _: "A"
    first = judge(stub)
    assert first.judge([PROMPT], [GOOD], [BAD]) == [0.5]
    assert first.counts_by_name() == {"pairs": 1, "unparsable": 0, "order_decided": 1}


def test_an_unreadable_answer_has_no_outcome_and_is_counted(stub: Stub) -> None:
    stub.answer = lambda _: "I prefer A"
    first = judge(stub)
    assert first.judge([PROMPT], [GOOD], [BAD]) == [None]
    assert first.counts_by_name()["unparsable"] == 1


def test_answers_are_kept_so_that_a_repetition_asks_nothing(stub: Stub) -> None:
    answers: dict[str, str] = {}
    before = judge(stub, answers).judge([PROMPT], [GOOD], [BAD])
    n_request = len(stub.requests)
    assert n_request == 2
    assert judge(stub, answers).judge([PROMPT], [GOOD], [BAD]) == before
    assert judge(stub, answers).judge([PROMPT], [BAD], [GOOD]) == [0.0], "both orders are known"
    assert len(stub.requests) == n_request


def test_a_busy_api_is_asked_again_and_a_refusal_is_an_error(stub: Stub) -> None:
    stub.statuses = [429, 503]
    assert judge(stub).judge([PROMPT], [GOOD], [BAD]) == [1.0]
    stub.statuses = [401] * 4
    with pytest.raises(InputError) as caught:
        judge(stub).judge([PROMPT], [GOOD], [BAD])
    assert (caught.value.field, caught.value.value) == ("--judge-url", stub.url)


def test_answers_before_a_failure_are_kept(stub: Stub) -> None:
    answers: dict[str, str] = {}
    replies = [Message("assistant", f"It is {n}.") for n in range(20, 30)]
    stub.statuses = [200] * 4 + [400] * 4
    with pytest.raises(InputError):
        judge(stub, answers).judge([PROMPT] * 10, replies, [GOOD] * 10)
    assert len(answers) == 4


def test_the_key_is_sent_only_when_given(stub: Stub) -> None:
    judge(stub).judge([PROMPT], [GOOD], [BAD])
    assert stub.headers[-1]["Authorization"] is None
    judge(stub, key="secret").judge([PROMPT], [GOOD], [BAD])
    assert stub.headers[-1]["Authorization"] == "Bearer secret"


def test_a_redirect_is_an_error_and_not_followed(stub: Stub) -> None:
    stub.statuses = [307] * 4
    with pytest.raises(InputError):
        judge(stub).judge([PROMPT], [GOOD], [BAD])


def test_an_api_that_cannot_be_reached_is_an_error_with_the_address() -> None:
    api = ChatApi(ChatApiConfig(url="http://127.0.0.1:9/v1", model="m"))
    with pytest.raises(InputError) as caught:
        api.ask((("user", "Hello"),))
    assert caught.value.field == "--judge-url"


@pytest.mark.parametrize(
    ("url", "key"), [("ftp://x/v1", ""), ("x", ""), ("http://example.org/v1", "secret")]
)
def test_wrong_addresses_and_a_key_in_the_clear_are_refused(url: str, key: str) -> None:
    with pytest.raises(InputError) as caught:
        ChatApiConfig(url=url, model="m", key=key)
    assert caught.value.field == "--judge-url"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("A", 1.0),
        (" b.\n", 0.0),
        ("**Tie**", 0.5),
        ("<think>A or B? A.</think>\nB", 0.0),
        ("", None),
        ("A B", None),
        ("Reply A", None),
        ("<think>A", None),
    ],
)
def test_only_one_word_is_an_outcome(answer: str, outcome: float | None) -> None:
    assert parse(answer) == outcome
