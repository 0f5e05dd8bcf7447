"""The queue: who is offered what, gold questions, limits; rankings as `chatwright rate` writes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chatwright.cli.rating.session import RatingSession
from chatwright.conversation import Message
from chatwright.data.feedback_log import FeedbackLog, read_log
from chatwright.data.preferences import RatedReply
from chatwright.errors import InputError
from chatwright.evaluation.feedback_quality.quality import assess
from chatwright.pipeline.collect import Candidates
from chatwright.pipeline.store_feedback import to_feedback, write_store_snapshot
from chatwright.store.deletion import forget_user
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.feedback import Opinion
from chatwright.store.messages import Origin
from chatwright.store.rating_queue import GOLD_EVERY, NewTask

WEIGHTS = "ab" * 32


def task(question, *replies, right=()):
    return NewTask(
        (Message("system", "Be kind."), Message("user", question)),
        tuple(Message("assistant", reply) for reply in replies),
        (Origin("m", WEIGHTS),) * len(replies),
        right,
    )


@pytest.fixture
def admin(store):
    return store.users.add("root", "admin", "correct horse").id


@pytest.fixture
def ann(store):
    return store.users.add("ann", "rater", "correct horse").id


def text_of(offer):
    """Return the question of an offered task."""
    return offer.task.prompt[-1].text


def rank(store, user, offer, order=None, **values):
    """Rank the replies of an offered task: in the order of their texts, or of `order`."""
    texts = [reply.message.text for reply in offer.task.replies]
    order = order or sorted(texts)
    opinion = Opinion(
        kind="ranking",
        messages=tuple(reply.id for reply in offer.task.replies),
        ranks=tuple(order.index(text) + 1 for text in texts),
        **values,
    )
    return store.queue.rank(user, offer.task.id, opinion)


def test_pairs_come_first_and_every_task_comes_once(store, admin, ann):
    tasks = [task("four", *"abcd"), task("two", "a", "b"), task("three", *"abc")]
    store.queue.add(admin, "batch", tasks)
    seen = []
    for left in (3, 2, 1):
        offer = store.queue.offer(ann)
        assert (offer.n_done, offer.n_left) == (3 - left, left)
        assert [message.text for message in offer.task.prompt] == ["Be kind.", text_of(offer)]
        seen.append((text_of(offer), len(offer.task.replies)))
        rank(store, ann, offer)
    assert seen == [("two", 2), ("three", 3), ("four", 4)]
    assert store.queue.offer(ann).task is None
    assert store.queue.offer(admin).n_left == 3  # each rater is offered all


def test_a_skipped_task_comes_later_and_an_undone_one_comes_again(store, admin, ann):
    store.queue.add(admin, "batch", [task("one", "a", "b"), task("two", "a", "b")])
    first = store.queue.offer(ann)
    second = store.queue.offer(ann, {first.task.id})
    assert (text_of(first), text_of(second)) == ("one", "two")
    given = rank(store, ann, second)
    assert store.queue.offer(ann, {first.task.id}).task is None
    assert text_of(store.queue.offer(ann)) == "one"
    rank(store, ann, first)
    store.feedback.delete(ann, given.id)
    assert text_of(store.queue.offer(ann)) == "two"


def test_the_order_of_the_replies_is_drawn_for_each_rater_and_stays(store, admin):
    store.queue.add(admin, "batch", [task("one", *"abcdefgh")])
    orders = set()
    for number in range(6):
        user = store.users.add(f"rater {number}", "rater", "correct horse").id
        order = [reply.id for reply in store.queue.offer(user).task.replies]
        assert order == [reply.id for reply in store.queue.offer(user).task.replies]
        orders.add(tuple(order))
    assert len(orders) > 1


def test_one_of_ten_tasks_is_a_gold_question_at_a_place_that_differs(store, admin):
    others = [task(f"question {number}", "a", "b") for number in range(40)]
    gold = [task(f"gold {number}", "a", "b", right=(1, 2)) for number in range(4)]
    store.queue.add(admin, "batch", [*others, *gold])
    places = set()
    for user in (store.users.add(f"rater {n}", "rater", "correct horse").id for n in range(2)):
        is_gold = []
        for _ in range(GOLD_EVERY * 3):
            offer = store.queue.offer(user)
            is_gold.append(text_of(offer).startswith("gold"))
            rank(store, user, offer)
        for block in range(3):
            found = is_gold[block * GOLD_EVERY : (block + 1) * GOLD_EVERY]
            assert sum(found) == 1
            places.add(found.index(True))
    assert len(places) > 1


def test_agreement_with_gold_counts_questions_answered_right(store, admin, ann):
    gold = [task(f"gold {number}", "a", "b", "c", right=(1, 2, 3)) for number in range(3)]
    store.queue.add(admin, "batch", gold)
    for order in ("abc", "acb", "cba"):
        rank(store, ann, store.queue.offer(ann), list(order))
    store.queue.add(admin, "batch", [task("other", "a", "b")])
    rank(store, ann, store.queue.offer(ann))
    figures = store.queue.figures()
    assert (figures.n_task, figures.n_gold, figures.n_ranking) == (4, 3, 4)
    by_name = {rater.name: rater for rater in figures.raters}
    assert (by_name["ann"].n_right, by_name["ann"].n_gold) == (1, 3)
    assert (by_name["root"].n_done, by_name["root"].n_gold) == (0, 0)
    feedback = [to_feedback(rated) for rated in store.feedback.rated_conversations()]
    (rater,) = assess(feedback).report.raters
    assert (rater.gold.value, rater.gold.n) == (pytest.approx(1 / 3), 3)  # the report says the same


def test_a_limit_ends_the_queue_of_one_rater(store, admin, ann):
    store.queue.add(admin, "batch", [task(str(number), "a", "b") for number in range(3)])
    store.queue.set_limit(ann, 1, actor=admin)
    first = store.queue.offer(ann)
    assert first.n_left == 1
    rank(store, ann, first)
    assert store.queue.offer(ann).task is None
    other = store.queue.offer(admin)
    assert other.n_left == 3
    unseen = store.queue.offer(admin, {first.task.id})
    with pytest.raises(Conflict) as caught:
        rank(store, ann, unseen)
    assert caught.value.code == "limit_reached"
    rank(store, ann, first, ["b", "a"])  # another opinion on the same task is no new one
    store.queue.set_limit(ann, None, actor=admin)
    assert store.queue.offer(ann).n_left == 2
    assert [entry.action for entry in store.audit.entries(2)] == ["queue.limit"] * 2


def test_rankings_are_those_that_chatwright_rate_writes(store, admin, ann, tmp_path):
    replies = {"one": ("a", "b"), "two": ("c", "d", "e")}
    store.queue.add(admin, "batch", [task(name, *texts) for name, texts in replies.items()])
    given = [("b", "a"), ("d", "c", "e")]
    for order in given:
        rank(store, ann, store.queue.offer(ann), list(order), reason="clear", are_all_bad=False)
    snapshot = write_store_snapshot(store, tmp_path / "snapshot.jsonl")

    candidates = [
        Candidates(
            (Message("system", "Be kind."), Message("user", name)),
            tuple(RatedReply(Message("assistant", text), WEIGHTS) for text in texts),
        )
        for name, texts in replies.items()
    ]
    time = datetime(2026, 1, 1, tzinfo=UTC)
    session = RatingSession(candidates, FeedbackLog(tmp_path / "log.jsonl"), ann, lambda: time)
    for order in given:
        session.reason = "clear"
        shown = [reply.message.text for reply in session.shown]
        session.rank([order.index(text) + 1 for text in shown])
    logged = read_log(tmp_path / "log.jsonl").feedback
    assert len(logged) == 2
    for stored, typed in zip(snapshot.feedback, logged, strict=True):
        assert stored == replace(typed, time=stored.time)


def test_a_deleted_conversation_or_administrator_takes_the_tasks_along(store, admin, ann):
    store.queue.add(admin, "first", [task("one", "a", "b")])
    store.queue.add(admin, "second", [task("two", "a", "b")])
    rank(store, ann, store.queue.offer(ann))
    latest, first = store.conversations.list(admin).conversations
    assert (latest.title, first.title) == ("second", "first")
    store.conversations.delete(admin, first.id)
    assert store.feedback.rated_conversations() == ()
    assert (text_of(store.queue.offer(ann)), store.queue.offer(ann).n_left) == ("two", 1)
    forget_user(store.database, admin)
    assert store.queue.offer(ann).task is None


def test_wrong_rankings_tasks_and_limits_are_refused(store, admin, ann):
    store.queue.add(admin, "batch", [task("one", "a", "b", "c"), task("two", "d", "e", "f")])
    offer = store.queue.offer(ann)
    ids = [reply.id for reply in offer.task.replies]
    part = Opinion(kind="ranking", messages=tuple(ids[:2]), ranks=(1, 2))
    with pytest.raises(InputError):
        store.queue.rank(ann, offer.task.id, part)
    with pytest.raises(NotFound):
        store.queue.rank(ann, "q" * 32, part)
    with pytest.raises(NotFound):
        store.feedback.give(ann, part)  # only through the queue, where limits count
    with pytest.raises(NotFound):
        store.queue.set_limit("nobody", 3)
    for wrong in (
        lambda: task("x", "a"),
        lambda: task("x", "a", "a"),
        lambda: task("x", *"abcdefghi"),
        lambda: task("x", "a", "b", right=(1, 1)),
        lambda: task("x", "a", "b", right=(1,)),
        lambda: store.queue.set_limit(ann, -1),
        lambda: store.queue.add(admin, "empty", []),
    ):
        with pytest.raises(InputError):
            wrong()
