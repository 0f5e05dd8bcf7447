"""The terminal chat: typed lines give the expected output and conversation."""

import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from chatwright.chat.assistant import Assistant
from chatwright.cli.terminal.commands import NAMES, help_text
from chatwright.cli.terminal.display import Screen, printable
from chatwright.cli.terminal.interrupt import interruptible
from chatwright.cli.terminal.terminal import TOOL_RESULT_WANTED, UNCHANGED, EditText, Terminal
from chatwright.conversation import Message
from chatwright.engine.messages import SamplingConfig
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tool_call_text import message_from_turn
from tests.chat.scripted import ByteTokenizer

MakeAssistant = Callable[..., Assistant]
CONTROL = ByteTokenizer.control
HI = [Message("user", "hi")]


def n_prompt_token(conversation: list[Message]) -> int:
    return len(render_prompt(conversation, ByteTokenizer()))  # type: ignore[arg-type]


def script(*turns: tuple[list[Message], list[int]]) -> list[tuple[int, list[int]]]:
    """The tokens that follow each conversation, as `make_assistant` takes them."""
    return [(n_prompt_token(conversation), token_ids) for conversation, token_ids in turns]


def talk(
    assistant: Assistant,
    *lines: str,
    system: str = "",
    edit_text: EditText | None = None,
    is_terminal: bool = False,
    sampling: SamplingConfig = SamplingConfig(temperature=0, max_tokens=12),
) -> tuple[Terminal, str]:
    output = io.StringIO()
    typed = iter(lines)
    screen = Screen(
        Console(
            file=output, width=200, highlight=False, force_terminal=is_terminal, color_system=None
        )
    )
    terminal = Terminal(assistant, screen, lambda: next(typed, None), edit_text, sampling, system)
    terminal.run()
    return terminal, output.getvalue()


def test_undo_removes_the_last_question_and_its_answer(
    make_assistant: MakeAssistant,
) -> None:
    second = [*HI, Message("assistant", "hey"), Message("user", "more")]
    assistant = make_assistant(
        *script((HI, [*b"hey", CONTROL.end]), (second, [*b"yes", CONTROL.end]))
    )
    terminal, output = talk(assistant, "hi", "", "more")
    assert terminal.dialogue.messages == [*second, Message("assistant", "yes")]
    assert output == "hey\nyes\n"
    terminal, output = talk(assistant, "hi", "more", "/undo")
    assert terminal.dialogue.messages == second[:2]
    assert "2 messages" in output
    assert "nothing to undo" in talk(assistant, "/undo")[1]


def test_retry_answers_the_last_question_again_with_another_seed(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant(*script((HI, [*b"hey", CONTROL.end])))
    terminal, output = talk(assistant, "/set seed=4", "hi", "/retry")
    assert output.count("hey") == 2
    assert terminal.dialogue.messages == [*HI, Message("assistant", "hey")]
    assert terminal.dialogue.sampling.seed == 5
    assert "no question" in talk(assistant, "/retry")[1]


def test_set_changes_settings_and_names_a_wrong_setting(make_assistant: MakeAssistant) -> None:
    terminal, output = talk(
        make_assistant(),
        "/set temperature=0.5",
        "/set tempratur=1",
        "/set top_p=7",
        '/set stop=["a", "b"]',
    )
    assert (terminal.dialogue.sampling.temperature, terminal.dialogue.sampling.stop) == (
        0.5,
        ("a", "b"),
    )
    assert "tempratur" in output
    assert "Did you mean" in output
    assert "top_p" in output


def test_a_saved_conversation_loads_again(make_assistant: MakeAssistant, tmp_path: Path) -> None:
    with_system = [Message("system", "be kind"), *HI]
    assistant = make_assistant(*script((with_system, [*"é".encode(), CONTROL.end])))
    path = tmp_path / "talk.json"
    terminal, output = talk(
        assistant,
        "/save",
        f"/save {path}",
        "/system be kind",
        "hi",
        f"/save {path}",
        f"/save {path}",
    )
    assert "/save needs the name of a file" in output
    assert "nothing to save" in output
    assert "3 messages written" in output
    assert "exists already" in output
    again, _ = talk(assistant, f"/load {path}")
    assert (again.dialogue.system, again.dialogue.messages) == (
        "be kind",
        terminal.dialogue.messages,
    )


def test_new_clears_the_messages_and_a_file_name_may_be_quoted(
    make_assistant: MakeAssistant, tmp_path: Path
) -> None:
    assistant = make_assistant(*script((HI, [*b"hey", CONTROL.end])))
    path = tmp_path / "a talk.json"
    terminal, _ = talk(assistant, "hi", f'/save "{path}"', "/new", "/system be kind")
    assert path.exists()
    assert (terminal.dialogue.system, terminal.dialogue.messages) == ("be kind", [])


def test_a_loaded_tool_call_asks_for_its_result(
    make_assistant: MakeAssistant, tmp_path: Path
) -> None:
    (tmp_path / "talk.json").write_text(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "command", "content": "FETCH"},
                ]
            }
        )
    )
    _, output = talk(make_assistant(), f"/load {tmp_path / 'talk.json'}")
    assert "2 messages read" in output
    assert TOOL_RESULT_WANTED in output


def test_set_with_the_value_none_restores_the_first_value_of_a_setting(
    make_assistant: MakeAssistant,
) -> None:
    terminal, _ = talk(
        make_assistant(),
        "/set temperature=0.9 top_k=3",
        "/set temperature=none",
        sampling=SamplingConfig(temperature=0.3),
    )
    assert (terminal.dialogue.sampling.temperature, terminal.dialogue.sampling.top_k) == (0.3, 3)


def test_a_file_that_cannot_be_loaded_changes_nothing(
    make_assistant: MakeAssistant, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text('{"messages": [{"role": "assistant", "content": "x"}]}')
    assistant = make_assistant(
        *script(([Message("system", "be kind"), *HI], [*b"hey", CONTROL.end]))
    )
    terminal, output = talk(
        assistant,
        "/system be kind",
        "hi",
        f"/load {tmp_path / 'bad.json'}",
        f"/load {tmp_path}",
        f"/load {tmp_path}/none",
    )
    assert "bad.json" in output
    assert (terminal.dialogue.system, terminal.dialogue.messages) == (
        "be kind",
        [*HI, Message("assistant", "hey")],
    )


def test_a_loaded_question_is_answered_by_retry(
    make_assistant: MakeAssistant, tmp_path: Path
) -> None:
    (tmp_path / "open.json").write_text('{"messages": [{"role": "user", "content": "hi"}]}')
    assistant = make_assistant(*script((HI, [*b"hey", CONTROL.end])))
    terminal, output = talk(assistant, f"/load {tmp_path}/open.json", "more", "/retry")
    assert "The last question has no answer yet. /retry answers it, /undo removes it." in output
    assert terminal.dialogue.messages == [*HI, Message("assistant", "hey")]


def test_a_tool_call_is_shown_and_the_next_line_is_its_result(
    make_assistant: MakeAssistant,
) -> None:
    following = [
        *HI,
        message_from_turn("tool_call", "FETCH", "call_1"),
        message_from_turn("tool", "sunny", "call_1"),
    ]
    assistant = make_assistant(
        *script(
            (HI, [CONTROL.command, *b"FETCH", CONTROL.end_of_command]),
            (following, [*b"fine", CONTROL.end]),
        )
    )
    terminal, output = talk(assistant, "hi", "sunny")
    assert "The model calls a tool: FETCH" in output
    assert terminal.dialogue.messages == [*following, Message("assistant", "fine")]


def test_a_message_that_cannot_be_answered_is_not_kept_and_the_next_line_is_read(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant(*script((HI, [*b"hey", CONTROL.end])), context_length=64)
    terminal, output = talk(assistant, "y" * 80, "hi", "/nonsense", "/help", "/quit", "never read")
    assert "64 tokens" in output
    assert "/nonsense is not a command" in output
    assert "/retry" in output
    assert terminal.dialogue.messages == [*HI, Message("assistant", "hey")]


def test_left_out_messages_and_length_limits_are_reported(make_assistant: MakeAssistant) -> None:
    _, output = talk(make_assistant(context_length=64), *["a question"] * 4)
    assert "messages were left out of this reply" in output
    assert "cut off after 12 tokens" in output


def test_an_empty_reply_is_not_kept(make_assistant: MakeAssistant) -> None:
    terminal, output = talk(make_assistant(*script((HI, [CONTROL.end]))), "hi")
    assert UNCHANGED in output
    assert terminal.dialogue.messages == []


def test_escape_sequences_in_a_reply_do_not_reach_the_terminal(
    make_assistant: MakeAssistant,
) -> None:
    evil = "\x1b]0;title\x07\x9bok[red]x[/red]"
    terminal, output = talk(
        make_assistant(*script((HI, [*evil.encode(), CONTROL.end]))), "/set max_tokens=60", "hi"
    )
    assert "\x1b" not in output
    assert "\x9b" not in output
    assert "[red]x[/red]" in output, "a reply is text, not markup"
    assert terminal.dialogue.messages[-1].text == evil
    assert printable("a\tb\nc").plain == "a\tb\nc"


def test_ctrl_c_stops_the_reply_and_keeps_its_text(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant()
    real_step = assistant.engine.step
    count = []

    def step_and_interrupt() -> list:  # type: ignore[type-arg]
        count.append(1)
        if len(count) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return real_step()

    assistant.engine.step = step_and_interrupt  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGINT)
    terminal, output = talk(assistant, "hi")
    assert terminal.dialogue.messages == [*HI, Message("assistant", "xxxxx")]
    assert "(stopped)" in output
    assert assistant.engine.n_free_slot == 4
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_at_the_prompt_does_not_end_the_chat(make_assistant: MakeAssistant) -> None:
    lines = iter([KeyboardInterrupt, "hi", None])

    def read_line() -> str | None:
        line = next(lines)
        if line is KeyboardInterrupt:
            raise KeyboardInterrupt
        return line  # type: ignore[return-value]

    output = io.StringIO()
    terminal = Terminal(
        make_assistant(*script((HI, [*b"hey", CONTROL.end]))),
        Screen(Console(file=output)),
        read_line,
    )
    terminal.run()
    assert "/quit leaves." in output.getvalue()
    assert len(terminal.dialogue.messages) == 2


def test_interruptible_restores_the_signal_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as is_interrupted:
        assert not is_interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert is_interrupted()
    assert signal.getsignal(signal.SIGINT) is before


SEEDED = SamplingConfig(seed=11, max_tokens=12)


@pytest.mark.parametrize("edit", ["/edit who", "/edit #2 who", "/Edit #2", "/edit 2", "/edit"])
def test_an_edited_question_gets_the_reply_of_a_new_chat_with_that_question(
    untrained: Assistant, edit: str
) -> None:
    offered: list[str] = []

    def edit_text(text: str) -> str:
        offered.append(text)
        return "who"

    fresh, _ = talk(untrained, "hi", "who", sampling=SEEDED)
    edited, _ = talk(untrained, "hi", "what", edit, sampling=SEEDED, edit_text=edit_text)
    assert edited.dialogue.messages == fresh.dialogue.messages
    assert offered == ([] if "who" in edit else ["what"])
    edited, _ = talk(untrained, "one", "two", "three", "/edit #1 hi\nthere", sampling=SEEDED)
    assert (
        edited.dialogue.messages
        == talk(untrained, "hi\nthere", sampling=SEEDED)[0].dialogue.messages
    ), "later messages are removed"


def test_a_failed_edit_changes_nothing(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant(*script((HI, [*b"hey", CONTROL.end])), context_length=64)
    unchanged = [*HI, Message("assistant", "hey")]
    terminal, output = talk(
        assistant,
        "/edit x",
        "hi",
        "/edit",
        "/edit #2 x",
        "/edit 0",
        "/edit " + "y" * 80,
        "/set max_tokens=60",
        "/retry",
    )
    assert terminal.dialogue.messages == unchanged
    assert "no question to edit" in output
    assert "/edit needs the new text" in output
    assert "/edit #2" in output
    assert "/edit #0" in output
    assert output.count(UNCHANGED) == 2
    terminal, output = talk(assistant, "hi", "/edit", edit_text=lambda text: None)
    assert (terminal.dialogue.messages, "unchanged" in output) == (unchanged, True)


def test_several_settings_change_together_or_not_at_all(make_assistant: MakeAssistant) -> None:
    terminal, _ = talk(make_assistant(), "/set temperature=0.5 top_k=3", "/set top_p=0.5 min_p=7")
    assert (
        terminal.dialogue.sampling.temperature,
        terminal.dialogue.sampling.top_k,
        terminal.dialogue.sampling.top_p,
    ) == (
        0.5,
        3,
        1.0,
    )


def test_the_command_why_explains_only_the_reply_sampled_last(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant(*script((HI, [*b"h", CONTROL.end])))
    _, output = talk(assistant, "/why", "hi", "/why", "/why x", "/why 3", "/undo", "/why 1")
    assert output.count("/why explains the reply just sampled, and there is none.") == 2
    assert [line.split()[:3] for line in output.splitlines() if line[:1] in ("1", "2")] == [
        ["1", '"h"', "1.0000"],
        ["2", "<|end|>", "1.0000"],
    ]
    assert "/why x" in output
    assert "no token 3" in output
    terminal, output = talk(assistant, "hi", "more", "/undo", "/why")
    assert (len(terminal.dialogue.messages), "there is none." in output) == (2, True), (
        "the tokens belong to the removed reply, not to the one before"
    )


def test_asking_for_alternatives_changes_no_reply(untrained: Assistant) -> None:
    terminal, _ = talk(untrained, "hi", sampling=SEEDED)
    assert terminal.dialogue.messages[-1] == untrained.replies([HI], SEEDED)[0].message


def test_the_context_use_is_shown_in_a_terminal_and_not_in_a_pipe(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant(*script((HI, [*b"hey", CONTROL.end])))
    rendered = [*HI, Message("assistant", "hey"), Message("user", "")]
    # Less the two tokens of the empty question and the marker that begins an answer.
    meter = f"context {n_prompt_token(rendered) - 3} of 256 tokens"
    _, output = talk(assistant, "hi", "", is_terminal=True)
    assert meter in output
    assert "(nothing typed, nothing sent)" in output
    assert talk(assistant, "hi", "")[1] == "hey\n"
    assert meter in talk(assistant, "hi", "/context")[1]


def test_double_slashes_are_sent_and_capital_commands_run_and_control_characters_are_counted(
    make_assistant: MakeAssistant,
) -> None:
    unusual = "A\x00b\x1b[31m\tÉ"
    terminal, output = talk(make_assistant(), "//etc", unusual, "/HELP", "/retri")
    assert [message.text for message in terminal.dialogue.messages if message.role == "user"] == [
        "/etc",
        unusual,
    ]
    assert "control characters, sent unchanged: 2" in output
    assert help_text() in output
    assert "Did you mean /retry?" in output
    assert "\x1b" not in output


def test_help_lists_every_command_and_each_is_known(make_assistant: MakeAssistant) -> None:
    assert {
        "/undo",
        "/retry",
        "/edit",
        "/why",
        "/context",
        "/system",
        "/think",
        "/set",
        "/new",
        "/save",
        "/load",
        "/quit",
        "/help",
    } == set(NAMES)
    for name in NAMES:
        assert name in help_text()
        assert "is not a command" not in talk(make_assistant(), name)[1]
