"""Readers of the public sets of human preferences."""
