"""Time the search over a user's conversations: python benchmarks/store_search.py [ADDRESS].

Fills a new store with 200 conversations of 1,000 messages for one user and 20 for another, then
searches words of different frequency. The words are made of syllables, so that a beginning of three
letters has about as many words as in a language. Prints the median and the slowest time of each
query. The target: at most 200 ms.
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

N_CONVERSATION, N_OTHER, N_MESSAGE, N_WORD, N_REPEAT = 200, 20, 1000, 30, 7
SYLLABLES = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]
WORDS = ["".join(pair) for n in (1, 2, 3) for pair in itertools.product(SYLLABLES, repeat=n)]
random.Random(1).shuffle(WORDS)
del WORDS[20_000:]
# The frequency of words falls with their rank, as in texts.
CUM_WEIGHTS = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(WORDS))))
QUERIES = {
    "the most frequent word": WORDS[0],
    "the 100th word": WORDS[100],
    "the 19,000th word": WORDS[19_000],
    "two frequent words": f"{WORDS[0]} {WORDS[1]}",
    "frequent and rare": f"{WORDS[0]} {WORDS[19_000]}",
    "three letters": WORDS[0][:3],
    "a frequent word and three letters": f"{WORDS[0]} {WORDS[1][:3]}",
    "one letter": "b",
    "in no message": "absent",
    "only of the other user": "zebrafinch",
}


def fill(store: Store, user: str, n_conversation: int, extra: str) -> None:
    """Add conversations of a user; `extra` is in every message."""
    choose = random.Random(user[:1])
    for _ in range(n_conversation):
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
        fill(store, ben, N_OTHER, "zebrafinch")
        fill(store, ann, N_CONVERSATION, "")
        n_message = (N_OTHER + N_CONVERSATION) * N_MESSAGE
        seconds = time.perf_counter() - start
        print(f"{n_message:,} messages written in {seconds:.0f} s ({n_message / seconds:,.0f}/s)")
        for name, query in QUERIES.items():
            times = []
            for _ in range(N_REPEAT):
                start = time.perf_counter()
                hits = store.search.find(ann, query)
                times.append((time.perf_counter() - start) * 1000)
            median, slowest = statistics.median(times), max(times)
            print(f"{name:34} {len(hits):3} hits  {median:6.1f} ms, slowest {slowest:6.1f} ms")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(str(Path(folder) / "store.db"))
