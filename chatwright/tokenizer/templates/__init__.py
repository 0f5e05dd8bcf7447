"""Derive a chat format from a model's own template, at import; no template runs later."""
