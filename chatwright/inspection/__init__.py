"""Inspection: read the attention weights and embeddings of a model, without changing it."""
