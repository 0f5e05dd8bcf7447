"""The terminal loop with typed lines given and its output read back."""

import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from chatwright.chat.assistant import Assistant
from chatwright.chat.terminal import Terminal, interruptible, printable
from chatwright.conversation import Message
from chatwright.engine.sampling import SamplingConfig
from chatwright.tokenizer.chat_template import render_prompt
from tests.chat.scripted import ByteTokenizer

MakeAssistant = Callable[..., Assistant]
CONTROL = ByteTokenizer.control
HI = [Message("user", "hi")]


def n_prompt(conversation: list[Message]) -> int:
    return len(render_prompt(conversation, ByteTokenizer()))  # type: ignore[arg-type]


def answers(*turns: tuple[list[Message], list[int]]) -> list[tuple[int, list[int]]]:
    return [(n_prompt(conversation), token_ids) for conversation, token_ids in turns]


def talk(assistant: Assistant, *lines: str, system: str = "") -> tuple[Terminal, str]:
    output = io.StringIO()
    typed = iter(lines)
    terminal = Terminal(assistant, SamplingConfig(temperature=0, max_tokens=12), system, read_line=lambda: next(typed, None),
                        console=Console(file=output, width=200))
    terminal.run()
    return terminal, output.getvalue()


def test_a_conversation_grows_and_undo_takes_an_exchange_back(make_assistant: MakeAssistant) -> None:
    second = [*HI, Message("assistant", "hey"), Message("user", "more")]
    assistant = make_assistant(*answers((HI, [*b"hey", CONTROL.end]), (second, [*b"yes", CONTROL.end])))
    terminal, output = talk(assistant, "hi", "", "more")
    assert terminal.messages == [*second, Message("assistant", "yes")]
    assert output == "hey\nyes\n"
    terminal, output = talk(assistant, "hi", "more", "/undo")
    assert terminal.messages == second[:2]
    assert "2 messages remain" in output
    assert "nothing to take back" in talk(assistant, "/undo")[1]


def test_retry_answers_the_last_question_again_with_another_seed(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant(*answers((HI, [*b"hey", CONTROL.end])))
    terminal, output = talk(assistant, "/set seed=4", "hi", "/retry")
    assert output.count("hey") == 2
    assert terminal.messages == [*HI, Message("assistant", "hey")]
    assert terminal.sampling.seed == 5
    assert "no question" in talk(assistant, "/retry")[1]


def test_settings_change_are_shown_and_refused_by_name(make_assistant: MakeAssistant) -> None:
    terminal, output = talk(make_assistant(), "/set temperature=0.5", "/set tempratur=1", "/set top_p=7", "/set stop=[\"a\", \"b\"]")
    assert (terminal.sampling.temperature, terminal.sampling.stop) == (0.5, ("a", "b"))
    assert "unknown key 'tempratur'. Did you mean 'temperature'?" in output
    assert "top_p = 7" in output


def test_saving_and_loading_give_the_conversation_back_and_overwrite_nothing(make_assistant: MakeAssistant, tmp_path: Path) -> None:
    assistant, path = make_assistant(*answers(([Message("system", "be kind"), *HI], [*"é".encode(), CONTROL.end]))), tmp_path / "talk.json"
    terminal, output = talk(assistant, "/system be kind", "hi", f"/save {path}", f"/save {path}", "/save")
    row = {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}, {"role": "assistant", "content": "é"}]}
    assert json.loads(path.read_text(encoding="utf-8")) == row
    assert "exists already and is left as it is" in output
    assert "What is missing: /save FILE" in output
    again, _ = talk(assistant, f"/load {path}")
    assert (again.system, again.messages) == ("be kind", terminal.messages)


@pytest.mark.parametrize("content", ["not json", "[]", '{"messages": [{"role": "king", "content": "x"}]}',
                                     '{"messages": [{"role": "user"}]}', '{"messages": [{"role": "user", "content": 3}]}'])
def test_a_file_that_is_no_conversation_is_refused_and_changes_nothing(make_assistant: MakeAssistant, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    terminal, output = talk(make_assistant(*answers((HI, [*b"hey", CONTROL.end]))), "hi", f"/load {path}", f"/load {path}.none")
    assert "bad.json: not a saved conversation" in output
    assert "No such file" in output
    assert len(terminal.messages) == 2


def test_a_command_is_shown_and_the_next_line_is_its_result(make_assistant: MakeAssistant) -> None:
    following = [*HI, Message("command", "FETCH"), Message("result", "sunny")]
    assistant = make_assistant(*answers((HI, [CONTROL.command, *b"FETCH", CONTROL.end_of_command]), (following, [*b"fine", CONTROL.end])))
    terminal, output = talk(assistant, "hi", "sunny")
    assert "The model asks for outside data: FETCH" in output
    assert terminal.messages == [*following, Message("assistant", "fine")]


def test_what_cannot_be_answered_is_taken_back_and_the_loop_goes_on(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant(*answers((HI, [*b"hey", CONTROL.end])), context_length=64)
    terminal, output = talk(assistant, "y" * 80, "hi", "/nonsense", "/help", "/quit", "never read")
    assert "more than the 64 the model can see" in output
    assert "/nonsense: no such command" in output
    assert "/retry" in output
    assert terminal.messages == [*HI, Message("assistant", "hey")]


def test_cuts_and_length_limits_are_said(make_assistant: MakeAssistant) -> None:
    _, output = talk(make_assistant(context_length=64), *["a question"] * 4)
    assert "messages were left out of this reply" in output
    assert "(cut off after 12 tokens; /set max_tokens=... allows more)" in output


def test_an_empty_reply_is_not_kept(make_assistant: MakeAssistant) -> None:
    terminal, output = talk(make_assistant(*answers((HI, [CONTROL.end]))), "hi")
    assert "There is no reply" in output
    assert terminal.messages == []


def test_escape_sequences_in_a_reply_do_not_reach_the_terminal(make_assistant: MakeAssistant) -> None:
    evil = "\x1b]0;title\x07\x9bok[red]x[/red]"
    terminal, output = talk(make_assistant(*answers((HI, [*evil.encode(), CONTROL.end]))), "/set max_tokens=60", "hi")
    assert "\x1b" not in output
    assert "\x9b" not in output
    assert "[red]x[/red]" in output, "a reply is text, not markup"
    assert terminal.messages[-1].content == evil
    assert printable("a\tb\nc").plain == "a\tb\nc"


def test_ctrl_c_stops_the_reply_and_keeps_what_came(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant()
    right_step, count = assistant.engine.step, []

    def step_and_interrupt() -> list:  # type: ignore[type-arg]
        count.append(1)
        if len(count) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return right_step()
    assistant.engine.step = step_and_interrupt  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGINT)
    terminal, output = talk(assistant, "hi")
    assert terminal.messages == [*HI, Message("assistant", "xxxxx")]
    assert "(broken off)" in output
    assert assistant.engine.n_free_rows == 4
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_at_the_prompt_does_not_leave(make_assistant: MakeAssistant) -> None:
    lines = iter([KeyboardInterrupt, "hi", None])

    def read_line() -> str | None:
        line = next(lines)
        if line is KeyboardInterrupt:
            raise KeyboardInterrupt
        return line  # type: ignore[return-value]
    output = io.StringIO()
    terminal = Terminal(make_assistant(*answers((HI, [*b"hey", CONTROL.end]))), read_line=read_line, console=Console(file=output))
    terminal.run()
    assert "/quit leaves." in output.getvalue()
    assert len(terminal.messages) == 2


def test_interruptible_gives_the_handler_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as is_interrupted:
        assert not is_interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert is_interrupted()
    assert signal.getsignal(signal.SIGINT) is before
