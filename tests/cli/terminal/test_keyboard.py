"""Key presses and the messages they send, without a screen."""

from collections.abc import Iterator

import pytest
from prompt_toolkit.application import Application
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from chatwright.cli.terminal.keyboard import Keyboard

UP = "\x1b[A"
ALT_ENTER = "\x1b\r"
BACKSPACE = "\x7f"
PASTE = "\x1b[200~"
END_OF_PASTE = "\x1b[201~"


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pressed:
        yield pressed


def typed(keyboard: Keyboard, keys: PipeInput, pressed: str) -> str | None:
    """Press the keys once the prompt is shown, when the history is loaded; return the message."""
    app = vars(keyboard)["_session"].app

    def press(app: Application[str]) -> None:
        app.after_render -= press
        keys.send_text(pressed)

    app.after_render += press
    return keyboard.read()


@pytest.mark.parametrize(
    ("pressed", "messages"),
    [
        (["hello\r"], ["hello"]),
        (["first\r", "second\r", UP + UP + "!\r"], ["first", "second", "first!"]),
        (["one" + ALT_ENTER + "two\r"], ["one\ntwo"]),
        ([PASTE + "a\r\nb\nc" + END_OF_PASTE + "\r"], ["a\nb\nc"]),
        (["typed during a reply\nand more\r", ""], ["typed during a reply", "and more"]),
        (["teh" + BACKSPACE * 2 + "he\r"], ["the"]),
        # Ctrl-R searches the history, the first Enter takes the match, the second sends it.
        (["needle\r", "hay\r", "\x12nee\r\r"], ["needle", "hay", "needle"]),
        (["x" * 10_000 + "\r"], ["x" * 10_000]),
        (["\x04"], [None]),
    ],
)
def test_key_presses_send_messages(
    keys: PipeInput, pressed: list[str], messages: list[str | None]
) -> None:
    keyboard = Keyboard(keys, DummyOutput())
    assert [typed(keyboard, keys, part) for part in pressed] == messages


def test_edit_offers_the_old_text_and_can_be_canceled(keys: PipeInput) -> None:
    keyboard = Keyboard(keys, DummyOutput())
    keys.send_text("!\r")
    assert keyboard.edit("old") == "old!"
    keys.send_text("!\x03")
    assert keyboard.edit("old") is None


def test_ctrl_c_at_the_prompt_raises_keyboard_interrupt(keys: PipeInput) -> None:
    keyboard = Keyboard(keys, DummyOutput())
    keys.send_text("\x03")
    with pytest.raises(KeyboardInterrupt):
        keyboard.read()
