"""Read the word lists and sentence patterns of the starter corpus from TOML files.

The files are in `words/` and `patterns/`. Dotted paths name their entries: `summary.nouns` is the
list `nouns` of the table `[summary]`. A list repeats a text that should be drawn more often.

Patterns use three kinds of brackets:

- `[Say|Tell me]` is one of the alternatives, drawn at random. One of them can be empty.
- `{town}` is a slot that the code fills.
- `<now>` is replaced by the text `now` of the file's table `[fragments]`. If `span` is a list in
  that table, an entry `<span>` of another list is replaced by all texts of `span`.
"""

import random
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from chatwright.starter.phrasing import as_sentence, expand

_PACKAGE = Path(__file__).parent
_FRAGMENT = re.compile(r"<(\w+)>")


class DataFile:
    """The texts and lists of one file, by name. The file is read when an entry is first used."""

    def __init__(self, path: str) -> None:
        """Use the file at `path`, relative to this package: "patterns/jokes.toml"."""
        self.path = _PACKAGE / path

    @cached_property
    def _content(self) -> dict[str, Any]:
        return tomllib.loads(self.path.read_text(encoding="utf-8"))

    @cached_property
    def _entries(self) -> dict[str, str | tuple[str, ...]]:
        return dict(_flatten(self._content, ""))

    @cached_property
    def _lists(self) -> dict[str, tuple[str, ...]]:
        return {
            name: tuple(text for entry in value for text in self._texts_of(entry))
            for name, value in self._entries.items()
            if isinstance(value, tuple)
        }

    def _texts_of(self, entry: str) -> tuple[str, ...]:
        match = _FRAGMENT.fullmatch(entry)
        fragment = self._entries[f"fragments.{match[1]}"] if match else entry
        texts = (fragment,) if isinstance(fragment, str) else fragment
        return tuple(self._with_fragments(text) for text in texts)

    def _with_fragments(self, text: str) -> str:
        while match := _FRAGMENT.search(text):
            text = text.replace(match[0], str(self._entries[f"fragments.{match[1]}"]))
        return text

    def __getitem__(self, name: str) -> tuple[str, ...]:
        """Return the list called `name`."""
        return self._lists[name]

    def get(self, name: str) -> tuple[str, ...]:
        """Return the list called `name`, or an empty one if the file has none."""
        return self._lists.get(name, ())

    def list_names(self) -> list[str]:
        """Return the dotted names of all lists in the file, in order."""
        return list(self._lists)

    def text(self, name: str) -> str:
        """Return the single text called `name`."""
        value = self._entries[name]
        assert isinstance(value, str), f"{name} in {self.path.name} is a list, not a text"
        return self._with_fragments(value)

    def table(self, name: str) -> dict[str, str]:
        """Return a TOML table as a dictionary of texts, in the order of the file."""
        return dict(self._content_at(name))

    def names(self, name: str = "") -> list[str]:
        """Return the names of the tables in the file, or in the table `name`, in order."""
        return [key for key, value in self._content_at(name).items() if isinstance(value, dict)]

    def _content_at(self, name: str) -> dict[str, Any]:
        content = self._content
        for key in name.split(".") if name else ():
            content = content[key]
        return content

    def draw(self, name: str, rng: random.Random) -> str:
        """Draw a pattern from the list called `name` and expand its brackets."""
        return expand(rng.choice(self[name]), rng)

    def request(self, name: str, rng: random.Random) -> str:
        """Draw a phrase from the list called `name` and put it into a drawn request pattern.

        The last part of the name selects the request patterns: `actions` ("count to ten"),
        `clauses` ("what it costs") or `nouns` ("the price"). A dozen phrases give hundreds of
        sentences.
        """
        request_patterns = REQUEST_PATTERNS[name.rpartition(".")[2]]
        return compose_request(request_patterns, self[name], rng)


def compose_request(
    request_patterns: tuple[str, ...], phrases: tuple[str, ...], rng: random.Random
) -> str:
    """Draw a request pattern, put a drawn phrase into its slot {it}, and expand the result."""
    pattern = rng.choice(request_patterns).replace("{it}", rng.choice(phrases))
    return as_sentence(expand(pattern, rng))


def _flatten(table: dict[str, Any], prefix: str) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else tuple(value)


REQUEST_PATTERNS = DataFile("patterns/requests.toml")
