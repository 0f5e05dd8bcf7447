"""The starter world: everything the first model learns, made by us, inside the package, without a download."""

from chatwright.starter.corpus import (
    Drawn,
    drawn_at,
    heldout_items,
    heldout_prose,
    pretraining_documents,
    training_conversations,
    write,
)
from chatwright.starter.fact_table import make_world
from chatwright.starter.item import Item
from chatwright.starter.prose import Document
from chatwright.starter.simulated_tools import Outside

__all__ = [
    "Document",
    "Drawn",
    "FactTable",
    "Item",
    "Outside",
    "drawn_at",
    "heldout_items",
    "heldout_prose",
    "make_world",
    "pretraining_documents",
    "training_conversations",
    "write",
]
