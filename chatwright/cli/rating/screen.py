"""Show a prompt with its replies, the keys, and the progress."""

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chatwright.cli.rating.session import RatingSession
from chatwright.cli.terminal.display import printable
from chatwright.conversation import Message
from chatwright.tokenizer.tool_call_text import message_text

WIDEST = 100
"""Columns of the screen; longer lines are hard to read."""
_NAMES = {"user": "You", "assistant": "Model", "system": "System", "tool": "Tool"}


class RatingScreen:
    """The output of `chatwright rate`."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to the console, by default standard output."""
        self.console = console or Console(highlight=False)

    def show(self, session: RatingSession, picked: str) -> None:
        """Show the current prompt and its replies; `picked` is the ranking typed so far."""
        if self.console.is_terminal:
            self.console.clear()
        width = min(self.console.width, WIDEST)
        parts: list[RenderableType] = [
            _progress(session, width),
            *map(_message, session.current.prompt),
            Text(""),
        ]
        for number, reply in enumerate(session.shown, 1):
            text = printable(message_text(reply.message) or "(an empty reply)")
            parts.append(Panel(text, title=str(number), title_align="left", width=width))
        parts.append(_keys(len(session.shown)))
        if session.reason:
            parts.append(Text(f"reason: {printable(session.reason).plain}", style="italic"))
        if picked:
            parts.append(Text(f"best first: {picked}", style="bold"))
        self.console.print(Group(*parts))

    def note(self, text: str) -> None:
        """Show information."""
        self.console.print(Text(text, style="dim"))

    def fail(self, text: str) -> None:
        """Show an error."""
        self.console.print(Text(printable(text).plain, style="red"))


def _progress(session: RatingSession, width: int) -> Table:
    total = len(session.candidates)
    grid = Table.grid(padding=(0, 2))
    earlier = f", {session.n_before} in earlier sessions" if session.n_before else ""
    grid.add_row(
        Text(f"{session.position + 1} of {total}", style="bold"),
        ProgressBar(total=max(total, 1), completed=session.position, width=max(10, width // 3)),
        Text(
            f"{session.n_ranked} ranked{earlier} by {printable(session.rater).plain}", style="dim"
        ),
    )
    return grid


def _message(message: Message) -> Padding:
    name = _NAMES.get(message.role, message.role)
    text = Text.assemble((f"{name}: ", "bold cyan"), printable(message_text(message)))
    return Padding(text, (1, 0, 0, 0))


def _keys(n_reply: int) -> Text:
    if n_reply == 2:
        choices = [("1 2", "better"), ("=", "equal")]
    else:
        choices = [(f"1-{n_reply}", "best first, = between equal ones"), ("=", "all equal")]
    choices += [
        ("b", "all bad"),
        ("s", "skip"),
        ("u", "undo"),
        ("r", "reason"),
        ("c", "write a better reply"),
        ("q", "quit"),
    ]
    text = Text()
    for key, meaning in choices:
        text.append(f" {key} ", style="reverse")
        text.append(f"\N{NO-BREAK SPACE}{meaning}  ", style="dim")
    return text
