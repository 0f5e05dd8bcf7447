"""JSON lines for scripts, compared with the assistant's own replies."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from rich.console import Console

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.cli import chat as cli
from chatwright.cli.terminal.display import JsonLines, Screen
from chatwright.cli.terminal.terminal import Terminal
from chatwright.conversation import Message
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.chat_template import render_prompt
from tests.chat.scripted import ByteTokenizer

MakeAssistant = Callable[..., Assistant]
CONTROL = ByteTokenizer.control
HI = [Message("user", "hi")]


def talk(
    assistant: Assistant, *lines: str, sampling: SamplingConfig
) -> tuple[list[dict[str, Any]], str, int]:
    replies = io.StringIO()
    notes = io.StringIO()
    typed = iter(lines)
    display = JsonLines(replies, Screen(Console(file=notes, width=200)))
    Terminal(assistant, display, lambda: next(typed, None), sampling=sampling).run()
    assert replies.getvalue().isascii()
    return (
        [json.loads(line) for line in replies.getvalue().splitlines()],
        notes.getvalue(),
        display.n_failed,
    )


def test_each_reply_is_one_json_object_with_the_text_of_the_assistants_reply(
    untrained: Assistant,
) -> None:
    sampling = SamplingConfig(seed=11, max_tokens=12)
    rows, notes, n_failed = talk(untrained, "hi", "/why", "who", sampling=sampling)
    assert "most probable alternatives" in rows.pop(1)["note"]
    first = untrained.replies([HI], sampling)[0]
    second = untrained.replies([[*HI, first.message, Message("user", "who")]], sampling)[0]
    for row, finished in zip(rows, [first, second], strict=True):
        assert row == {
            "role": "assistant",
            "content": finished.message.text,
            "reason": finished.reason,
            "usage": asdict(finished.usage),
            "seed": 11,
            "stopped_by": finished.stopped_by,
        }
    assert n_failed == 0
    assert "most probable alternatives" in notes


def test_a_failed_line_gives_one_error_object_and_the_next_line_is_answered(
    make_assistant: MakeAssistant,
) -> None:
    n_prompt_token = len(render_prompt(HI, ByteTokenizer()))  # type: ignore[arg-type]
    assistant = make_assistant((n_prompt_token, [*"né".encode(), CONTROL.end]), context_length=64)
    rows, _, n_failed = talk(
        assistant,
        "y" * 80,
        "",
        "/nonsense",
        "/set top_p=7",
        "hi",
        sampling=SamplingConfig(temperature=0),
    )
    assert [list(row) for row in rows[:4]] == [["error"]] * 4
    assert "64 tokens" in rows[0]["error"]
    assert list(rows[1]) == ["error"]
    assert (rows[4]["content"], rows[4]["stopped_by"], n_failed) == ("né", "end", 4)


def test_a_command_gives_one_json_object_and_an_unexpected_argument_is_refused(
    untrained: Assistant,
) -> None:
    """A script waits for one object per line and must notice a message read as a command."""
    lines = ("/help", "/set top_k=3", "/quit smoking, how?", "/new please", "hi", "/new")
    rows, _, n_failed = talk(untrained, *lines, sampling=SamplingConfig(seed=1, max_tokens=4))
    assert [next(iter(row)) for row in rows] == ["note", "note", "error", "error", "role", "note"]
    assert rows[2]["error"].startswith("/quit")
    assert n_failed == 2


def test_a_tool_call_is_one_json_object_in_the_shape_of_the_openai_api(
    make_assistant: MakeAssistant,
) -> None:
    n_prompt_token = len(render_prompt(HI, ByteTokenizer()))  # type: ignore[arg-type]
    call = [CONTROL.command, *b"COMMAND=FETCH_PRICE bread", CONTROL.end_of_command]
    assistant = make_assistant((n_prompt_token, call))
    rows, _, n_failed = talk(assistant, "hi", sampling=SamplingConfig(temperature=0))
    assert rows[0]["reason"] == "tool_call"
    assert (rows[0]["role"], rows[0]["content"]) == ("assistant", None)
    function = {"name": "FETCH_PRICE", "arguments": '{"text": "bread"}'}
    expected = {"id": "call_1", "type": "function", "function": function}
    assert (rows[0]["tool_calls"], n_failed) == ([expected], 0)


def test_the_json_object_of_a_reply_counts_the_messages_left_out(
    make_assistant: MakeAssistant,
) -> None:
    rows, notes, n_failed = talk(
        make_assistant(context_length=64),
        *["a question"] * 4,
        sampling=SamplingConfig(temperature=0, max_tokens=12),
    )
    assert "truncated" not in rows[0]
    assert rows[3]["truncated"]["context_length"] == 64
    assert rows[3]["truncated"]["n_cut"] + rows[3]["truncated"]["n_kept"] == 7
    assert rows[3]["reason"] == "length"
    assert n_failed == 0
    assert "were left out of this reply" in notes


def test_a_reply_that_fails_while_it_is_sampled_is_an_error(untrained: Assistant) -> None:
    real = untrained.engine.forward.last_logits
    untrained.engine.forward.last_logits = lambda *arguments: real(*arguments) * float("nan")
    try:
        rows, _, n_failed = talk(untrained, "hi", sampling=SamplingConfig(seed=1))
    finally:
        untrained.engine.forward.last_logits = real  # type: ignore[method-assign]
    assert "is not finite" in rows[0]["error"]
    assert (len(rows), n_failed) == (1, 1)


@pytest.mark.parametrize(("lines", "status"), [("hi\n", 0), ("hi\n\nhi\n", 1), ("", 0)])
def test_the_exit_status_is_1_if_a_line_failed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: str,
    status: int,
) -> None:
    tokenizer = ByteBPE.train(["the cat sat"], 270)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size))
    init_weights(model, torch.Generator().manual_seed(1))
    model_directory.save(tmp_path / "model", model, tokenizer)
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    exit_status = 0
    try:
        cli.chat(tmp_path / "model", ["seed=1", "max_tokens=5"], "", as_json=True)
    except typer.Exit as exited:
        exit_status = exited.exit_code
    assert exit_status == status
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["error" in row for row in rows] == [not line for line in lines.splitlines()]
