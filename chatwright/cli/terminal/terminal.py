"""The loop behind `chatwright chat`: what you type goes to the model, what it writes appears as it comes.

Lines beginning with / are for the program; /help lists them. Works with a pipe as well: one line, one message. Ctrl-C stops the
reply, not the program. Nothing is kept unless you /save it. What fails leaves the conversation as it was.
"""

import difflib
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from chatwright.chat import context_meter, saved_conversation
from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, TextDelta, ToolCalled, ToolReturned, Truncated
from chatwright.cli.terminal import sampling_settings, why
from chatwright.cli.terminal.display import Display, is_control
from chatwright.cli.terminal.pipe import UnreadableLine
from chatwright.config import unquoted
from chatwright.conversation import Message, tool_result_message
from chatwright.engine.request import TokenSampled
from chatwright.engine.sampling import MAX_ALTERNATIVES, SamplingConfig
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text, write_tool_call

HELP = """/undo            take back the last question and its answer
/retry           another answer to the last question
/edit            change the last question and have it answered anew (keyboard)
/edit TEXT       ask TEXT in place of the last question
/edit #2 TEXT    the same for the second; what came after it is dropped
/why             the last reply, token by token: its probability, and the others
/why 5           everything about place 5
/context         what of the conversation the model sees, and how much is left
/system TEXT     what the model is told before everything; without TEXT, nothing
/set key=value   change settings: /set temperature=0.5 top_k=20; key=none gives
                 back what it was at first; without anything, show them
/new             begin a new conversation; what was not saved is gone
/save FILE       write the conversation to a new file
/load FILE       go on with a saved conversation
/quit            leave (as does the end of the input)
//TEXT           a message that begins with /
Keys: Enter sends; Alt-Enter (or Esc, then Enter) begins a new line; pasted lines
stay one message; Up brings back what you typed, Ctrl-R searches in it; Ctrl-C
stops a reply."""
COMMANDS = ["/help", *re.findall(r"^(/[a-z]+)", HELP, re.MULTILINE)]
WITHOUT_ARGUMENT = set(COMMANDS) - set(re.findall(r"^(/[a-z]+) \S", HELP, re.MULTILINE))
WANTED = "The model asks for outside data: type what came back, or /undo."

ReadLine = Callable[[], str | None]  # None is the end of the input
EditText = Callable[[str], str | None]  # offers a text for changing; None leaves it


class Terminal:
    def __init__(
        self,
        assistant: Assistant,
        display: Display,
        read_line: ReadLine,
        edit_text: EditText | None = None,
        sampling: SamplingConfig | None = None,
        system: str = "",
        name: str = "the model",
    ) -> None:
        self.assistant, self.display, self.read_line, self.edit_text = (
            assistant,
            display,
            read_line,
            edit_text,
        )
        self.sampling, self.system, self.name = sampling or SamplingConfig(), system, name
        self._first_sampling = self.sampling
        sampling_settings.require_one_reply(self.sampling)
        self.messages: list[Message] = []
        self._sampled: tuple[Message, list[TokenSampled]] | None = (
            None  # the last reply and its tokens, for /why
        )
        self._is_over = False

    def run(self) -> None:
        if self.display.is_watched:
            self.display.note(
                f"Talking to {self.name}. /help lists what else you can do; /quit leaves."
            )
        while not self._is_over:
            try:
                line = self.read_line()
                if line is None:
                    return
                self.take(line)
            except KeyboardInterrupt:
                self.display.note("/quit leaves.")
            except UnreadableLine as error:
                self.display.fail(str(error))

    def take(self, line: str) -> None:
        """Do what one line asks for."""
        try:
            if not line.strip():
                self.display.skip_empty()
            elif line.startswith("/") and not line.startswith("//"):
                self.command(line)
            else:
                self.say(line.removeprefix("/") if line.startswith("//") else line)
        except (ValueError, OSError) as error:
            self.display.fail(str(error))
        self.display.end_line()

    def say(self, text: str) -> None:
        """Answer a message. After a command the next line is its result."""
        last = turn_kind(self.messages[-1]) if self.messages else ""
        if last in ("user", "tool"):
            raise ValueError(
                "The last question has no answer yet. /retry answers it, /undo takes it back."
            )
        if last == "tool_call":
            message = tool_result_message(self.messages[-1].tool_calls[0], text)
        else:
            message = Message("user", text)
        self.answer([*self.messages, message])

    def answer(self, messages: Sequence[Message]) -> None:
        """Let the model answer `messages`: with the reply they become the conversation. Without a word of one it stays as it was."""
        messages, text, tokens = list(messages), "", list[TokenSampled]()
        finished: Finished | None = None
        truncated: Truncated | None = None
        # Always asked for: one top-k of logits that are there anyway. So /why need not make the reply again.
        sampling = replace(self.sampling, top_log_probs=MAX_ALTERNATIVES)
        if n_control := sum(map(is_control, message_text(messages[-1]))):
            self.display.note(f"(control characters in the message, sent as they are: {n_control})")
        try:
            with (
                interruptible() as is_interrupted,
                closing(self.assistant.reply(self.with_system(messages), sampling)) as events,
            ):
                for event in events:
                    match event:
                        case TextDelta():
                            text += event.text
                            tokens += event.tokens
                            self.display.piece(event.text)
                        case Truncated():
                            truncated = event
                            self.display.note(str(event))
                        case ToolCalled(call=call):
                            self.display.note(
                                f"The model asks for outside data: {write_tool_call(call)}"
                            )
                        case ToolReturned(call=call, result=result):
                            messages += [
                                Message("assistant", (call,)),
                                Message("tool", (result,)),
                            ]
                            self.display.note(f"and got: {result.content}")
                        case Finished():
                            finished = event
                    if is_interrupted() and finished is None:
                        break
        except ValueError as error:
            raise ValueError(
                f"{error} There is no reply; the conversation stays as it was."
            ) from error
        if finished is None:
            self.display.break_off()
            self.keep(messages, Message("assistant", text), tokens)
        else:
            self.end(finished, truncated)
            self.keep(messages, finished.message, [*tokens, *finished.tokens])

    def end(self, finished: Finished, truncated: Truncated | None) -> None:
        self.display.finish(finished, truncated)
        if finished.reason == "failed":
            self.display.fail(finished.error)
        elif finished.reason == "length":
            remedy = (
                "the model sees no more: /new or /undo makes room"
                if self.sampling.max_tokens is None
                else "/set max_tokens=... allows more"
            )
            self.display.note(
                f"(cut off after {finished.usage.completion_tokens} tokens; {remedy})"
            )
        elif finished.reason == "tool_call":
            self.display.note(WANTED)

    def keep(self, messages: list[Message], reply: Message, tokens: list[TokenSampled]) -> None:
        if not message_text(reply):
            self.display.note("There is no reply; the conversation stays as it was.")
            return
        self.messages, self._sampled = [*messages, reply], (reply, tokens)
        if self.display.is_watched:
            self.display.note(str(self.context()))

    def with_system(self, messages: Sequence[Message]) -> list[Message]:
        return [Message("system", self.system), *messages] if self.system else list(messages)

    def context(self) -> context_meter.ContextUse:
        return context_meter.measure(
            self.with_system(self.messages),
            self.assistant.tokenizer,
            self.assistant.engine.context_length,
            self.sampling.max_tokens,
        )

    def command(self, line: str) -> None:
        name, *rest = line.split(maxsplit=1)
        argument = rest[0].strip() if rest else ""
        if argument and name.lower() in WITHOUT_ARGUMENT:
            raise ValueError(
                f"{name}: takes nothing behind it, so nothing was done. Begin with // to send the line as a message."
            )
        match name.lower():
            case "/help":
                self.display.note(HELP)
            case "/quit":
                self._is_over = True
            case "/undo":
                self.undo()
            case "/retry":
                self.retry()
            case "/edit":
                self.edit(argument)
            case "/why":
                self.why(argument)
            case "/context":
                self.display.note("\n".join(self.context().lines()))
            case "/system":
                self.system = argument
                self.display.note(
                    "The system message is set." if argument else "There is no system message now."
                )
            case "/set":
                self.sampling = sampling_settings.changed(
                    self.sampling, argument, self._first_sampling
                )
                self.display.note(sampling_settings.shown(self.sampling))
            case "/new":
                self.messages = []
                self.display.note("A new conversation.")
            case "/save":
                self.save(path_of(argument, "/save FILE"))
            case "/load":
                self.load(path_of(argument, "/load FILE"))
            case unknown:
                near = difflib.get_close_matches(unknown, COMMANDS, n=1)
                hint = f"Did you mean {near[0]}? " if near else ""
                raise ValueError(
                    f"{name}: no such command. {hint}/help lists them; begin with // to send it as a message."
                )

    def undo(self) -> None:
        if not self.messages:
            raise ValueError("There is nothing to take back.")
        self.messages = self.messages[: self.questions()[-1]]
        self.display.note(
            f"Taken back. {_counted(len(self.messages))} remain{'s' if len(self.messages) == 1 else ''}."
        )

    def retry(self) -> None:
        if not self.messages:
            raise ValueError("There is no question to answer again.")
        if self.sampling.seed is not None:  # the same seed would give the same answer
            self.sampling = replace(self.sampling, seed=self.sampling.seed + 1)
        self.answer(self.messages[: self.questions()[-1] + 1])

    def edit(self, argument: str) -> None:
        """Other words for a question. A number of its own names one, so that a text may begin with a number."""
        places = self.questions()
        if not places:
            raise ValueError("There is no question to change.")
        named = re.fullmatch(r"#(\d+)(?:\s+(.*))?|(\d+)", argument, re.DOTALL)
        number, text = (
            (int(named[1] or named[3]), named[2] or "") if named else (len(places), argument)
        )
        if not 1 <= number <= len(places):
            raise ValueError(
                f"/edit #{number}: no such question. Give a number from 1 to {len(places)}."
            )
        place = places[number - 1]
        if not text:
            if self.edit_text is None:
                raise ValueError(
                    "What is missing: /edit TEXT, or /edit #2 TEXT (the old text is offered only at a keyboard)."
                )
            text = self.edit_text(self.messages[place].text) or ""
        if not text.strip():
            self.display.note("Left as it was.")
            return
        self.answer([*self.messages[:place], Message("user", text)])

    def questions(self) -> list[int]:
        """Where in the conversation they stand. Every conversation begins with one."""
        return [place for place, message in enumerate(self.messages) if message.role == "user"]

    def why(self, argument: str) -> None:
        if self._sampled is None or not self.messages or self.messages[-1] is not self._sampled[0]:
            raise ValueError(
                "/why tells of a reply just given, and there is none. Ask something, or /retry the last question."
            )
        if not re.fullmatch(r"\d*", argument):
            raise ValueError(
                f"/why {argument}: expected the number of a place, for example /why 5, or nothing."
            )
        tokens, tokenizer = self._sampled[1], self.assistant.tokenizer
        lines = (
            why.place_table(tokens, int(argument), tokenizer)
            if argument
            else why.table(tokens, tokenizer)
        )
        self.display.note(
            "\n".join(
                [
                    *lines,
                    "Probabilities are the model's own, before temperature and the other sampling_settings.",
                ]
            )
        )

    def save(self, path: Path) -> None:
        messages = self.with_system(self.messages)
        if not messages:
            raise ValueError("There is nothing to save yet.")
        saved_conversation.save(path, messages)
        self.display.note(f"{_counted(len(messages))} written to {path}.")

    def load(self, path: Path) -> None:
        messages = saved_conversation.load(path)
        self.system = messages.pop(0).text if messages[0].role == "system" else ""
        self.messages = messages
        self.display.note(f"{_counted(len(messages))} read from {path}.")
        if messages and messages[-1].role in ("user", "tool"):
            self.display.note("The last question has no answer yet; /retry answers it.")
        if messages and messages[-1].tool_calls:
            self.display.note(WANTED)


def _counted(n: int) -> str:
    return "1 message" if n == 1 else f"{n} messages"


def path_of(argument: str, form: str) -> Path:
    if not argument:
        raise ValueError(f"What is missing: {form}")
    return Path(
        os.path.expanduser(unquoted(argument))
    )  # unlike Path's own, it leaves an unknown ~name as it is


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
