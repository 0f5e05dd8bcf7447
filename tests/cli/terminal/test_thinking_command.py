"""The terminal folds thinking, shows it on demand, switches it, and names the system prompt."""

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.cli.terminal.commands import help_text
from chatwright.cli.terminal.terminal import Terminal
from chatwright.engine.messages import SamplingConfig
from chatwright.tokenizer.build_format import Markers, build_format
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.format_data import FormatData, LayoutData
from tests.chat.scripted import ByteTokenizer
from tests.chat.test_thinking import SWITCHED, UNSWITCHED, assistant_that_writes
from tests.cli.terminal.test_terminal import talk

THOUGHTFUL = "<think>\nlet me see\n</think>\n\nyes"


def _talk(*lines: str, is_terminal: bool = False) -> tuple[Terminal, str]:
    assistant = assistant_that_writes(THOUGHTFUL, SWITCHED, None)
    sampling = SamplingConfig(temperature=0, max_tokens=60)
    return talk(assistant, *lines, is_terminal=is_terminal, sampling=sampling)


def test_thinking_is_folded_and_shown_on_demand() -> None:
    _, output = _talk("hi", is_terminal=True)
    assert "let me see" not in output
    assert "3 words" in output
    assert "yes" in output
    _, output = _talk("hi", "/think")
    assert "let me see" in output


def test_through_a_pipe_the_answer_stands_alone() -> None:
    assert _talk("hi")[1] == "yes\n"


@pytest.mark.parametrize(
    ("argument", "expected"), [("on", True), ("off", False), ("default", None)]
)
def test_thinking_is_switched(argument: str, expected: bool | None) -> None:
    assistant = assistant_that_writes("yes", SWITCHED, None)
    terminal, _ = talk(assistant, "/think off", f"/think {argument}")
    assert terminal.dialogue.thinking is expected


def test_a_switch_that_the_model_lacks_is_refused_and_changes_nothing() -> None:
    assistant = assistant_that_writes("yes", UNSWITCHED, None)
    for line in ("/think off", "/think maybe"):
        terminal, output = talk(assistant, line)
        assert terminal.dialogue.thinking is None
        assert output.strip()
    assert "/think" in help_text()


def test_the_system_prompt_that_a_model_brings_is_named_at_the_start() -> None:
    ids = {text: getattr(ByteTokenizer.control, name) for name, text in CONTROL_TOKENS.items()}

    class BringsSystem(ByteTokenizer):
        chat_format = build_format(
            "brings",
            FormatData(
                LayoutData(
                    {
                        "begin>user": "<|bos|><|system|>Be kind.<|end|><|user|>",
                        "begin>system": "<|bos|><|system|>",
                        "system>user": "<|end|><|user|>",
                        "user>prompt": "<|end_of_question|><|assistant|>",
                        "assistant>end": "<|end|>",
                    }
                ),
                default_system="Be kind.",
            ),
            Markers(ids),
        )

    assistant = assistant_that_writes("yes", SWITCHED, None)
    with_system = Assistant(assistant.engine, BringsSystem())  # type: ignore[arg-type]
    assert "Be kind." in talk(with_system, is_terminal=True)[1]
    assert "Be kind." not in talk(with_system, is_terminal=True, system="Be brief.")[1]
    assert "Be kind." not in talk(with_system)[1]
    context = talk(with_system, "/context")[1]
    assert "Be kind." in context
    assert "-" not in context.split("Be kind.")[0]
