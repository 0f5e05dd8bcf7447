"""Messages typed by a person: line editing, history with the arrow keys, several lines in one message.

Enter sends, Alt-Enter (or Esc, then Enter) begins a new line, and pasted lines stay together: Enter after them sends them as one
message. The history lasts as long as the program; it is never written to a file.
"""

from prompt_toolkit import PromptSession
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output


class Keyboard:
    def __init__(self, input: Input | None = None, output: Output | None = None) -> None:
        self._session: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation="  ",
            history=InMemoryHistory(),
            key_bindings=_keys(),
            enable_suspend=True,
            input=input,
            output=output,
        )

    def read(self) -> str | None:
        """The next message; None at the end of the input (Ctrl-D)."""
        try:
            return self._session.prompt()
        except EOFError:
            return None

    def edit(self, text: str) -> str | None:
        """`text`, offered for changing; None where the person thought better of it (Ctrl-C, Ctrl-D)."""
        try:
            return self._session.prompt(default=text)
        except (EOFError, KeyboardInterrupt):
            return None


def _keys() -> KeyBindings:
    # The library's own multi-line mode is the other way round, Enter for a new line. Ctrl-J is left to mean Enter: that is how an
    # Enter arrives which was typed while the reply was still running.
    keys = KeyBindings()
    typing = has_focus(
        DEFAULT_BUFFER
    )  # not in the search for an earlier message (Ctrl-R), where Enter takes what was found

    @keys.add("enter", filter=typing)
    @keys.add("c-j", filter=typing)
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    @keys.add("escape", "c-j", filter=typing)
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
