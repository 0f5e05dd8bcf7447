"""A user who is deleted from the store is erased from the memory of a running server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.messages import Request, RequestFinished, SamplingConfig
from chatwright.server.deleted_users import DeletedUsers
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.remote_engine import RemoteEngine
from chatwright.server.feedback.reply_memory import ReplyMemory
from chatwright.server.responses_api.store import StoredResponse
from chatwright.server.service import Service
from chatwright.store.deletion import forget_user
from chatwright.store.store import Store
from tests.server.small_model import TOKENIZER, small_model

pytestmark = pytest.mark.ci

PROMPT = list(range(1, 21)) * 2


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[RemoteEngine]:
    model_directory.save(tmp_path / "model", small_model(), TOKENIZER)
    process = EngineProcess(warn=lambda message: None)
    yield RemoteEngine(process, tmp_path / "model", MemoryLimits(), 2)
    process.close()


def n_cached(engine: RemoteEngine, user: str) -> int:
    """Run a reply; return how many tokens of its prompt the engine had kept."""
    engine.submit(Request(PROMPT, SamplingConfig(seed=1, max_tokens=2), user=user))
    ends = []
    while engine.has_work:
        ends += [event for event in engine.step() if isinstance(event, RequestFinished)]
    assert ends[0].reason == "length"
    return ends[0].n_cached


def test_the_engines_process_and_the_web_application_forget(
    engine: RemoteEngine, tmp_path: Path
) -> None:
    service = Service()
    service.engine.set_assistant(Assistant(engine, TOKENIZER, reports_waiting=True), "", None)
    memory = ReplyMemory()
    with Store(tmp_path / "store.db") as store:
        ann, ben, gone = (store.users.add(n, "member", "correct horse") for n in ("a", "b", "c"))
        forget_user(store.database, gone.id)  # before the server's start
        passed_on: list[str] = []

        def forget(user: str) -> None:
            passed_on.append(user)
            service.forget_user(user)
            memory.forget_user(user)

        deleted = DeletedUsers(store.audit, forget)
        for user in (ann.id, ben.id):
            memory.add(f"r{user}", [Message("user", "q")], [Message("assistant", "a")], "w", user)
            service.responses.add(StoredResponse(user, {"id": f"s{user}"}, [], []))
            assert n_cached(engine, user) == 0
            assert n_cached(engine, user) > 0
        deleted.look()
        assert passed_on == []
        assert n_cached(engine, ann.id) > 0
        forget_user(store.database, ann.id)
        deleted.look()
        deleted.look()
        assert passed_on == [ann.id]
    assert n_cached(engine, ann.id) == 0
    assert memory.get(f"r{ann.id}", ann.id) is None
    assert memory.get(f"r{ben.id}", ben.id) is not None
    assert len(service.responses) == 1
    service.responses.get(f"s{ben.id}", ben.id)
