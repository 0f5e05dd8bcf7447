"""Replies that clients wait for: one thread samples them, and responses stream them."""
