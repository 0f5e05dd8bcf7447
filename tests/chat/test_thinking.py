"""Thinking before an answer: divided from it while it streams, and dropped from later prompts."""

import random

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.dialogue import Dialogue
from chatwright.chat.reply_events import Finished, TextDelta, ThinkingDelta
from chatwright.chat.thinking_splitter import ThinkingSplitter
from chatwright.conversation import Message, Text, Thinking
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.tokenizer.build_format import Markers, build_format
from chatwright.tokenizer.chat_template import render, render_prompt
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.format_data import FormatData, LayoutData
from chatwright.tokenizer.thinking import split_thinking
from tests.chat.scripted import ByteTokenizer, ScriptedModel

TAGS = ("<think>", "</think>")
PROMPT = "<|end_of_question|><|assistant|>"
SEPARATORS = {
    "begin>user": "<|bos|><|user|>",
    "user>prompt": PROMPT,
    "user>assistant": PROMPT,
    "user>last_thinking": f"{PROMPT}<think>\n",
    "last_thinking>last_assistant": "\n</think>\n\n",
    "assistant>user": "<|end|><|user|>",
    "assistant>end": "<|end|>",
}
OFF = SEPARATORS | {"user>prompt": f"{PROMPT}<think>\n\n</think>\n\n"}
ALWAYS = SEPARATORS | {"user>prompt": f"{PROMPT}<think>\n"}
SWITCHED = FormatData(
    LayoutData(SEPARATORS),
    thinking_on=LayoutData(SEPARATORS),
    thinking_off=LayoutData(OFF),
    thinking_tags=TAGS,
)
UNSWITCHED = FormatData(LayoutData(ALWAYS), thinking_tags=TAGS)
QUESTION = [Message("user", "hi")]


class ThinkingTokenizer(ByteTokenizer):
    def __init__(self, data: FormatData, has_tag_tokens: bool = False) -> None:
        ids = {spelling: getattr(self.control, name) for name, spelling in CONTROL_TOKENS.items()}
        if has_tag_tokens:  # as in SmolLM 3, whose tags are special tokens
            ids |= {"<think>": self.control.command, "</think>": self.control.result}
        self.chat_format = build_format("thinker", data, Markers(ids))

    def encode_reply(self, text: str) -> list[int]:
        token_ids: list[int] = []
        for piece in Markers({spelling: i for i, spelling in self.tags()}).split(text):
            token_ids += [piece] if isinstance(piece, int) else self.encode(piece)
        return token_ids

    def tags(self) -> list[tuple[int, str]]:
        return list(self.chat_format.thinking_ids.items())


def assistant_that_writes(
    reply: str, data: FormatData, thinking: bool | None, has_tag_tokens: bool = False
) -> Assistant:
    tokenizer = ThinkingTokenizer(data, has_tag_tokens)
    n_prompt_token = len(render_prompt(QUESTION, tokenizer, thinking))  # type: ignore[arg-type]
    tokens = [*tokenizer.encode_reply(reply), tokenizer.control.end]
    script = {n_prompt_token + index: token_id for index, token_id in enumerate(tokens)}
    return Assistant(Engine(ScriptedModel(script, 256)), tokenizer)  # type: ignore[arg-type]


@pytest.mark.parametrize("has_tag_tokens", [False, True])
@pytest.mark.parametrize(
    ("data", "thinking", "reply", "expected"),
    [
        (SWITCHED, None, "<think>\nlet me see\n</think>\n\nyes", ("let me see", "yes")),
        (SWITCHED, True, "<think>\nlet me see\n</think>\n\nyes", ("let me see", "yes")),
        (SWITCHED, None, "yes", ("", "yes")),
        (SWITCHED, False, "yes", ("", "yes")),
        (SWITCHED, None, "<think>\n\n</think>\n\nyes", ("", "yes")),
        (SWITCHED, None, "<think>\nlet me", ("let me", "")),
        (UNSWITCHED, None, "let me see\n</think>\n\nyes", ("let me see", "yes")),
        (
            UNSWITCHED,
            True,
            "\n\nlet me see</think>yes </think> no",
            ("let me see", "yes </think> no"),
        ),
    ],
)
def test_a_reply_is_divided_into_thinking_and_answer(
    data: FormatData,
    thinking: bool | None,
    reply: str,
    expected: tuple[str, str],
    has_tag_tokens: bool,
) -> None:
    assistant = assistant_that_writes(reply, data, thinking, has_tag_tokens)
    sampling = SamplingConfig(temperature=0.0, max_tokens=60)
    events = list(assistant.reply(QUESTION, sampling, thinking))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.message.thinking, finished.message.text) == expected
    assert finished.reason == "stop"
    thought = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    answered = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (thought, answered) == expected
    shown = [token for event in events for token in getattr(event, "tokens", ())]
    assert len(shown) == finished.usage.completion_tokens


@pytest.mark.parametrize("is_open", [False, True])
def test_in_pieces_a_reply_is_divided_as_the_whole_is(is_open: bool) -> None:
    rng = random.Random(3)
    wholes = [
        "<think>\nA\n\nB\n</think>\n\nC\n\nD",
        "<think></think>x",
        "  <think>\n\n\n</think>\n\n\n",
        "<think>a</thin</think>b</think>c",
        "<thinking> no",
        "no <think> here </think>",
        "\n\nplain\n",
        "",
    ]
    for whole in wholes * 20:
        splitter = ThinkingSplitter(TAGS, is_open)
        rest = whole.lstrip().removeprefix("<think>") if is_open else whole
        pieces = []
        while rest:
            n = rng.randint(1, 6)
            pieces.append(splitter.push(rest[:n]))
            rest = rest[n:]
        pieces.append(splitter.finish())
        thinking, answer = ("".join(column) for column in zip(*pieces, strict=True))
        if not is_open or ("</think>" in whole and whole.lstrip().startswith("<think>")):
            assert (thinking, answer) == split_thinking(whole, TAGS), whole


def test_without_tags_all_is_answer() -> None:
    splitter = ThinkingSplitter(None)
    assert splitter.push("<think>\nx</think>") == ("", "<think>\nx</think>")
    assert split_thinking("<think>\nx</think>", None) == ("", "<think>\nx</think>")


def test_a_stop_text_in_the_thinking_does_not_end_the_reply() -> None:
    reply = "<think>\nstop here\n</think>\n\nand stop there"
    assistant = assistant_that_writes(reply, SWITCHED, None)
    sampling = SamplingConfig(temperature=0.0, max_tokens=60, stop=("stop",))
    [finished] = assistant.replies([QUESTION], sampling)
    assert (finished.message.thinking, finished.message.text) == ("stop here", "and ")


def test_a_model_that_cannot_be_switched_is_refused() -> None:
    assistant = assistant_that_writes("yes", UNSWITCHED, None)
    dialogue = Dialogue(assistant)
    for refused in (
        lambda: list(assistant.reply(QUESTION, None, False)),
        lambda: dialogue.set_thinking(False),
    ):
        with pytest.raises(InputError) as caught:
            refused()
        assert (caught.value.field, caught.value.value) == ("thinking", False)
    dialogue.set_thinking(True)
    assert dialogue.thinking is True


def test_a_dialogue_keeps_the_thinking_and_later_prompts_drop_it() -> None:
    reply = "<think>\nlet me see\n</think>\n\nyes"
    dialogue = Dialogue(assistant_that_writes(reply, SWITCHED, None), SamplingConfig(temperature=0))
    list(dialogue.reply_to(dialogue.with_next("hi")))
    assert dialogue.messages[-1].thinking == "let me see"
    tokenizer = dialogue.assistant.tokenizer
    longer = dialogue.with_next("why?")
    without = [Message(message.role, message.text) for message in longer]
    assert render_prompt(longer, tokenizer) == render_prompt(without, tokenizer)


def test_the_thinking_of_the_last_answer_is_learned_with_its_tags() -> None:
    tokenizer = ThinkingTokenizer(SWITCHED)
    answer = Message("assistant", (Thinking("a b"), Text("c")))
    rendered = render([*QUESTION, answer], tokenizer)  # type: ignore[arg-type]
    prompt = render_prompt(QUESTION, tokenizer)  # type: ignore[arg-type]
    assert rendered.token_ids[: len(prompt)] == prompt
    learned = rendered.token_ids[len(prompt) :]
    assert learned == [*b"<think>\na b\n</think>\n\nc", tokenizer.control.end]
    assert rendered.loss_mask == [False] * len(prompt) + [True] * len(learned)


def test_a_format_without_thinking_refuses_to_learn_it() -> None:
    answer = Message("assistant", (Thinking("a b"), Text("c")))
    with pytest.raises(InputError) as caught:
        render([*QUESTION, answer], ByteTokenizer())  # type: ignore[arg-type]
    assert caught.value.field == "messages[1].reasoning_content"
