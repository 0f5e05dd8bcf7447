"""Saving and loading a conversation, and errors that name the file and the remedy."""

import errno
import json
from pathlib import Path

import pytest

from chatwright.chat.saved_conversation import load, save
from chatwright.conversation import (
    Message,
    ToolCall,
    assistant_message,
    tool_result_message,
)
from chatwright.data.readers.record import Record
from chatwright.data.readers.row_shapes import to_row
from chatwright.data.rows import ChatRow, Location
from chatwright.errors import InputError

TALK = [
    Message("system", "be kind"),
    Message("user", "héllo\n"),
    Message("assistant", "\x1b \u2028"),
]
CALL = ToolCall("call_1", "FETCH_PRICE", {"text": 'br"ead'})
TALK_WITH_TOOL = [
    Message("user", "How much is bread?"),
    Message("assistant", (CALL,)),
    tool_result_message(CALL, "4 coins"),
    Message("assistant", "Four coins."),
]


def test_a_saved_conversation_loads_with_equal_messages(tmp_path: Path) -> None:
    save(tmp_path / "talk.json", TALK)
    assert load(tmp_path / "talk.json") == TALK
    row = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert row["messages"][1] == {"role": "user", "content": "héllo\n"}


def test_thinking_is_saved_and_is_a_row_of_training_data(tmp_path: Path) -> None:
    talk = [*TALK[:2], assistant_message("so", "yes")]
    save(tmp_path / "talk.json", talk)
    assert load(tmp_path / "talk.json") == talk
    saved = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert saved["messages"][2]["reasoning_content"] == "so"
    row = to_row(Record(saved, Location("talk.json")))
    assert isinstance(row, ChatRow)
    assert list(row.messages) == talk


def test_tool_calls_are_saved_in_the_shape_of_the_openai_api(tmp_path: Path) -> None:
    save(tmp_path / "talk.json", TALK_WITH_TOOL)
    assert load(tmp_path / "talk.json") == TALK_WITH_TOOL
    row = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    function = {"name": "FETCH_PRICE", "arguments": '{"text": "br\\"ead"}'}
    assert row["messages"][1:3] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "4 coins"},
    ]


def test_a_saved_conversation_is_a_row_of_training_data(tmp_path: Path) -> None:
    save(tmp_path / "talk.json", TALK_WITH_TOOL)
    saved = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    row = to_row(Record(saved, Location("talk.json")))
    assert isinstance(row, ChatRow)
    assert list(row.messages) == TALK_WITH_TOOL


def test_a_call_without_an_id_gets_one_when_it_is_saved(tmp_path: Path) -> None:
    call = ToolCall("", "FETCH_PRICE", {"text": "bread"})
    messages = [
        TALK_WITH_TOOL[0],
        Message("assistant", (call,)),
        tool_result_message(call, "4 coins"),
    ]
    save(tmp_path / "talk.json", messages)
    called, returned = load(tmp_path / "talk.json")[1:]
    assert called.tool_calls[0].id == returned.tool_results[0].call_id == "call_1"


def test_a_file_of_an_earlier_version_with_command_and_result_loads(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "How much is bread?"},
        {"role": "command", "content": "COMMAND=FETCH_PRICE bread"},
        {"role": "result", "content": "4 coins"},
    ]
    (tmp_path / "talk.json").write_text(json.dumps({"messages": turns}))
    called, returned = load(tmp_path / "talk.json")[1:]
    assert called.tool_calls == (ToolCall("", "FETCH_PRICE", {"text": "bread"}),)
    assert returned.tool_results[0].content == "4 coins"


def assert_names_file_and_remedy(caught: pytest.ExceptionInfo[InputError], path: Path) -> None:
    assert str(path) in caught.value.problem
    assert caught.value.remedy


def test_saving_overwrites_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(InputError) as caught:
        save(tmp_path / "a", TALK)
    assert_names_file_and_remedy(caught, tmp_path / "a")
    assert (tmp_path / "a").read_text() == "mine"


def test_saving_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file, not a folder")
    for path in (tmp_path / "b" / "c", tmp_path / "a" / "c"):
        with pytest.raises(InputError) as caught:
            save(path, TALK)
        assert_names_file_and_remedy(caught, path)


def test_a_full_disk_leaves_no_incomplete_file(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full, a device that is always full")
    real_open = Path.open

    class FullPath(type(tmp_path)):  # type: ignore[misc]
        def open(self, *arguments: object, **named: object) -> object:
            real_open(self, "x").close()
            return real_open(full, "w", encoding="utf-8")

    with pytest.raises(InputError) as caught:
        save(FullPath(tmp_path / "talk"), TALK)
    assert_names_file_and_remedy(caught, tmp_path / "talk")
    assert not (tmp_path / "talk").exists()


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"not json", ""),
        (b'{"messages": []}\n{"messages": []}\n', ""),
        (b"\xff\xfe", ""),
        (b"[" * 200_000, ""),
        (b"[]", "messages"),
        (b'{"messages": 3}', "messages"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": ["hi"]}', "messages[0]"),
        (b'{"messages": [{"role": "user"}]}', "messages[0]"),
        (b'{"messages": [{"role": "user", "content": 3}]}', "messages[0]"),
        (b'{"messages": [{"role": "assistant", "tool_calls": [{}]}]}', "messages[0]"),
        (b'{"messages": [{"role": "assistant", "tool_calls": 3}]}', "messages[0]"),
        (b'{"messages": [{"role": "king", "content": "x"}]}', "messages[0].role"),
        (b'{"messages": [{"role": "assistant", "content": "x"}]}', "messages[0].role"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', ""),
    ],
)
def test_a_file_without_a_conversation_is_refused_with_its_name(
    tmp_path: Path, content: bytes, field: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    assert_names_file_and_remedy(caught, path)
    assert caught.value.field == (field or str(path))


def test_a_path_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError) as caught:
            load(path)
        assert_names_file_and_remedy(caught, path)

    def refuse(path: Path, **named: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # Changing the file's mode would have no effect for root, who may read every file.
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError) as caught:
        load(tmp_path / "secret")
    assert_names_file_and_remedy(caught, tmp_path / "secret")
