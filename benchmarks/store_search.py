"""Time the search over a user's conversations: python benchmarks/store_search.py [ADDRESS].

Fills a new store with 200 conversations of 1,000 messages for one user and as many for another,
then searches words of different frequency. Prints the slowest and the median of each query. The
target: at most 200 ms.
"""

import itertools
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from chatwright.conversation import Message
from chatwright.store.messages import Origin, StoredMessage, insert_tree
from chatwright.store.store import Store

N_CONVERSATION, N_MESSAGE, N_WORD, N_REPEAT = 200, 1000, 30, 7
WORDS = [f"word{number}" for number in range(20_000)]
# The frequency of words falls with their rank, as in texts.
CUM_WEIGHTS = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(WORDS))))
QUERIES = {
    "in most messages": "word0",
    "in some messages": "word100",
    "in few messages": "word19000",
    "two frequent words": "word0 word1",
    "frequent and rare": "word0 word19000",
    "beginning of many words": "word1",
    "one letter": "w",
    "in no message": "absent",
    "only of the other user": "zebrafinch",
}


def fill(store: Store, user: str, extra: str) -> None:
    """Add the conversations of a user; `extra` is in every message."""
    choose = random.Random(user[:1])
    for _ in range(N_CONVERSATION):
        conversation = store.conversations.create(user, "title").id
        messages = []
        for number in range(N_MESSAGE):
            text = " ".join([*choose.choices(WORDS, cum_weights=CUM_WEIGHTS, k=N_WORD), extra])
            parent = str(number - 1) if number else None
            message = Message("user" if number % 2 == 0 else "assistant", text)
            rest = ("complete", Origin(), None, None, "")
            messages.append(StoredMessage(str(number), parent, message, *rest))
        with store.database.write() as connection:
            insert_tree(connection, user, conversation, messages)


def main(address: str) -> None:
    """Fill the store and print the times."""
    with Store(address) as store:
        ann = store.users.add("ann", "member", "correct horse").id
        ben = store.users.add("ben", "member", "correct horse").id
        start = time.perf_counter()
        fill(store, ben, "zebrafinch")
        fill(store, ann, "")
        n_message = 2 * N_CONVERSATION * N_MESSAGE
        seconds = time.perf_counter() - start
        print(f"{n_message:,} messages written in {seconds:.0f} s ({n_message / seconds:,.0f}/s)")
        for name, query in QUERIES.items():
            times = []
            for _ in range(N_REPEAT):
                start = time.perf_counter()
                hits = store.search.find(ann, query)
                times.append((time.perf_counter() - start) * 1000)
            median, slowest = statistics.median(times), max(times)
            print(f"{name:26} {len(hits):3} hits  {median:6.1f} ms, slowest {slowest:6.1f} ms")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(str(Path(folder) / "store.db"))
