"""The thread that owns the model: replies advance in turn, and each ends through the one way out."""

import threading
from collections.abc import Iterator

import pytest

from chatwright.chat.reply_events import TextDelta
from chatwright.conversation import Message
from chatwright.engine.sampling import SamplingConfig
from chatwright.server.engine_thread import EngineThread, Failed, Limits, PendingReply
from chatwright.server.errors import ApiError
from tests.server.fake_assistant import FakeAssistant

HI = [Message("user", "hi")]


class Listener:
    """Collects what one reply says; `ended` is set by the None that closes it, `began` by whatever comes first."""

    def __init__(self, seed=0, max_tokens=5):
        self.events, self.began, self.ended = [], threading.Event(), threading.Event()
        self.pending = PendingReply(
            HI, SamplingConfig(seed=seed, max_tokens=max_tokens), self.deliver
        )

    def deliver(self, event):
        self.events.append(event)
        self.began.set()
        if event is None:
            self.ended.set()


@pytest.fixture
def started(request):
    engines = []

    def start(*args, **kwargs):
        engines.append(EngineThread(*args, **kwargs))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def test_live_replies_take_turns_and_waiting_ones_follow(started):
    order = []

    class Noting(FakeAssistant):
        def reply(self, conversation, sampling) -> Iterator:
            for _ in range(3):
                order.append(sampling.seed)
                yield TextDelta("x")

    engine = started(Noting(), Limits(max_live=2))
    listeners = [Listener(seed) for seed in range(3)]
    engine.submit([listener.pending for listener in listeners])
    for listener in listeners:
        assert listener.ended.wait(30)
    assert order == [0, 1, 0, 1, 0, 1, 2, 2, 2]
    assert engine.n_open == 0


def test_every_end_closes_the_reply_and_says_so_once(started):
    now = [0.0]
    engine = started(FakeAssistant(), Limits(max_seconds=10), clock=lambda: now[0])
    finished = Listener()
    engine.submit([finished.pending])
    assert finished.ended.wait(30)
    assert finished.events.count(None) == 1

    endless = FakeAssistant(endless=True)
    engine.set_assistant(endless)
    cancelled = Listener()
    engine.submit([cancelled.pending])
    assert cancelled.began.wait(30)
    cancelled.pending.cancel()
    assert cancelled.ended.wait(30)
    assert not any(isinstance(event, Failed) for event in cancelled.events)

    late = Listener()
    engine.submit([late.pending])
    assert late.began.wait(30)
    now[0] = 11.0
    assert late.ended.wait(30)
    assert [event.error.code for event in late.events if isinstance(event, Failed)] == ["timeout"]
    assert endless.n_closed == 2
    assert engine.n_open == 0


def test_a_reply_ends_with_the_model_it_began_with_or_was_given(started):
    gate = threading.Event()

    class Named(FakeAssistant):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def reply(self, conversation, sampling):
            for _ in range(3):
                yield TextDelta(self.name)
                assert gate.wait(30)

    old, new = Named("old"), Named("new")
    engine = started(old)
    assert (engine.served.number, engine.served.description) == (1, "")
    under_way, given, free = Listener(), Listener(), Listener()
    given.pending.assistant = old
    engine.submit([under_way.pending])
    assert under_way.began.wait(30)
    engine.set_assistant(new, "step 2")
    assert (engine.served.assistant, engine.served.number, engine.served.description) == (
        new,
        2,
        "step 2",
    )
    engine.submit([given.pending, free.pending])
    gate.set()
    assert all(listener.ended.wait(30) for listener in (under_way, given, free))
    assert [
        [event.text for event in listener.events[:-1]] for listener in (under_way, given, free)
    ] == [["old"] * 3, ["old"] * 3, ["new"] * 3]


def test_one_broken_reply_does_not_end_its_neighbours(started):
    class Breaking(FakeAssistant):
        def reply(self, conversation, sampling):
            if sampling.seed == 1:
                raise ZeroDivisionError
            return super().reply(conversation, sampling)

    engine = started(Breaking())
    listeners = [Listener(seed) for seed in range(3)]
    engine.submit([listener.pending for listener in listeners])
    assert all(listener.ended.wait(30) for listener in listeners)
    assert [isinstance(listener.events[-2], Failed) for listener in listeners] == [
        False,
        True,
        False,
    ]


def test_a_listener_that_is_gone_does_not_stop_the_thread(started):
    engine = started(FakeAssistant())

    def gone(event):
        raise RuntimeError("Event loop is closed")

    engine.submit([PendingReply(HI, SamplingConfig(), gone)])
    after = Listener()
    engine.submit([after.pending])
    assert after.ended.wait(30)
    assert engine.wait_until_idle(30)


def test_closing_ends_what_is_open_and_refuses_what_comes():
    engine = EngineThread(FakeAssistant(endless=True))
    listener = Listener()
    engine.submit([listener.pending])
    assert listener.began.wait(30)
    engine.close()
    assert [event.error.code for event in listener.events if isinstance(event, Failed)] == [
        "shutting_down"
    ]
    with pytest.raises(ApiError, match="shutting down"):
        engine.submit([Listener().pending])
