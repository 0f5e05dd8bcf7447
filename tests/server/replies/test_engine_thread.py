"""The engine thread: live replies take turns, and every reply ends once."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import TextDelta
from chatwright.conversation import Message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import SamplingConfig
from chatwright.server.errors import ApiError
from chatwright.server.replies.engine_thread import EngineThread, Limits
from chatwright.server.replies.pending_reply import Failed, PendingReply
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

HI = [Message("user", "hi")]


class Listener:
    """Collects the events of a reply; `began` is set by the first, `ended` by the last (None)."""

    def __init__(self, seed=0, max_tokens=5):
        self.events = []
        self.began = threading.Event()
        self.ended = threading.Event()
        self.pending = PendingReply(
            HI, SamplingConfig(seed=seed, max_tokens=max_tokens), self.deliver
        )

    def deliver(self, event):
        self.events.append(event)
        self.began.set()
        if event is None:
            self.ended.set()


@pytest.fixture
def start_engine():
    engines = []

    def start(*args, **kwargs):
        engines.append(EngineThread(*args, **kwargs))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def test_live_replies_take_turns_and_a_waiting_reply_starts_when_a_slot_is_free(start_engine):
    order = []

    class RecordingAssistant(FakeAssistant):
        def reply(self, conversation, sampling, thinking=None, form=None, *, user="") -> Iterator:
            for _ in range(3):
                order.append(sampling.seed)
                yield TextDelta("x")

    engine = start_engine(RecordingAssistant(), Limits(max_live=2))
    listeners = [Listener(seed) for seed in range(3)]
    engine.submit([listener.pending for listener in listeners])
    for listener in listeners:
        assert listener.ended.wait(30)
    assert order == [0, 1, 0, 1, 0, 1, 2, 2, 2]
    assert engine.n_open == 0


def test_every_reply_is_closed_and_reports_its_end_once(start_engine):
    now = [0.0]
    engine = start_engine(FakeAssistant(), Limits(max_seconds=10), clock=lambda: now[0])
    finished = Listener()
    engine.submit([finished.pending])
    assert finished.ended.wait(30)
    assert finished.events.count(None) == 1

    endless = FakeAssistant(endless=True)
    engine.set_assistant(endless)
    canceled = Listener()
    engine.submit([canceled.pending])
    assert canceled.began.wait(30)
    canceled.pending.cancel()
    assert canceled.ended.wait(30)
    assert not any(isinstance(event, Failed) for event in canceled.events)

    late = Listener()
    engine.submit([late.pending])
    assert late.began.wait(30)
    now[0] = 11.0
    assert late.ended.wait(30)
    assert [event.error.code for event in late.events if isinstance(event, Failed)] == ["timeout"]
    assert endless.n_closed == 2
    assert engine.n_open == 0


def test_a_reply_keeps_the_model_it_began_with_or_was_assigned(start_engine):
    gate = threading.Event()

    class NamedAssistant(FakeAssistant):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def reply(self, conversation, sampling, thinking=None, form=None, *, user=""):
            for _ in range(3):
                yield TextDelta(self.name)
                assert gate.wait(30)

    old = NamedAssistant("old")
    new = NamedAssistant("new")
    engine = start_engine(old)
    assert (engine.served.number, engine.served.description) == (1, "")
    live = Listener()
    assigned = Listener()
    unassigned = Listener()
    assigned.pending.assistant = old
    engine.submit([live.pending])
    assert live.began.wait(30)
    engine.set_assistant(new, "step 2")
    assert (engine.served.assistant, engine.served.number, engine.served.description) == (
        new,
        2,
        "step 2",
    )
    engine.submit([assigned.pending, unassigned.pending])
    gate.set()
    assert all(listener.ended.wait(30) for listener in (live, assigned, unassigned))
    assert [
        [event.text for event in listener.events[:-1]] for listener in (live, assigned, unassigned)
    ] == [["old"] * 3, ["old"] * 3, ["new"] * 3]


def test_a_reply_that_fails_does_not_end_the_others(start_engine):
    class FailingAssistant(FakeAssistant):
        def reply(self, conversation, sampling, thinking=None, form=None, *, user=""):
            if sampling.seed == 1:
                raise ZeroDivisionError
            return super().reply(conversation, sampling)

    engine = start_engine(FailingAssistant())
    listeners = [Listener(seed) for seed in range(3)]
    engine.submit([listener.pending for listener in listeners])
    assert all(listener.ended.wait(30) for listener in listeners)
    assert [isinstance(listener.events[-2], Failed) for listener in listeners] == [
        False,
        True,
        False,
    ]


def test_a_user_cannot_take_all_places(start_engine):
    assistant = FakeAssistant(endless=True)
    engine = start_engine(assistant, Limits(max_live=1, max_waiting=5))

    def listener_of(user):
        listener = Listener()
        listener.pending.user = user
        return listener

    own = [listener_of("anna") for _ in range(3)]
    engine.submit([listener.pending for listener in own])
    with pytest.raises(ApiError) as caught:
        engine.submit([listener_of("anna").pending])
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    assert int(caught.value.headers["retry-after"]) > 0
    others = [listener_of("bert"), *[Listener() for _ in range(2)]]  # two without a key
    engine.submit([listener.pending for listener in others])
    with pytest.raises(ApiError) as caught:
        engine.submit([listener_of("carl").pending])
    assert (caught.value.status, caught.value.code) == (503, "server_full")
    for listener in (*own, *others):
        listener.pending.cancel()
    assert all(listener.ended.wait(30) for listener in (*own, *others))
    last = listener_of("anna")
    engine.submit([last.pending])
    last.pending.cancel()
    assert last.ended.wait(30)


def test_a_closed_event_loop_does_not_stop_the_thread(start_engine):
    engine = start_engine(FakeAssistant())

    def fail(event):
        raise RuntimeError("Event loop is closed")

    engine.submit([PendingReply(HI, SamplingConfig(), fail)])
    after = Listener()
    engine.submit([after.pending])
    assert after.ended.wait(30)
    assert engine.wait_until_idle(30)


def test_closing_ends_open_replies_and_refuses_new_ones():
    engine = EngineThread(FakeAssistant(endless=True))
    listener = Listener()
    engine.submit([listener.pending])
    assert listener.began.wait(30)
    engine.close()
    assert [event.error.code for event in listener.events if isinstance(event, Failed)] == [
        "shutting_down"
    ]
    with pytest.raises(ApiError) as caught:
        engine.submit([Listener().pending])
    assert (caught.value.status, caught.value.code) == (503, "shutting_down")


def test_a_long_prompt_does_not_hold_up_a_live_reply(start_engine):
    """Between two tokens of a reply lie at most two steps, however long another prompt is."""
    engine = Engine(small_model(context_length=512), EngineConfig(n_slot=2, prefill_tokens=8))
    assistant = Assistant(engine, TOKENIZER, reports_waiting=True)
    thread = start_engine()
    thread.set_assistant(assistant)
    n_step, at = 0, []
    original = engine.step

    def step():
        nonlocal n_step
        n_step += 1
        return original()

    engine.step = step  # type: ignore[method-assign]
    banned = {int(id_): -100.0 for id_ in NO_CONTROL_TOKENS}
    settings = SamplingConfig(seed=3, max_tokens=60, logit_bias=banned)
    live = Listener()
    live.pending = PendingReply([Message("user", "abc")], settings, live.deliver)
    live_deliver = live.deliver

    def record(event):
        if isinstance(event, TextDelta):
            at.append(n_step)
        live_deliver(event)

    live.pending.deliver = record
    long = Listener()
    long.pending = PendingReply(
        [Message("user", "abcdefgh" * 50)], replace(settings, max_tokens=1), long.deliver
    )
    thread.submit([live.pending, long.pending])
    assert live.ended.wait(60)
    assert long.ended.wait(60)
    gaps = [late - early for early, late in pairwise(at)]
    assert n_step > 50  # the prompt alone needs so many steps
    assert len(at) > 30
    assert max(gaps) <= 2


def test_with_the_limits_of_an_engine_users_take_turns(start_engine):
    """A user who comes last does not wait for all replies of a user who came first."""
    engine = Engine(small_model(), EngineConfig(n_slot=1))
    assistant = Assistant(engine, TOKENIZER, reports_waiting=True)
    thread = start_engine(limits=Limits.of_engine(1))
    thread.set_assistant(assistant)
    banned = {int(id_): -100.0 for id_ in NO_CONTROL_TOKENS}
    settings = SamplingConfig(seed=3, max_tokens=5, logit_bias=banned)
    ended, listeners = [], []
    for user in ("ann", "ann", "ann", "ben"):
        listener = Listener()

        def deliver(event, user=user, listener=listener):
            if event is None:
                ended.append(user)
            listener.deliver(event)

        listener.pending = PendingReply([Message("user", "abc")], settings, deliver)
        listener.pending.user = user
        listeners.append(listener)
    thread.submit([listener.pending for listener in listeners])
    for listener in listeners:
        assert listener.ended.wait(60)
    assert ended == ["ann", "ann", "ben", "ann"]
