"""Jokes as answers to a request for one."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from chat_real_sets.cleaning import Dropped, Turn, clean, dialogue, finish, n_word
from chat_real_sets.files import json_rows, read_text

REQUESTS = (
    "Tell me a joke.",
    "Do you know a joke?",
    "Make me laugh.",
    "Tell me something funny.",
    "I'd like to hear a joke.",
    "Another joke!",
)
REQUEST_FOR_KIND = {
    "programming": "Tell me a programming joke.",
    "knock-knock": "Tell me a knock-knock joke.",
    "dad": "Tell me a dad joke.",
}


def jokes(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield the jokes of official_joke_api."""
    for i, row in enumerate(json_rows(data / "jokes-clean" / "official_joke_api.json")):
        joke = finish(f"{clean(row['setup'])} {clean(row['punchline'])}")
        yield dialogue(REQUEST_FOR_KIND.get(row["type"], REQUESTS[i % len(REQUESTS)]), joke)


def reddit_jokes(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield short jokes from Reddit that do not refer to the web."""
    content = read_text(data / "jokes-clean" / "reddit-cleanjokes.csv")
    for i, row in enumerate(csv.DictReader(io.StringIO(content))):
        joke = clean(row["Joke"])
        if re.search(r"http|reddit|\bOP\b|upvot|\bx-?post|\(via", joke) or n_word(joke) > 60:
            dropped["refers to the web, or long"] += 1
            continue
        joke = finish(re.sub(r"\.\.\. ?\.\.\.", "...", joke))
        yield dialogue(REQUESTS[i % len(REQUESTS)], joke)
