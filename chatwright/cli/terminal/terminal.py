"""The loop of `chatwright chat`: read a line, then show a reply or run a command.

Lines that begin with / are commands; /help lists them. In a pipe each line is one message. Ctrl-C
stops the reply, not the program. Nothing is stored unless you /save it.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import closing

from chatwright.chat.assistant import Assistant
from chatwright.chat.dialogue import Dialogue
from chatwright.chat.reply_events import (
    Finished,
    ReplyEvent,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolReturned,
    Truncated,
)
from chatwright.cli.terminal import sampling_settings, token_table
from chatwright.cli.terminal.commands import help_text, parse_command, parse_path
from chatwright.cli.terminal.context_table import context_lines, context_summary
from chatwright.cli.terminal.display import Display, is_control
from chatwright.cli.terminal.interrupt import interruptible
from chatwright.cli.terminal.pipe import UnreadableLine
from chatwright.cli.terminal.thinking_command import system_note, think, thinking_summary
from chatwright.conversation import Message
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.tokenizer.tool_call_text import message_text, write_tool_call

TOOL_RESULT_WANTED = "The model called a tool: type its result, or /undo."
UNCHANGED = "There is no reply; the conversation stays as it was."

ReadLine = Callable[[], str | None]
"""Returns the next line; None at the end of the input."""
EditText = Callable[[str], str | None]
"""Lets the user change a text; None if they cancel."""


class Terminal:
    """A chat in the terminal."""

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
        """Prepare a chat without messages.

        Args:
            assistant: The model that replies.
            display: Where replies and notes go.
            read_line: Returns the next line of input.
            edit_text: Lets the user edit a text; None without a keyboard.
            sampling: Sampling settings; `/set key=none` restores them.
            system: Text of the system message; "" for none.
            name: The model's name in the greeting.
        """
        self.dialogue = Dialogue(assistant, sampling, system)
        self.display = display
        self.read_line = read_line
        self.edit_text = edit_text
        self.name = name
        self._has_quit = False
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: self.display.note(help_text()),
            "/undo": lambda _: self._undo(),
            "/retry": lambda _: self._answer(self.dialogue.with_last_question()),
            "/edit": self._edit,
            "/why": self._why,
            "/context": lambda _: self._show_context(),
            "/system": self._set_system,
            "/think": lambda argument: self.display.note(think(argument, self.dialogue)),
            "/set": self._set,
            "/new": lambda _: self._start_new(),
            "/save": self._save,
            "/load": self._load,
            "/quit": lambda _: self._quit(),
        }

    def run(self) -> None:
        """Handle lines until /quit or the end of the input."""
        if self.display.is_interactive:
            self.display.note(f"Chatting with {self.name}. /help lists the commands; /quit leaves.")
            if note := system_note(self.dialogue):
                self.display.note(note)
        while not self._has_quit:
            try:
                line = self.read_line()
                if line is None:
                    return
                self.handle(line)
            except KeyboardInterrupt:
                self.display.note("/quit leaves.")
            except UnreadableLine as error:
                self.display.fail(str(error))

    def handle(self, line: str) -> None:
        """Answer a message or run a command. Errors are shown, not raised."""
        try:
            if not line.strip():
                self.display.reject_empty_line()
            elif line.startswith("/") and not line.startswith("//"):
                name, argument = parse_command(line)
                self._commands[name](argument)
            else:
                text = line.removeprefix("/") if line.startswith("//") else line
                self._answer(self.dialogue.with_next(text))
        except (ValueError, OSError) as error:
            self.display.fail(str(error))
        self.display.end_line()

    def _answer(self, messages: Sequence[Message]) -> None:
        """Show the reply to `messages`; the dialogue then keeps both."""
        if n_control := sum(map(is_control, message_text(messages[-1]))):
            self.display.note(
                f"(the message holds control characters, sent unchanged: {n_control})"
            )
        messages_before = self.dialogue.messages
        finished: Finished | None = None
        truncated: Truncated | None = None
        has_thought = False
        try:
            with (
                interruptible() as is_interrupted,
                closing(self.dialogue.reply_to(messages)) as events,
            ):
                for event in events:
                    if isinstance(event, ThinkingDelta) and not has_thought:
                        self.display.begin_thinking()
                        has_thought = True
                    self._show(event)
                    if isinstance(event, Truncated):
                        truncated = event
                    if isinstance(event, Finished):
                        finished = event
                    elif is_interrupted():
                        break
        except ValueError as error:
            self.display.fail(f"{error} {UNCHANGED}")
            return
        if finished is None:
            self.display.stop_reply()
        else:
            self._end_reply(finished, truncated)
        if self.dialogue.messages is messages_before:
            self.display.note(UNCHANGED)
        elif self.display.is_interactive:
            self.display.note(context_summary(self.dialogue.context_use()))

    def _show(self, event: ReplyEvent) -> None:
        match event:
            case TextDelta():
                self.display.show_piece(event.text)
            case Truncated():
                self.display.note(str(event))
            case ToolCalled():
                self.display.note(f"The model calls a tool: {write_tool_call(event.call)}")
            case ToolReturned():
                self.display.note(f"The tool returned: {event.result.content}")

    def _end_reply(self, finished: Finished, truncated: Truncated | None) -> None:
        self.display.end_reply(finished, truncated)
        if self.display.is_interactive and (summary := thinking_summary(finished.message)):
            self.display.note(summary)
        if finished.reason == "failed":
            self.display.fail(finished.error)
        elif finished.reason == "length":
            if self.dialogue.sampling.max_tokens is None:
                remedy = "the context is full: /new or /undo makes room"
            else:
                remedy = "/set max_tokens=... allows more"
            n_tokens = finished.usage.completion_tokens
            self.display.note(f"(cut off after {n_tokens} tokens; {remedy})")
        elif finished.reason == "tool_call":
            self.display.note(TOOL_RESULT_WANTED)

    def _quit(self) -> None:
        self._has_quit = True

    def _undo(self) -> None:
        self.dialogue.undo()
        n_left = len(self.dialogue.messages)
        self.display.note(f"Undone. {_message_count_text(n_left)} left.")

    def _edit(self, argument: str) -> None:
        """Replace a question. In `#2 TEXT`, # marks 2 as its number, not a part of the text."""
        n_questions = len(self.dialogue.questions)
        if not n_questions:
            raise InputError("There is no question to edit.", field="/edit")
        numbered = re.fullmatch(r"#(\d+)(?:\s+(.*))?|(\d+)", argument, re.DOTALL)
        number = int(numbered[1] or numbered[3]) if numbered else n_questions
        text = (numbered[2] or "") if numbered else argument
        if not 1 <= number <= n_questions:
            raise InputError(
                f"/edit #{number}: there is no such question.",
                remedy=f"Give a number from 1 to {n_questions}.",
                field="/edit",
                value=number,
            )
        if not text:
            text = self._text_from_keyboard(number)
        if not text.strip():
            self.display.note("The question is unchanged.")
            return
        self._answer(self.dialogue.with_edited(number, text))

    def _text_from_keyboard(self, question: int) -> str:
        if self.edit_text is None:
            raise InputError(
                "/edit needs the new text, since there is no keyboard to edit with.",
                remedy="Write /edit TEXT, or /edit #2 TEXT.",
                field="/edit",
            )
        index = self.dialogue.questions[question - 1]
        return self.edit_text(self.dialogue.messages[index].text) or ""

    def _why(self, argument: str) -> None:
        tokens = self.dialogue.sampled_tokens
        if tokens is None:
            raise InputError(
                "/why explains the reply just sampled, and there is none.",
                remedy="Ask something, or /retry the last question.",
                field="/why",
            )
        if not re.fullmatch(r"\d*", argument):
            raise InputError(
                f"/why {argument}: this is not the number of a token.",
                remedy="Write for example /why 5, or /why alone.",
                field="/why",
                value=argument,
            )
        tokenizer = self.dialogue.assistant.tokenizer
        if argument:
            lines = token_table.alternatives_table(tokens, int(argument), tokenizer)
        else:
            lines = token_table.token_table(tokens, tokenizer)
        source = "Probabilities are the model's own, before temperature and the other settings."
        self.display.note("\n".join([*lines, source]))

    def _show_context(self) -> None:
        self.display.note("\n".join(context_lines(self.dialogue.context_use())))

    def _set_system(self, text: str) -> None:
        self.dialogue.system = text
        self.display.note(
            "The system message is set." if text else "There is no system message now."
        )

    def _set(self, argument: str) -> None:
        dialogue = self.dialogue
        dialogue.sampling = sampling_settings.change_settings(
            dialogue.sampling, argument, dialogue.initial_sampling
        )
        self.display.note(sampling_settings.settings_text(dialogue.sampling))

    def _start_new(self) -> None:
        self.dialogue.clear()
        self.display.note("A new conversation.")

    def _save(self, argument: str) -> None:
        path = parse_path(argument, "/save")
        n_messages = self.dialogue.save(path)
        self.display.note(f"{_message_count_text(n_messages)} written to {path}.")

    def _load(self, argument: str) -> None:
        path = parse_path(argument, "/load")
        n_messages = self.dialogue.load(path)
        self.display.note(f"{_message_count_text(n_messages)} read from {path}.")
        if self.dialogue.waits_for_reply:
            self.display.note("The last question has no answer yet; /retry answers it.")
        if self.dialogue.waits_for_tool_result:
            self.display.note(TOOL_RESULT_WANTED)


def _message_count_text(n: int) -> str:
    return "1 message" if n == 1 else f"{n} messages"
