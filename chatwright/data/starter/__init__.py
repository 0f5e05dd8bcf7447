"""The starter world: everything the first model learns, made by us, inside the package, without a download."""

from chatwright.data.starter.corpus import (
    Drawn,
    drawn_at,
    heldout_items,
    heldout_prose,
    pretraining_documents,
    training_conversations,
    write,
)
from chatwright.data.starter.item import Item
from chatwright.data.starter.outside import Outside
from chatwright.data.starter.prose import Document
from chatwright.data.starter.world import World, make_world

__all__ = [
    "Document",
    "Drawn",
    "Item",
    "Outside",
    "World",
    "drawn_at",
    "heldout_items",
    "heldout_prose",
    "make_world",
    "pretraining_documents",
    "training_conversations",
    "write",
]
