"""The starter corpus: synthetic training data, and an exam as the held-out evaluation set."""

from chatwright.starter.corpus import (
    CorpusSettings,
    exam_items,
    heldout_documents,
    pretraining_documents,
    read_settings,
    training_conversations,
    write_corpus,
)
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_documents import Document
from chatwright.starter.fact_table import FactTable, make_fact_table
from chatwright.starter.simulated_tools import SimulatedTools

__all__ = [
    "CorpusSettings",
    "Document",
    "ExamItem",
    "FactTable",
    "SimulatedTools",
    "exam_items",
    "heldout_documents",
    "make_fact_table",
    "pretraining_documents",
    "read_settings",
    "training_conversations",
    "write_corpus",
]
