"""Rank replies in the terminal: the command `chatwright rate`."""
