"""The loop behind `chatwright chat`: what you type goes to the model, what it writes appears as it comes.

Lines beginning with / are for the program; /help lists them. Works with a pipe as well: one line, one message. Ctrl-C stops the
reply, not the program. Nothing is kept unless you /save it.
"""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, TextDelta, ToolCalled, ToolReturned, Truncated
from chatwright.config import build, merge, parse_overrides, to_table
from chatwright.conversation import ROLES, Message
from chatwright.engine.sampling import SamplingConfig

HELP = """/undo            take back the last question and its answer
/retry           another answer to the last question
/system TEXT     what the model is told before everything else; without TEXT, nothing
/set key=value   change a setting, for example /set temperature=0.5; without anything, show them
/save FILE       write the conversation to a new file
/load FILE       go on with a saved conversation
/quit            leave (as does the end of the input)"""

ReadLine = Callable[[], str | None]    # None is the end of the input


class Terminal:
    def __init__(self, assistant: Assistant, sampling: SamplingConfig | None = None, system: str = "", name: str = "the model",
                 read_line: ReadLine | None = None, console: Console | None = None) -> None:
        self.assistant, self.sampling, self.system, self.name = assistant, sampling or SamplingConfig(), system, name
        self.read_line = read_line or (read_from_keyboard if sys.stdin.isatty() else read_from_pipe)
        self.console = console or Console(highlight=False)
        self.messages: list[Message] = []
        self._n_settled = 0           # messages that stay if there is no reply to the last
        self._is_over = False

    def run(self) -> None:
        if self.console.is_terminal:
            self.note(f"Talking to {self.name}. /help lists what else you can do; /quit leaves.")
        while not self._is_over:
            try:
                line = self.read_line()
            except KeyboardInterrupt:
                self.note("/quit leaves.")
                continue
            if line is None:
                return
            if not line.strip():
                continue
            try:
                self.command(line) if line.startswith("/") else self.say(line)
            except (ValueError, OSError) as error:
                self.note(str(error), "red")

    def say(self, text: str) -> None:
        """Answer a message. After a command the next line is its result."""
        is_result = bool(self.messages) and self.messages[-1].role == "command"
        self.messages.append(Message("result" if is_result else "user", text))
        self.answer(self.sampling)

    def answer(self, sampling: SamplingConfig) -> None:
        """Let the model speak. What it could not answer at all is taken back, so that the history stays one it can go on from."""
        text, is_whole = "", False
        self._n_settled = len(self.messages) - 1
        system = [Message("system", self.system)] if self.system else []
        try:
            with interruptible() as is_interrupted, closing(self.assistant.reply([*system, *self.messages], sampling)) as events:
                for event in events:
                    match event:
                        case TextDelta():
                            text += event.text
                            self.console.print(printable(event.text), end="", soft_wrap=True)
                        case Truncated():
                            self.note(str(event))
                        case ToolCalled(command=command):
                            self.note(f"The model asks for outside data: {command}")
                        case ToolReturned(command=command, result=result):
                            self.messages += [Message("command", command), Message("result", result)]
                            self.note(f"and got: {result}")
                        case Finished():
                            is_whole = True
                            self.end(event)
                    if is_interrupted() and not is_whole:
                        break
        finally:
            if not is_whole:
                self.keep_part(text)

    def end(self, finished: Finished) -> None:
        self.console.print()
        if finished.reason == "failed":
            self.note(finished.error, "red")
        elif finished.reason == "length":
            self.note(f"(cut off after {finished.usage.completion_tokens} tokens; /set max_tokens=... allows more)")
        elif finished.reason == "command":
            self.note("Type what came back, or /undo.")
        if finished.message.content:
            self.messages.append(finished.message)
        else:
            self.keep_part("")

    def keep_part(self, text: str) -> None:
        """A reply that was broken off is kept as far as it came; without a word of it the question is taken back."""
        if text:
            self.console.print()
            self.note("(broken off)")
            self.messages.append(Message("assistant", text))
        else:
            self.note("There is no reply; your last message was taken back.")
            del self.messages[self._n_settled:]

    def command(self, line: str) -> None:
        name, _, argument = line.strip().partition(" ")
        argument = argument.strip()
        match name:
            case "/help":
                self.note(HELP)
            case "/quit":
                self._is_over = True
            case "/undo":
                self.undo()
            case "/retry":
                self.retry()
            case "/system":
                self.system = argument
                self.note("The system message is set." if argument else "There is no system message now.")
            case "/set":
                self.set(argument)
            case "/save":
                self.save(Path(needed(argument, "/save FILE")))
            case "/load":
                self.load(Path(needed(argument, "/load FILE")))
            case _:
                raise ValueError(f"{name}: no such command. /help lists them.")

    def undo(self) -> None:
        if not self.messages:
            raise ValueError("There is nothing to take back.")
        while self.messages.pop().role != "user":
            pass
        self.note(f"Taken back. {len(self.messages)} messages remain.")

    def retry(self) -> None:
        if not any(message.role == "user" for message in self.messages):
            raise ValueError("There is no question to answer again.")
        while self.messages[-1].role != "user":
            self.messages.pop()
        if self.sampling.seed is not None:  # the same seed would give the same answer
            self.sampling = replace(self.sampling, seed=self.sampling.seed + 1)
        self.answer(self.sampling)

    def set(self, argument: str) -> None:
        table = to_table(self.sampling)
        if argument:
            self.sampling = build(SamplingConfig, merge(table, parse_overrides([argument])), "/set")
            table = to_table(self.sampling)
        self.note(", ".join(f"{key}={value}" for key, value in table.items()))

    def save(self, path: Path) -> None:
        messages = ([Message("system", self.system)] if self.system else []) + self.messages
        row = {"messages": [{"role": message.role, "content": message.content} for message in messages]}
        try:
            with path.open("x", encoding="utf-8") as file:    # one row of training data, should you want it as such
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        except FileExistsError:
            raise ValueError(f"{path} exists already and is left as it is. Give another name.") from None
        self.note(f"{len(messages)} messages written to {path}.")

    def load(self, path: Path) -> None:
        try:
            messages = [Message(row["role"], row["content"]) for row in json.loads(path.read_text(encoding="utf-8"))["messages"]]
            if not all(message.role in ROLES and isinstance(message.content, str) for message in messages):
                raise ValueError("unknown role, or content that is no text")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a saved conversation ({type(error).__name__}: {error}). "
                             'Expected {"messages": [{"role": ..., "content": ...}, ...]}.') from None
        self.system = messages.pop(0).content if messages and messages[0].role == "system" else ""
        self.messages = messages
        self.note(f"{len(messages)} messages read from {path}.")

    def note(self, text: str, style: str = "dim") -> None:
        self.console.print(Text(printable(text).plain, style=style), soft_wrap=True)


def needed(argument: str, form: str) -> str:
    if not argument:
        raise ValueError(f"What is missing: {form}")
    return argument


def printable(text: str) -> Text:
    """Text as it may be shown: escape sequences in a reply must not reach the terminal as such."""
    return Text("".join(c if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f") else "\N{REPLACEMENT CHARACTER}" for c in text))


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C only sets a flag in here: an exception in the middle of an engine's step would leave it half done."""
    pressed: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    except ValueError:  # not the main thread, where no Ctrl-C arrives
        yield lambda: False
        return
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def read_from_keyboard() -> str | None:
    try:
        return input("> ")
    except EOFError:
        return None


def read_from_pipe() -> str | None:
    try:
        return input()
    except EOFError:
        return None
