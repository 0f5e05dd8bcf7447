"""A model card: tables of figures and plain warnings, as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FILE = "CARD.md"
"""Name of the card beside the weights."""
JSON_FILE = "card.json"
"""The same content for programs."""


@dataclass(frozen=True)
class CardTable:
    """One table of a card."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """How to read the table."""


@dataclass(frozen=True)
class ModelCard:
    """The tables of a model, and what speaks against using it."""

    title: str
    tables: Sequence[CardTable]
    warnings: Sequence[str] = ()

    def to_markdown(self) -> str:
        """Return the card as a Markdown document."""
        parts = [f"# {self.title}"]
        parts += [f"**Warning:** {warning}" for warning in self.warnings]
        for table in self.tables:
            lines = [table.columns, ["---"] * len(table.columns), *table.rows]
            body = "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)
            parts += [f"## {table.title}", *([table.note] if table.note else []), body]
        return "\n\n".join(parts) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Return the card as JSON values."""
        return {
            "title": self.title,
            "warnings": list(self.warnings),
            "tables": [
                {
                    "title": table.title,
                    "columns": list(table.columns),
                    "rows": [list(row) for row in table.rows],
                    "note": table.note,
                }
                for table in self.tables
            ],
        }


def card_from_json(values: Mapping[str, Any]) -> ModelCard:
    """Return the card that `to_json` wrote."""
    tables = [CardTable(**table) for table in values["tables"]]
    return ModelCard(values["title"], tables, values["warnings"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
