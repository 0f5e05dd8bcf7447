"""Read messages from the keyboard, with line editing and a history.

Enter sends, Alt-Enter (or Esc, then Enter) starts a new line. Pasted lines stay one message until
Enter sends it. The history is kept in memory only.
"""

from prompt_toolkit import PromptSession
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output


class Keyboard:
    """The prompt of the terminal chat."""

    def __init__(self, input: Input | None = None, output: Output | None = None) -> None:
        """Read from the terminal, or from `input` in tests."""
        self._session: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation="  ",
            history=InMemoryHistory(),
            key_bindings=_key_bindings(),
            enable_suspend=True,
            input=input,
            output=output,
        )

    def read(self) -> str | None:
        """Return the next message; None at the end of the input (Ctrl-D).

        Raises KeyboardInterrupt at Ctrl-C.
        """
        try:
            return self._session.prompt()
        except EOFError:
            return None

    def edit(self, text: str) -> str | None:
        """Let the user change `text`; None if they cancel with Ctrl-C or Ctrl-D."""
        try:
            return self._session.prompt(default=text)
        except (EOFError, KeyboardInterrupt):
            return None


def _key_bindings() -> KeyBindings:
    # The library's multi-line mode uses Enter for a new line, so both keys are bound here.
    # Ctrl-J sends too: an Enter typed while a reply was running arrives as Ctrl-J.
    keys = KeyBindings()
    # Not while searching the history (Ctrl-R), where Enter accepts the match.
    is_typing = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=is_typing)
    @keys.add("c-j", filter=is_typing)
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=is_typing)
    @keys.add("escape", "c-j", filter=is_typing)
    def start_new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
