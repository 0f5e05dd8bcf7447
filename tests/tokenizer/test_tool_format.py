"""Tools in a prompt, calls and results: the ids are those of a Qwen-like template.

"Equal to what?" To `apply_chat_template` of transformers with tools.
"""

from typing import Any

import pytest

from chatwright.conversation import (
    Message,
    Text,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from chatwright.tokenizer.chat_template import render, render_prompt
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tool_format import ToolFormat, call_text, read_call
from tests.tokenizer.templates.cases import write_case
from tests.tokenizer.templates.test_published_templates import open_case, reference_of

WEATHER = ToolDefinition(
    "get_weather",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
    "The weather in a city",
)
CLOCK = ToolDefinition("clock", {"type": "object", "properties": {}})
TOOLS = (WEATHER, CLOCK)
CALLS = (
    ToolCall("a", "get_weather", {"city": "Zürich <tool_call>", "days": 2}),
    ToolCall("b", "clock", {}),
)
RESULTS = (ToolResult("a", "sunny <tool_call> \n"), ToolResult("b", '{"time": "12:00"}'))
QUESTION = Message("user", "Weather? <tool_call>")
CONVERSATIONS = {
    "question": [QUESTION],
    "system": [Message("system", "Be brief."), QUESTION],
    "one call": [QUESTION, Message("assistant", CALLS[:1]), Message("tool", RESULTS[:1])],
    "two calls after text": [
        QUESTION,
        Message("assistant", (Text("Let me look."), *CALLS)),
        Message("tool", RESULTS),
    ],
    "next question": [
        QUESTION,
        Message("assistant", CALLS),
        Message("tool", RESULTS),
        Message("assistant", "Sunny."),
        Message("user", "Thanks!"),
    ],
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImportedTokenizer, Any]:
    directory = write_case(tmp_path_factory.mktemp("tools"), "qwen_tools")
    return open_case(directory), reference_of(directory)


def rows_of(messages: list[Message]) -> list[dict[str, Any]]:
    """Return the messages as transformers reads them: a row for each result."""
    rows: list[dict[str, Any]] = []
    for message in messages:
        if message.tool_results:
            rows += [{"role": "tool", "content": result.content} for result in message.tool_results]
            continue
        row: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.tool_calls:
            row["tool_calls"] = [
                {"type": "function", "function": {"name": c.name, "arguments": c.parsed_arguments}}
                for c in message.tool_calls
            ]
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("tools", [TOOLS, ()])
def test_prompts_are_those_of_the_models_template(
    case: tuple[ImportedTokenizer, Any], name: str, tools: tuple[ToolDefinition, ...]
) -> None:
    tokenizer, reference = case
    messages = CONVERSATIONS[name]
    text = reference.apply_chat_template(
        rows_of(messages),
        tools=[tool.to_json() for tool in tools] or None,
        add_generation_prompt=True,
        tokenize=False,
    )
    ids = render_prompt(messages, tokenizer, tools=tools)
    strings = {token_id: token for token, token_id in tokenizer.vocabulary.markers.items()}
    pieces = [(strings.get(i) or "").encode() or tokenizer.token_bytes(i) for i in ids]
    assert b"".join(pieces).decode() == text


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_are_those_of_transformers_where_no_text_looks_like_a_tag(
    case: tuple[ImportedTokenizer, Any], name: str
) -> None:
    tokenizer, reference = case
    messages = [
        Message(message.role, [without_tags(part) for part in message.parts])
        for message in CONVERSATIONS[name]
    ]
    expected = reference.apply_chat_template(
        rows_of(messages),
        tools=[tool.to_json() for tool in TOOLS],
        add_generation_prompt=True,
        return_dict=False,
    )
    assert render_prompt(messages, tokenizer, tools=TOOLS) == expected


def without_tags(part: Any) -> Any:
    if isinstance(part, Text):
        return Text(part.text.replace("<tool_call>", "x"))
    if isinstance(part, ToolResult):
        return ToolResult(part.call_id, part.content.replace("<tool_call>", "x"))
    return ToolCall(part.id, part.name, part.arguments.replace("<tool_call>", "x"))


def test_only_the_format_writes_the_tokens_of_a_call(case: tuple[ImportedTokenizer, Any]) -> None:
    tokenizer, _ = case
    assert tokenizer.chat_format is not None
    tool_format = tokenizer.chat_format.tools
    assert tool_format is not None
    begin, _ = tool_format.call_ids
    counts = {
        name: render_prompt(messages, tokenizer).count(begin)
        for name, messages in CONVERSATIONS.items()
    }
    assert counts == {
        "question": 0,
        "system": 0,
        "one call": 1,
        "two calls after text": 2,
        "next question": 2,
    }


def test_a_call_is_learned_with_its_tags(case: tuple[ImportedTokenizer, Any]) -> None:
    tokenizer, _ = case
    rendered = render([QUESTION, Message("assistant", CALLS)], tokenizer)
    learned = [
        token_id
        for token_id, is_learned in zip(rendered.token_ids, rendered.loss_mask, strict=True)
        if is_learned
    ]
    assert tokenizer.chat_format is not None
    assert tokenizer.chat_format.tools is not None
    assert [i for i in learned if i in tokenizer.chat_format.tools.call_ids] == 2 * [
        *tokenizer.chat_format.tools.call_ids
    ]
    text = tokenizer.decode(learned)
    assert all(call_text(call) in text for call in CALLS)


def test_a_written_call_is_read_again() -> None:
    for call in CALLS:
        assert read_call(call_text(call), call.id) == call
    for text in ("", "{}", "[1]", '{"name": 3}', '{"name": "a", "arguments": [1]}', '{"name": "a"'):
        with pytest.raises(ValueError, match="."):
            read_call(text, "a")


def test_tags_are_ids_only_in_pairs() -> None:
    assert ToolFormat.of({"<tool_call>": 7}).call == ("<tool_call>", "</tool_call>")
    assert ToolFormat.of({"<tool_call>": 7, "</tool_call>": 8}).call_ids == (7, 8)
