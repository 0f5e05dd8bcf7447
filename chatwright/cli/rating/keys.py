"""Read single keys and lines: from a keyboard, or from a pipe in tests and scripts."""

from typing import Protocol, TextIO


class Keys(Protocol):
    """Where the rater's keys come from."""

    def key(self) -> str | None:
        """Return the next key; None at the end of the input. Raises KeyboardInterrupt."""

    def line(self, prompt: str, text: str = "") -> str | None:
        """Return a line, which begins with `text` where it can be edited; None if canceled."""


class PipedKeys:
    """Keys from a stream: every character but a line end is a key; lines end with a line end."""

    def __init__(self, stream: TextIO) -> None:
        """Read from the stream, for example standard input."""
        self.stream = stream

    def key(self) -> str | None:
        """Return the next character that is no white space."""
        while character := self.stream.read(1):
            if not character.isspace():
                return character
        return None

    def line(self, prompt: str, text: str = "") -> str | None:
        """Return the rest of the line."""
        line = self.stream.readline()
        return line.strip() if line else None


class KeyboardKeys:
    """Keys from a terminal, without Enter."""

    def key(self) -> str | None:
        """Wait for a key. Ctrl-D is the end of the input."""
        # Imported here: a pipe needs no prompt_toolkit, nor the time to import it.
        from prompt_toolkit import Application
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
        from prompt_toolkit.layout import Layout, Window

        bindings = KeyBindings()

        @bindings.add("<any>")
        def typed(event: KeyPressEvent) -> None:
            event.app.exit(result=event.key_sequence[0].key)

        @bindings.add("c-d")
        def ended(event: KeyPressEvent) -> None:
            event.app.exit(exception=EOFError)

        @bindings.add("c-c")
        def interrupted(event: KeyPressEvent) -> None:
            event.app.exit(exception=KeyboardInterrupt)

        application: Application[str] = Application(
            Layout(Window(height=1)), key_bindings=bindings, erase_when_done=True
        )
        try:
            return str(application.run())
        except EOFError:
            return None

    def line(self, prompt: str, text: str = "") -> str | None:
        """Let the rater write a line; Ctrl-C and Ctrl-D cancel."""
        from prompt_toolkit import PromptSession

        session: PromptSession[str] = PromptSession()
        try:
            return session.prompt(prompt, default=text)
        except (EOFError, KeyboardInterrupt):
            return None
