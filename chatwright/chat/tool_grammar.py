"""The grammar of tool calls: only tools that the caller gave, with arguments that fit them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from chatwright.chat.reply_form import ReplyForm
from chatwright.conversation import ToolDefinition
from chatwright.engine.messages import JSON_STYLE
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import END, ChatFormat
from chatwright.tokenizer.tool_call_text import require_function_name
from chatwright.tokenizer.tool_format import CALL, ToolFormat

LONGEST_ARGUMENT = 1_000
"""Characters of an argument that Chatwright's own models write."""


@dataclass(frozen=True)
class CallsGrammar:
    """The part of a reply's grammar that is about tool calls."""

    calls: str
    """The calls, where no text comes before them."""
    rules: str
    is_required: bool
    with_text: str = ""
    """Text with calls after it, where both may be in one reply."""

    def start(self, answer: str) -> str:
        """Return the whole answer; `answer` is the part that is no call."""
        if self.is_required:
            return self.calls
        if answer == "TEXT" and self.with_text:
            return self.with_text
        return f"{answer} | {self.calls}"


def calls_grammar(form: ReplyForm, chat_format: ChatFormat) -> CallsGrammar | None:
    """Return the grammar of calls; None if the reply may call no tool.

    Raises InputError for a tool that the chat format cannot call.
    """
    if not form.callable_tools:
        return None
    is_required = form.tool_choice == "required"
    if chat_format.tools is not None:
        return _json_calls(form, chat_format.tools, is_required)
    if chat_format.tool_call is not None:
        return _text_calls(form, chat_format, is_required)
    raise InputError(
        f"This model's chat format ({chat_format.name}) has no tool calls.",
        remedy="Leave the tools out, or use a model that calls tools.",
        field="tools",
    )


def _json_calls(form: ReplyForm, tools: ToolFormat, is_required: bool) -> CallsGrammar:
    """Return the grammar of calls as JSON between tags, several in one reply."""
    begin, end = (f"<[{tag}]>" if isinstance(tag, int) else json.dumps(tag) for tag in tools.call)
    bodies = [_json_call(tool) for tool in form.callable_tools]
    more = f'("\\n" {begin} body){{0,{form.max_calls - 1}}}' if form.max_calls > 1 else ""
    rules = f'body: "\\n" ({" | ".join(bodies)}) "\\n" {end}'
    calls = f"{begin} body {more}"
    if tools.call_ids:
        return CallsGrammar(calls, rules, is_required, f"TEXT ({calls})?")
    # Lazy: a tag that is text begins a call wherever it is first written.
    rules += f"\nto_call[lazy]: /(.|\\n)*{CALL[0]}/"
    return CallsGrammar(calls, rules, is_required, f"TEXT | to_call body {more}")


def _json_call(tool: ToolDefinition) -> str:
    schema = {"type": "object", **tool.parameters, "x-guidance": dict(JSON_STYLE)}
    before = json.dumps(f'{{"name": {json.dumps(tool.name)}, "arguments": ')
    return f'{before} %json {json.dumps(schema)} "}}"'


def _text_calls(form: ReplyForm, chat_format: ChatFormat, is_required: bool) -> CallsGrammar:
    """Return the grammar of one call of Chatwright's own form: COMMAND=NAME argument."""
    [end] = chat_format.layout.separator("tool_call", END).ends
    bodies = " | ".join(_text_call(tool) for tool in form.callable_tools)
    calls = f"<[{chat_format.tool_call}]> ({bodies}) <[{end}]>"
    rules = f"ARGUMENT: /(.|\\n){{0,{LONGEST_ARGUMENT}}}/"
    return CallsGrammar(calls, rules if "ARGUMENT" in bodies else "", is_required)


def _text_call(tool: ToolDefinition) -> str:
    require_function_name(tool.name)
    name = text_parameter(tool)
    begin = json.dumps(f"COMMAND={tool.name} ")
    values = tool.parameters["properties"][name].get("enum")
    if values is None:
        return f"{begin} ARGUMENT"
    return f"{begin} ({' | '.join(json.dumps(str(value)) for value in values)})"


def text_parameter(tool: ToolDefinition) -> str:
    """Return the name of a tool's only parameter, which is a text.

    Raises InputError if the tool has other parameters: Chatwright's own models call tools with one
    text.
    """
    properties = tool.parameters.get("properties")
    if isinstance(properties, dict) and len(properties) == 1:
        [(name, schema)] = properties.items()
        known = {"type", "description", "title", "enum"}
        if isinstance(schema, dict) and schema.get("type") == "string" and schema.keys() <= known:
            return str(name)
    raise InputError(
        f"This model calls tools with one text, and the tool {tool.name} has other parameters.",
        remedy='Give it one parameter of type "string", with an "enum" at most.',
        field="tools",
        value=tool.name,
    )
