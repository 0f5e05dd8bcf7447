"""Evaluation: figures about a model, with the number of items and, for shares, an interval."""
