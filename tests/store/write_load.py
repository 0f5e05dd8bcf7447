"""A program that writes turns to a store and prints an id when each is committed, until killed.

    python write_load.py ADDRESS USER CONVERSATION late|early

Printed lines: "m QUESTION ANSWER" after a question with its pending answer, "a ANSWER" after its
completion, "f FEEDBACK" after feedback. `early` prints before the commit: the planted fault.
"""

import os
import sys
from contextlib import contextmanager

from chatwright.conversation import Message
from chatwright.store.feedback import Opinion
from chatwright.store.messages import Answer, Origin
from chatwright.store.store import Store


def acknowledge(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def main(address: str, user: str, conversation: str, when: str) -> None:
    store = Store(address)
    if when == "early":
        acknowledge_before_commit(store)
    print("ready", flush=True)
    while True:
        question, pending = store.messages.add(
            user, conversation, None, Message("user", "q" * 500), answer_by=Origin()
        )
        acknowledge(f"m {question.id} {pending.id}")
        answer = Answer(Message("assistant", "a" * 2000))
        store.messages.complete(user, pending.id, answer)
        acknowledge(f"a {pending.id}")
        opinion = Opinion(kind="thumb", messages=(pending.id,), is_up=True)
        acknowledge(f"f {store.feedback.give(user, opinion).id}")


def acknowledge_before_commit(store: Store) -> None:
    """Print the ids of new messages inside the transaction, long before it ends."""
    database = store.database
    write = database.write

    @contextmanager
    def write_late():
        with write() as connection:
            yield connection
            rows = connection.exec_driver_sql(
                "SELECT parent_id, id FROM messages ORDER BY number DESC LIMIT 1"
            ).all()
            for parent, id_ in rows:
                acknowledge(f"m {parent or id_} {id_}")
            for _ in range(200_000):  # time in which a kill comes before the commit
                os.getpid()

    database.write = write_late


if __name__ == "__main__":
    main(*sys.argv[1:])
