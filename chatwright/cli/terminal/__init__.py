"""The terminal chat behind `chatwright chat`."""
