"""Tool calls in replies: divided from text while they stream, and held to their schemas."""

import random
from pathlib import Path

import pytest

from chatwright.chat.reply_form import ReplyForm
from chatwright.chat.reply_grammar import reply_constraint
from chatwright.chat.tool_call_reader import ToolCallReader
from chatwright.conversation import ToolCall, ToolDefinition
from chatwright.engine.messages import Constraint
from chatwright.errors import InputError
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_format import ToolFormat
from tests.chat.scripted import ByteTokenizer
from tests.chat.test_reply_grammar import follows_ids
from tests.tokenizer.templates.cases import write_case
from tests.tokenizer.templates.test_published_templates import open_case

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolDefinition("weather", {**CITY, "additionalProperties": False})
CLOCK = ToolDefinition("clock", {"type": "object", "additionalProperties": False})
TOOLS = (WEATHER, CLOCK)
ROME = '{"name": "weather", "arguments": {"city": "Rome"}}'
TIME = '{"name": "clock", "arguments": {}}'


def tagged(*calls: str) -> str:
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)


@pytest.mark.parametrize(
    ("reply", "text", "names"),
    [
        ("Hello <tool", "Hello <tool", []),
        (f"Let me look.\n{tagged(ROME)}", "Let me look.", ["weather"]),
        (f"{tagged(ROME, TIME)}\n", "", ["weather", "clock"]),
        (f"a\n\nb\n\n{tagged(TIME)} and more", "a\n\nb", ["clock"]),
        (f"x{tagged(ROME)[:-3]}", "x", []),
        (f"x{tagged(ROME.replace('Rome', '</tool_call>'))}", "x", ["weather"]),
        ("line\n", "line\n", []),
    ],
)
def test_text_and_calls_are_the_same_in_any_pieces(reply: str, text: str, names: list[str]) -> None:
    draw = random.Random(1)
    for _ in range(30):
        reader = ToolCallReader(ToolFormat(), 3)
        found, rest = "", reply
        while rest:
            n = draw.randint(1, 9)
            found += reader.push(rest[:n])
            rest = rest[n:]
        found += reader.finish()
        assert found == text
        assert [call.name for call in reader.calls] == names
        assert [call.id for call in reader.calls] == [f"call_{3 + i}" for i in range(len(names))]


def test_control_ids_begin_calls_and_text_that_looks_like_a_tag_does_not() -> None:
    reader = ToolCallReader(ToolFormat.of({"<tool_call>": 7, "</tool_call>": 8}), 1)
    text = reader.push(f"see {tagged(ROME)}\n")
    assert reader.calls == []
    reader.take_tag(7)
    text += reader.push(f"\n{TIME}\n")
    reader.take_tag(8)
    text += reader.push("\n") + reader.finish()
    assert text == f"see {tagged(ROME)}"
    assert reader.calls == [ToolCall("call_1", "clock", {})]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    """Tokenizers whose tags are control ids, and text; and the own format."""
    folder: Path = tmp_path_factory.mktemp("tokenizers")
    return {
        "ids": open_case(write_case(folder / "ids", "qwen_tools")),
        "text": open_case(write_case(folder / "text", "qwen25")),
        "own": ByteTokenizer(),  # type: ignore[dict-item]
    }


def accepts(tokenizer: Tokenizer, form: ReplyForm, reply: str) -> bool:
    """Whether a reply may be this text, with its tags as control ids where there are some."""
    constraint = reply_constraint(form, tokenizer)
    if constraint is None:
        return True
    assert tokenizer.chat_format is not None
    tool_format = tokenizer.chat_format.tools
    if tool_format is None:  # the markers of the own format, in one character each
        control = ByteTokenizer.control
        ids = {"[": control.command, "]": control.end_of_command}
        pieces = [ids.get(c, c) for c in reply]
    else:
        pieces = [reply]
        for tag, spelling in zip(tool_format.call, ("<tool_call>", "</tool_call>"), strict=True):
            pieces = [
                part
                for piece in pieces
                for part in (split(piece, spelling, tag) if isinstance(piece, str) else [piece])
            ]

    ids_of_reply = [
        token
        for piece in pieces
        for token in ([piece] if isinstance(piece, int) else tokenizer.encode(piece))
    ]
    return follows_ids(ids_of_reply, constraint, tokenizer)


def split(text: str, spelling: str, tag: int | str) -> list[int | str]:
    first, *others = text.split(spelling)
    return [first, *(part for other in others for part in (tag, other))]


AUTO = ReplyForm(tools=TOOLS)
REQUIRED = ReplyForm(tools=TOOLS, tool_choice="required")
NAMED = ReplyForm(tools=TOOLS, tool_choice="required", tool_name="clock", max_calls=1)
NUMBER = ReplyForm(Constraint("json_schema", '{"type": "integer"}'), TOOLS)
NONE = ReplyForm(tools=TOOLS, tool_choice="none")
WRONG = (ROME.replace("city", "town"), ROME.replace("weather", "wether"), ROME[:-1], "{}", "")


@pytest.mark.parametrize("kind", ["ids", "text"])
@pytest.mark.parametrize(
    ("form", "reply", "is_valid"),
    [
        (AUTO, "Hello <tools>", True),
        (AUTO, tagged(ROME), True),
        (AUTO, f"Let me look.\n{tagged(ROME, TIME)}", True),
        (AUTO, f"{tagged(ROME)}\nand more", False),
        *((AUTO, f"x\n{tagged(call)}", False) for call in WRONG),
        (REQUIRED, tagged(TIME, ROME), True),
        (REQUIRED, "Hello", False),
        (REQUIRED, tagged(*[TIME] * 8), True),
        (REQUIRED, tagged(*[TIME] * 9), False),
        (NAMED, tagged(TIME), True),
        (NAMED, tagged(ROME), False),
        (NAMED, tagged(TIME, TIME), False),
        (NUMBER, "12", True),
        (NUMBER, tagged(ROME), True),
        (NUMBER, "hello", False),
        (NONE, "hello", True),
    ],
)
def test_calls_follow_their_schemas(
    tokenizers: dict[str, Tokenizer], kind: str, form: ReplyForm, reply: str, is_valid: bool
) -> None:
    assert accepts(tokenizers[kind], form, reply) == is_valid


PRICE = ToolDefinition("PRICE", {"type": "object", "properties": {"item": {"type": "string"}}})
SHOP = {"type": "string", "enum": ["bakery", "market"]}
HOURS = ToolDefinition("HOURS", {"type": "object", "properties": {"shop": SHOP}})


@pytest.mark.parametrize(
    ("choice", "reply", "is_valid"),
    [
        ("auto", "Hello", True),
        ("auto", "COMMAND=PRICE bread", True),  # text that looks like a call is text
        ("auto", "[COMMAND=PRICE rye bread]", True),
        ("auto", "[COMMAND=HOURS market]", True),
        ("auto", "[COMMAND=HOURS station]", False),
        ("auto", "[COMMAND=SING loudly]", False),
        ("auto", "[12 + 30]", False),
        ("required", "Hello", False),
        ("required", "[COMMAND=PRICE bread]", True),
    ],
)
def test_calls_of_own_models_are_of_the_given_tools(
    tokenizers: dict[str, Tokenizer], choice: str, reply: str, is_valid: bool
) -> None:
    form = ReplyForm(tools=(PRICE, HOURS), tool_choice=choice)  # type: ignore[arg-type]
    assert accepts(tokenizers["own"], form, reply) == is_valid


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"properties": {"a": {"type": "integer"}}},
        {"properties": {"a": {"type": "string", "pattern": "x"}}},
        {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
    ],
)
def test_own_models_refuse_tools_with_other_parameters(parameters: dict[str, object]) -> None:
    form = ReplyForm(tools=(ToolDefinition("F", parameters),))
    with pytest.raises(InputError) as error:
        reply_constraint(form, ByteTokenizer())  # type: ignore[arg-type]
    assert (error.value.field, error.value.value) == ("tools", "F")
