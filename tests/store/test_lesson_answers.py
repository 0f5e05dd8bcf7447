"""Answers to the lessons' questions: the last one counts, and each user has own ones."""

from chatwright.store.deletion import forget_user
from chatwright.store.lesson_answers import LessonAnswer


def answer(lesson, before, after=None, has_checked=False):
    return LessonAnswer(lesson=lesson, before=before, after=after, has_checked=has_checked)


def test_the_last_answer_of_each_lesson_and_user_counts(store):
    ann, bob = (store.users.add(name, "learner", "correct horse").id for name in ("ann", "bob"))
    store.lessons.put(ann, answer("tokens", 2))
    store.lessons.put(ann, answer("tokens", 2, 0, True))
    store.lessons.put(ann, answer("loss", None))
    store.lessons.put(bob, answer("tokens", 1))
    assert store.lessons.of_user(ann) == (answer("loss", None), answer("tokens", 2, 0, True))
    assert store.lessons.of_all() == {
        ann: store.lessons.of_user(ann),
        bob: (answer("tokens", 1),),
    }


def test_they_are_deleted_with_their_user(store):
    ann = store.users.add("ann", "learner", "correct horse").id
    store.lessons.put(ann, answer("tokens", 2))
    forget_user(store.database, ann)
    assert store.lessons.of_all() == {}
