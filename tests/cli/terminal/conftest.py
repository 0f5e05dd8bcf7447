"""The assistants of the chat tests, for the terminal that shows them."""

from tests.chat.conftest import make_assistant, untrained

__all__ = ["make_assistant", "untrained"]
