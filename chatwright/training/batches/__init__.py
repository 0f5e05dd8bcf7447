"""Resumable batches from texts, conversations, labels and sentence pairs."""
