"""The engine in its own process: the same replies, a restart after its end, no torch outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, Waiting
from chatwright.chat.vocabulary import vocabulary_of
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import (
    AnyEngine,
    Constraint,
    EngineUnavailable,
    PromptTooLong,
    Request,
    RequestFinished,
    SamplingConfig,
)
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.pipeline.open_engine import open_embedder
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.remote_engine import RemoteEmbedder, RemoteEngine
from chatwright.tokenizer import wordpiece
from tests.server.small_model import CONTEXT, NO_CONTROL_TOKENS, TOKENIZER, small_model

BIAS = {int(token_id): bias for token_id, bias in NO_CONTROL_TOKENS.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a decoder (`chat`) and an encoder (`vectors`)."""
    folder = tmp_path_factory.mktemp("models")
    model_directory.save(folder / "chat", small_model(), TOKENIZER)
    model_directory.save(folder / "other", small_model(seed=6), TOKENIZER)
    tokenizer = wordpiece.train(["the cat sat on the mat"] * 3, 60)
    encoder = Encoder(encoder_preset("nano", vocab_size=tokenizer.vocab_size, head="none"))
    init_weights(encoder, generator(0, "weights"))
    model_directory.save(folder / "vectors", encoder, tokenizer)
    return folder


@pytest.fixture(scope="module")
def process() -> Iterator[EngineProcess]:
    process = EngineProcess(warn=lambda message: None)
    yield process
    process.close()


@pytest.fixture
def engine(process: EngineProcess, folder: Path) -> RemoteEngine:
    return RemoteEngine(process, folder / "chat", MemoryLimits(max_replies=4), 8)


def requests(n: int, max_tokens: int = 20) -> list[Request]:
    return [
        Request(
            [TOKENIZER.control.bos, *TOKENIZER.encode("abc def"[: 1 + i % 7])],
            SamplingConfig(
                seed=i, max_tokens=max_tokens, logit_bias=BIAS, top_log_probs=i % 3, n=1 + i % 2
            ),
            scores_prompt=i % 4 == 0,
        )
        for i in range(n)
    ]


CONSTRAINED = Request(
    TOKENIZER.encode("abc"),
    SamplingConfig(seed=2, max_tokens=20),
    {TOKENIZER.control.end},
    constraint=Constraint("regex", "[a-d]{3,9}"),
)
Key = tuple[int, int]
"""Number of a request, and which of its replies."""


def events_by_reply(engine: AnyEngine, wanted: list[Request]) -> dict[Key, list[object]]:
    """Return the events of each reply, without ids, and without the order between replies."""
    numbers = {engine.submit(request): number for number, request in enumerate(wanted)}
    found: dict[Key, list[object]] = {}
    while engine.has_work:
        for event in engine.step():
            content = {**vars(event), "request_id": "", "is_last": False}
            reply = (numbers[event.request_id], event.index)
            found.setdefault(reply, []).append((type(event).__name__, content))
    return found


def test_events_equal_those_of_an_engine_in_this_process(engine: RemoteEngine) -> None:
    wanted = [*requests(12), CONSTRAINED]
    with Engine(small_model(), EngineConfig(n_slot=4)) as local:
        for one in (local, engine):
            one.set_vocabulary(vocabulary_of(TOKENIZER))
        assert events_by_reply(engine, wanted) == events_by_reply(local, wanted)
    assert (engine.vocab_size, engine.context_length) == (TOKENIZER.vocab_size, CONTEXT)
    assert engine.n_slot == 4


def test_a_request_that_can_never_be_served_is_refused_at_once(engine: RemoteEngine) -> None:
    with pytest.raises(PromptTooLong):
        engine.submit(Request([1] * CONTEXT, SamplingConfig(max_tokens=9)))
    assert not engine.has_work


def test_a_canceled_request_ends(engine: RemoteEngine) -> None:
    request_id = engine.submit(requests(1, max_tokens=80)[0])
    engine.cancel(request_id)
    events = []
    while engine.has_work:
        events += engine.step()
    assert isinstance(events[-1], RequestFinished)
    assert events[-1].reason == "canceled"


def test_two_models_reply_at_the_same_time_and_an_old_one_is_released(
    process: EngineProcess, engine: RemoteEngine, folder: Path
) -> None:
    other = RemoteEngine(process, folder / "other", MemoryLimits(), 2)
    wanted = requests(4)
    for one in (engine, other):
        for request in wanted:
            one.submit(request)
    finished = {id(engine): 0, id(other): 0}
    while engine.has_work or other.has_work:
        for one in (engine, other):
            ends = [event for event in one.step() if isinstance(event, RequestFinished)]
            finished[id(one)] += sum(event.is_last for event in ends)
    assert list(finished.values()) == [4, 4]
    n_model = len(process._models)
    del other, one
    assert len(process._models) == n_model - 1


def test_an_encoder_computes_the_same_vectors(process: EngineProcess, folder: Path) -> None:
    remote, local = RemoteEmbedder(process, folder / "vectors"), open_embedder(folder / "vectors")
    texts = ["the cat", "sat on the mat", ""]
    expected = local.embed(texts)
    assert [text.vector for text in remote.embed(texts)] == [t.vector.tolist() for t in expected]
    assert (remote.max_length, remote.vector_size) == (local.max_length, local.vector_size)


def test_a_directory_without_a_model_is_refused_with_its_remedy(
    process: EngineProcess, folder: Path
) -> None:
    with pytest.raises(InputError) as caught:
        RemoteEngine(process, folder / "missing", MemoryLimits(), 1)
    assert caught.value.field == "model"
    assert caught.value.remedy
    with pytest.raises(InputError):
        RemoteEmbedder(process, folder / "chat")


def test_after_its_end_replies_fail_and_the_same_models_open_again(folder: Path) -> None:
    process = EngineProcess(warn=lambda message: None)
    try:
        engine = RemoteEngine(process, folder / "chat", MemoryLimits(), 2)
        wanted = CONSTRAINED
        engine.set_vocabulary(vocabulary_of(TOKENIZER))
        before = events_by_reply(engine, [wanted])
        assistant = Assistant(engine, TOKENIZER, reports_waiting=True)
        sampling = SamplingConfig(seed=1, max_tokens=80, logit_bias=BIAS)
        reply = assistant.reply([Message("user", "abc")], sampling)
        next(reply)
        os.kill(process.process_id, signal.SIGKILL)
        *_, last = (event for event in reply if not isinstance(event, Waiting))
        assert isinstance(last, Finished)
        assert last.reason in ("failed", "length")  # it may have ended before the signal
        with pytest.raises(EngineUnavailable):  # until the new process has opened the model
            engine.submit(wanted)
        assert engine.wait_until_open(120)
        assert events_by_reply(engine, [wanted]) == before
        assert process.n_restart == 1
    finally:
        process.close()


def test_the_web_application_needs_no_torch() -> None:
    blocked = (
        "import sys; sys.modules['torch'] = None\n"
        "import chatwright.server.app, chatwright.server.engine_process.client\n"
        "import chatwright.cli.served_models, chatwright.server.http_server\n"
        "import chatwright.server.teach.improvement_loop\n"
        "import chatwright.server.training_runs.training_runs"
    )
    subprocess.run([sys.executable, "-c", blocked], check=True)


def test_the_process_ends_with_the_one_that_started_it(folder: Path) -> None:
    """Killing the web application leaves no engine behind."""
    script = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from chatwright.engine.cache_plan import MemoryLimits\n"
        "from chatwright.server.engine_process.client import EngineProcess\n"
        "from chatwright.server.engine_process.remote_engine import RemoteEngine\n"
        "process = EngineProcess()\n"
        "engine = RemoteEngine(process, Path(sys.argv[1]), MemoryLimits(), 2)\n"
        "print(process.process_id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(folder / "chat")]
    # The engine's process holds the other end of stderr, so this waits for its end.
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == -signal.SIGKILL
    assert int(run.stdout) > 0
