"""Feedback of a store reaches a snapshot unchanged; what learned from a user is found.

These are the snapshots with the user's feedback, the versions that were trained on them, and the
versions that were trained from those.
"""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import registry
from chatwright.checkpoint.registry import Version
from chatwright.conversation import Message, Text, Thinking
from chatwright.data.preferences import Correction, Ranking, Thumb
from chatwright.data.snapshot import read_snapshot, write_snapshot
from chatwright.errors import InputError
from chatwright.pipeline.store_feedback import write_store_snapshot
from chatwright.pipeline.user_traces import find_traces
from chatwright.store.deletion import forget_user
from chatwright.store.feedback import Opinion
from chatwright.store.messages import Answer, Origin
from chatwright.store.store import Store

WEIGHTS = "ab" * 32


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.db") as store:
        yield store


def rate(store: Store, name: str) -> str:
    """Add a user who ranks two answers, gives the first a thumb down and corrects the second.

    Return the user's id.
    """
    user = store.users.add(name, "member", "correct horse").id
    conversation = store.conversations.create(user).id
    question, first = store.messages.add(
        user, conversation, None, Message("user", f"{name}?"), answer_by=Origin("m", WEIGHTS)
    )
    second = store.messages.add_answer(user, conversation, question.id, Origin("m", WEIGHTS))
    for pending, text in ((first, "one"), (second, " two\n")):
        parts = (Thinking("hm"), Text(text))
        store.messages.complete(user, pending.id, Answer(Message("assistant", parts)))
    both = (first.id, second.id)
    store.feedback.give(user, Opinion(kind="ranking", messages=both, ranks=(2, 1)))
    store.feedback.give(user, Opinion(kind="thumb", messages=both[:1], is_up=False, reason="no"))
    better = Message("assistant", "three")
    store.feedback.give(user, Opinion(kind="correction", messages=both[1:], better=better))
    return user


def test_feedback_reaches_a_snapshot_unchanged(store, tmp_path):
    user = rate(store, "ann")
    snapshot = write_store_snapshot(store, tmp_path / "s.jsonl")
    ranking, thumb, correction = read_snapshot(tmp_path / "s.jsonl").feedback
    assert snapshot.feedback == (ranking, thumb, correction)
    assert isinstance(ranking, Ranking)
    assert ranking.ranks == (2, 1)
    assert [reply.message.text for reply in ranking.replies] == ["one", " two\n"]
    assert {reply.weights for reply in ranking.replies} == {WEIGHTS}
    assert isinstance(thumb, Thumb)
    assert (thumb.is_up, thumb.reason, thumb.reply.message.thinking) == (False, "no", "hm")
    assert isinstance(correction, Correction)
    assert correction.better == Message("assistant", "three")
    for item in snapshot.feedback:
        assert (item.rater, item.is_simulated) == (user, False)
        assert item.prompt == (Message("user", "ann?"),)


def test_a_store_without_feedback_writes_nothing(store, tmp_path):
    with pytest.raises(InputError):
        write_store_snapshot(store, tmp_path / "s.jsonl")
    assert not (tmp_path / "s.jsonl").exists()


def add_version(folder: Path, name: str, parent: str, feedback: str) -> None:
    version = Version(
        id=name * 32, name=name, path=name, weights=name * 32, parent=parent, feedback=feedback
    )
    registry.add(folder, version)


def test_snapshots_and_versions_that_learned_from_a_user_are_found(store, tmp_path):
    ann, ben = rate(store, "ann"), rate(store, "ben")
    runs = tmp_path / "runs"
    (runs / "data").mkdir(parents=True)
    both = write_store_snapshot(store, runs / "data" / "both.jsonl")
    of_ben = [item for item in both.feedback if item.rater == ben]
    other = write_snapshot(runs / "data" / "ben.jsonl", of_ben, previous=both)
    of_ann = [item for item in both.feedback if item.rater == ann]
    filtered = write_snapshot(runs / "data" / "ann.jsonl", of_ann, previous=both)
    (runs / "data" / "rows.jsonl").write_text(json.dumps({"text": ann}) + "\n")
    add_version(runs, "v1", "", "")
    add_version(runs, "v2", "v1" * 32, other.sha256)
    add_version(runs, "v3", "v1" * 32, filtered.sha256)
    add_version(runs, "v4", "v3" * 32, other.sha256)
    done = forget_user(store.database, ann)
    assert [export.sha256 for export in done.snapshots] == [both.sha256]
    traces = find_traces(runs, ann, {both.sha256})
    assert [path.name for path in traces.snapshots] == ["ann.jsonl", "both.jsonl"]
    assert [trained.version.name for trained in traces.versions] == ["v3", "v4"]
    assert find_traces(runs, "somebody").versions == ()
