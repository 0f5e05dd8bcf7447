"""Kinds of training: what each batch holds and what its loss is."""
