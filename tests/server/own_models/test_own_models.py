"""Each user's own model: the quota, who reaches it, and what a deletion leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.server.errors import ApiError
from chatwright.server.own_models.own_models import OwnModelLimits, OwnModels, OwnSettings
from chatwright.server.replies.pending_reply import Served
from chatwright.server.training_runs.run_folder import PRIVATE_FILE, find_runs
from tests.server.fake_assistant import FakeAssistant
from tests.server.routes.store.store_client import StoreClient, store_client
from tests.server.training_runs.run_files import write_run

SMALL = OwnModelLimits(max_steps=50, max_layers=3, disk_bytes=1000, max_open=2)


class Opener:
    """Opens models as fakes, and remembers which."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def __call__(self, run: Path) -> Served:
        self.opened.append(run.parent.name)
        return Served(FakeAssistant(), 1, run.parent.name)


def give_model(folder: Path, user: str, n_byte: int = 10) -> Path:
    """Write the files of a trained model."""
    (folder / user / "model").mkdir(parents=True)
    (folder / user / PRIVATE_FILE).write_text("{}")
    (folder / user / "model" / "weights").write_bytes(bytes(n_byte))
    return folder / user


def user_id(letter: str) -> str:
    return "u" + letter * 32


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def own(tmp_path: Path, opener: Opener) -> Iterator[OwnModels]:
    own = OwnModels(tmp_path, opener, SMALL)
    yield own
    own.close()


@pytest.mark.parametrize(
    ("settings", "param"),
    [(OwnSettings(steps=51), "steps"), (OwnSettings(layers=4, steps=10), "layers")],
)
def test_a_training_above_the_quota_is_refused(
    own: OwnModels, settings: OwnSettings, param: str
) -> None:
    with pytest.raises(ApiError) as caught:
        own.train(user_id("a"), settings)
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "quota_reached", param)
    assert own.users() == []


def test_a_full_folder_refuses_a_training_until_the_model_is_deleted(
    own: OwnModels, tmp_path: Path
) -> None:
    give_model(tmp_path, user_id("a"), n_byte=1000)
    with pytest.raises(ApiError) as caught:
        own.train(user_id("a"), OwnSettings(steps=10))
    assert (caught.value.status, caught.value.code) == (409, "quota_reached")
    assert own.state(user_id("a"))["disk_bytes"] == 1002
    own.delete(user_id("a"))
    assert own.state(user_id("a"))["disk_bytes"] == 0
    assert own.users() == []


def test_models_are_opened_once_and_the_longest_unused_one_is_closed(
    own: OwnModels, tmp_path: Path, opener: Opener
) -> None:
    for letter in "abc":
        give_model(tmp_path, user_id(letter))
    for letter in "abaca":
        assert own.served(user_id(letter)).description == user_id(letter)
    assert opener.opened == [user_id(letter) for letter in "abc"]
    own.served(user_id("b"))  # c came before a was asked for again, so b was closed
    assert opener.opened[-1] == user_id("b")


def test_what_belongs_to_deleted_users_is_removed_and_nothing_else(
    own: OwnModels, tmp_path: Path
) -> None:
    for letter in "ab":
        give_model(tmp_path, user_id(letter))
    (tmp_path / user_id("c")).mkdir()  # not made by us: it has no settings
    (tmp_path / "photos").mkdir()
    own.keep_only([user_id("b")])
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["photos", user_id("b"), user_id("c")]


def test_the_page_of_runs_does_not_show_those_of_users(tmp_path: Path) -> None:
    write_run(tmp_path / "starter/sft", 10)
    write_run(tmp_path / "lessons" / user_id("a") / "training/pretrain", 10)
    (tmp_path / "lessons" / user_id("a") / PRIVATE_FILE).write_text("{}")
    assert find_runs(tmp_path) == [tmp_path / "starter/sft"]


@pytest.fixture
def client(tmp_path: Path, opener: Opener) -> Iterator[StoreClient]:
    with store_client(tmp_path / "store.db") as client:
        own = OwnModels(tmp_path / "lessons", opener)
        client.client.app.state.service.own_models = own  # type: ignore[attr-defined]
        yield client
        own.close()


def test_my_model_is_the_model_of_whoever_asks(client: StoreClient, tmp_path: Path) -> None:
    users = {name: client.add_user(name, "learner") for name in ("ann", "bob")}
    client.add_user("root", "admin")
    give_model(tmp_path / "lessons", users["ann"])
    questions = {
        "/tokenize": {"prompt": "hi"},
        "/detokenize": {"tokens": [1]},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
        "/v1/completions": {"prompt": "hi", "max_tokens": 1},
        "/v1/responses": {"input": "hi"},
        "/v1/messages": {"max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]},
        "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "hi"}]},
        "/api/inspect": {"token_ids": [1], "what": "tokens"},
        "/api/words": {"expression": ["a"]},
    }
    for path, body in questions.items():
        asked = {"model": "my-model", **body}
        own = client.send("POST", path, asked, as_="ann")
        assert (own.json().get("error") or {}).get("code") != "no_own_model", path
        for other in ("bob", "root"):
            response = client.send("POST", path, asked, as_=other)
            assert (response.status_code, response.json()["error"]["code"]) == (
                404,
                "no_own_model",
            ), (path, other)
    assert (
        client.send("POST", "/tokenize", {"model": "my-model", "prompt": "hi"}).status_code == 401
    )


def test_only_an_administrator_sees_the_models_of_all(client: StoreClient, tmp_path: Path) -> None:
    users = {name: client.add_user(name, "learner") for name in ("ann", "bob")}
    client.add_user("root", "admin")
    give_model(tmp_path / "lessons", users["ann"])
    assert client.send("GET", "/api/lessons/model", as_="ann").json()["has_model"]
    assert not client.send("GET", "/api/lessons/model", as_="bob").json()["has_model"]
    assert client.send("GET", "/api/lessons/models", as_="ann").status_code == 403
    (found,) = client.send("GET", "/api/lessons/models", as_="root").json()["models"]
    assert (found["user"]["name"], found["has_model"]) == ("ann", True)


def test_forgetting_a_user_deletes_the_model(client: StoreClient, tmp_path: Path) -> None:
    ann = client.add_user("ann", "learner")
    folder = give_model(tmp_path / "lessons", ann)
    client.client.app.state.service.forget_user(ann)  # type: ignore[attr-defined]
    assert not folder.exists()


def test_the_class_sees_what_it_learned(client: StoreClient) -> None:
    client.add_user("root", "admin")
    right, wrong = 0, 1  # of the lesson about tokens
    for number, (before, after) in enumerate(
        [(wrong, right), (wrong, right), (right, right), (right, wrong), (wrong, None)]
    ):
        client.add_user(f"learner {number}", "learner")
        body = {"before": before, "after": after, "checked": True}
        path = "/api/lessons/answers/tokens"
        assert client.send("PUT", path, body, as_=f"learner {number}").status_code == 204
    own = client.send("GET", "/api/lessons/answers", as_="learner 4").json()["answers"]
    assert own == {"tokens": {"before": wrong, "after": None, "checked": True}}
    assert client.send("GET", "/api/lessons/effect", as_="learner 0").status_code == 403
    found = client.send("GET", "/api/lessons/effect", as_="root")
    assert "learner 0" not in found.text
    tokens = found.json()["lessons"][0]
    counts = {name: tokens[name] for name in ("n", "right_before", "right_after", "gained", "lost")}
    assert counts == {"n": 4, "right_before": 2, "right_after": 3, "gained": 2, "lost": 1}
    assert tokens["p_value"] == 1.0  # 2 of 3 changes: 2 (1 + 3) / 8
    assert len(found.json()["learners"]) == 5
    unknown = client.send("PUT", "/api/lessons/answers/none", {"before": 1}, as_="root")
    assert unknown.status_code == 404
