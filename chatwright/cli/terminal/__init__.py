"""The chat in the terminal: the command `chatwright chat`."""
