"""The tools of a request, and which of them the model may call."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from chatwright.chat.reply_form import MAX_CALLS, ToolChoice
from chatwright.chat.tool_grammar import text_parameter
from chatwright.conversation import ToolDefinition
from chatwright.engine.grammar import check_constraint
from chatwright.engine.messages import Constraint
from chatwright.errors import InputError
from chatwright.server.errors import ApiError
from chatwright.server.request_body.request_parser import Strict, Text
from chatwright.tokenizer.chat_format import ChatFormat
from chatwright.tokenizer.tool_call_text import require_function_name

MAX_TOOLS = 128

FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class FunctionDefinition(Strict):
    """A function that the client runs."""

    name: FunctionName
    description: Text = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """JSON schema of the arguments, an object."""
    strict: bool = True
    """Ignored: arguments always follow the schema."""


class ToolItem(Strict):
    """A tool of the client."""

    type: Literal["function"]
    function: FunctionDefinition

    def to_definition(self) -> ToolDefinition:
        """Return the tool as the prompt describes it."""
        function = self.function
        parameters = function.parameters or {"type": "object", "properties": {}}
        return ToolDefinition(function.name, parameters, function.description)


class NamedFunction(Strict):
    """The name of a function."""

    name: FunctionName


class NamedToolChoice(Strict):
    """The one tool that the model has to call."""

    type: Literal["function"]
    function: NamedFunction


AnyToolChoice = Literal["none", "auto", "required"] | NamedToolChoice


def choice_of(choice: AnyToolChoice | None) -> tuple[ToolChoice, str]:
    """Return whether tools are called, and the name of the only one that may be; "" for any."""
    if isinstance(choice, NamedToolChoice):
        return "required", choice.function.name
    return choice or "auto", ""


def most_calls(choice: AnyToolChoice | None, is_parallel: bool) -> int:
    """Return the most calls in one reply."""
    return 1 if isinstance(choice, NamedToolChoice) or not is_parallel else MAX_CALLS


def require_usable_tools(tools: tuple[ToolDefinition, ...], chat_format: ChatFormat | None) -> None:
    """Raise ApiError (400) for the first tool that the model cannot call, with its place.

    This may take a second, so call it in a thread of the pool.
    """
    has_schemas = chat_format is not None and chat_format.tools is not None
    for index, tool in enumerate(tools):
        place = f"tools[{index}].function"
        try:
            if has_schemas:
                _require_schema(tool)
            elif chat_format is not None and chat_format.tool_call is not None:
                text_parameter(tool)
                require_function_name(tool.name)
        except InputError as error:
            field = f"{place}.name" if error.field == "name" else f"{place}.parameters"
            _, _, inner = error.field.partition(".")
            param = f"{field}.{inner}" if inner else field
            raise ApiError(400, str(error), code="invalid_value", param=param) from None


def _require_schema(tool: ToolDefinition) -> None:
    if tool.parameters.get("type", "object") != "object":
        raise InputError(
            f"The arguments of the tool {tool.name} are not an object.",
            remedy='Give parameters of {"type": "object", ...}.',
            field="tools",
        )
    schema = {"type": "object", **tool.parameters}
    check_constraint(Constraint("json_schema", json.dumps(schema, ensure_ascii=False)))
