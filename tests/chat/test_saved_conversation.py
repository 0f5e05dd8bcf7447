"""Saving and loading: what is given back, and that every refusal names file, cause and remedy."""

import errno
import json
from pathlib import Path

import pytest

from chatwright.chat.saved_conversation import load, save
from chatwright.conversation import Message

TALK = [
    Message("system", "be kind"),
    Message("user", "héllo\n"),
    Message("assistant", "\x1b \u2028"),
]


def test_what_was_saved_is_loaded_and_is_one_row(tmp_path: Path) -> None:
    save(tmp_path / "talk.json", TALK)
    assert load(tmp_path / "talk.json") == TALK
    assert json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"][1] == {
        "role": "user",
        "content": "héllo\n",
    }


def test_nothing_is_overwritten_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(
        ValueError, match=r"a exists already and is left as it is\. Give another name\."
    ):
        save(tmp_path / "a", TALK)
    assert (tmp_path / "a").read_text() == "mine"
    with pytest.raises(ValueError, match=r"b/c: there is no folder .*/b\. Make it first"):
        save(tmp_path / "b" / "c", TALK)
    with pytest.raises(
        ValueError, match=r"a/c: cannot be written \(Not a directory\)\. Give a name in a folder"
    ):
        save(tmp_path / "a" / "c", TALK)


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full, a device that is always full")
    real_open = Path.open

    class FullPath(type(tmp_path)):  # type: ignore[misc]
        def open(self, *arguments: object, **named: object) -> object:
            real_open(self, "x").close()
            return real_open(full, "w", encoding="utf-8")

    with pytest.raises(
        ValueError,
        match=r"talk: could not be written to its end \(No space left on device\); nothing is left of it",
    ):
        save(FullPath(tmp_path / "talk"), TALK)
    assert not (tmp_path / "talk").exists()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"not json", r"not JSON \(line 1, column 1: Expecting value\)"),
        (b'{"messages": []}\n{"messages": []}\n', r"not JSON \(line 2, column 1: Extra data\)"),
        (b"\xff\xfe", r"not text in UTF-8 \(at byte 0\)\. Convert it"),
        (b"[" * 200_000, r"nested too deeply"),
        (b"[]", r'no list called "messages"'),
        (b'{"messages": 3}', r'no list called "messages"'),
        (b'{"messages": []}', r"the conversation is empty: give at least a user turn"),
        (b'{"messages": ["hi"]}', r'turn 0 lacks "role" or "content"'),
        (b'{"messages": [{"role": "user"}]}', r'turn 0 lacks "role" or "content"'),
        (
            b'{"messages": [{"role": "user", "content": 3}]}',
            r"turn 0 lacks .*, or they are no text",
        ),
        (
            b'{"messages": [{"role": "king", "content": "x"}]}',
            r"turn 0 has the unknown role 'king': known roles are system, user",
        ),
        (
            b'{"messages": [{"role": "assistant", "content": "x"}]}',
            r"turn 0 \(assistant\) is the first: an assistant turn must answer",
        ),
        (
            b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
            r"the text holds a lone surrogate \(U\+D800\)",
        ),
    ],
)
def test_a_file_that_is_no_conversation_is_refused_with_its_name_and_cause(
    tmp_path: Path, content: bytes, cause: str
) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^[^\n]*bad\.json: [^\n]*" + cause):
        load(tmp_path / "bad.json")


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"none: no such file\. Give the path of a conversation that /save wrote\."
    ):
        load(tmp_path / "none")
    with pytest.raises(ValueError, match=r"is a folder\. Give the path of a file in it\."):
        load(tmp_path)

    def refuse(path: Path, **named: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(
        Path, "read_text", refuse
    )  # the one who runs the tests may be allowed everything
    with pytest.raises(
        ValueError,
        match=r"secret: cannot be read \(Permission denied\)\. Correct the path or the file's permissions\.",
    ):
        load(tmp_path / "secret")
