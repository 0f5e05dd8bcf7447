"""Conversion of public data sets: every fault is dropped and counted; runs are identical."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import chat_real_data
import chat_real_sets
import pytest
from chat_real_sets import cleaning, held_out, instructions, prose, sets, tool_dialogues

from chatwright.tokenizer import chat_template
from tests.recipes.test_held_out import AS_IN_WIKITEXT, SENTENCE

KIND_OF_ROLE = {"command": "tool_call", "result": "tool"}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one set of each kind and one evaluation set, with each fault once."""
    data = tmp_path / "data"
    for folder in ("raschka-instructions", "openstax", "wikitext-2"):
        (data / folder).mkdir(parents=True)
    (data / "wikitext-2" / "valid.txt").write_text(AS_IN_WIKITEXT, encoding="utf-8")
    pairs = [
        ("Say hello.", "Hello!"),
        ("Say hello.", "Hello!"),
        ("Copy this.", SENTENCE),
        ("Go on.", "word " * 201),
        ("Nothing?", " "),
        ("Swear.", "Oh shit."),
        ("Break.", "caf\ufffd"),
        ("Wer?", "Ich hei\u00dfe Chatwright \u2013 \u201csehr\u201d erfreut\u2026"),
    ]
    examples = [
        {"instruction": question, "input": "", "output": answer} for question, answer in pairs
    ]
    file = data / "raschka-instructions" / "instruction-data.json"
    file.write_text(json.dumps(examples), encoding="utf-8")
    monkeypatch.setattr(held_out, "FILES", {"wikitext-2": ["wikitext-2/valid.txt"]})

    def chat_set(name: str, is_unclear: bool) -> sets.DataSet:
        folders = ("raschka-instructions",)
        return sets.DataSet(name, instructions.raschka, folders, "Apache-2.0", is_unclear)

    def two_documents(data: Path, dropped: cleaning.Dropped) -> Any:
        yield from ("A document.", SENTENCE, "a Document.")

    chat = (chat_set("raschka", False), chat_set("unclear", True))
    monkeypatch.setattr(chat_real_data, "CHAT", chat)
    texts = (sets.DataSet("prose", two_documents, (), "MIT"),)
    monkeypatch.setattr(chat_real_data, "PRETRAIN", texts)
    return data


def test_every_fault_is_dropped_and_counted_by_reason(small: Path, tmp_path: Path) -> None:
    manifest = chat_real_data.convert(small, tmp_path / "out")
    written = [
        [turn["content"] for turn in row["messages"]]
        for row in rows(tmp_path / "out" / "chat" / "raschka.jsonl")
    ]
    assert written == [
        ["Say hello.", "Hello!"],
        ["Wer?", 'Ich heiße Chatwright – "sehr" erfreut...'],
    ]
    assert manifest["chat"]["raschka"]["dropped"] == {
        "assistant turn over 200 words": 1,
        "broken characters": 1,
        "duplicate": 1,
        "empty turn": 1,
        "offensive word": 1,
        "shares 13 words with wikitext-2": 1,
    }
    assert rows(tmp_path / "out" / "pretrain" / "prose.jsonl") == [{"text": "A document."}]
    assert manifest["pretrain"]["prose"]["dropped"] == {
        "duplicate": 1,
        "shares 13 words with wikitext-2": 1,
    }


def test_the_manifest_describes_the_files_and_two_runs_are_identical(
    small: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        manifest = chat_real_data.convert(small, tmp_path / name)
    content = (tmp_path / "one" / "chat" / "raschka.jsonl").read_bytes()
    entry = manifest["chat"]["raschka"]
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["bytes"] == len(content)
    assert entry["rows"] == 2
    assert json.loads((tmp_path / "two" / "manifest.json").read_text(encoding="utf-8")) == manifest
    for path in sorted((tmp_path / "one").rglob("*.json*")):
        copy = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == copy.read_bytes()


def test_sets_with_an_unclear_license_need_the_option_and_are_removed_without_it(
    small: Path, tmp_path: Path
) -> None:
    unclear = tmp_path / "out" / "chat" / "unclear.jsonl"
    assert "unclear" not in chat_real_data.convert(small, tmp_path / "out")["chat"]
    assert not unclear.exists()
    with_unclear = chat_real_data.convert(small, tmp_path / "out", include_unclear=True)
    assert "unclear" in with_unclear["chat"]
    assert unclear.exists()
    chat_real_data.convert(small, tmp_path / "out")
    assert not unclear.exists()


def test_evaluation_sets_are_named_only_where_they_are_held_out() -> None:
    evaluation_sets = (
        *("hh-rlhf", "auto-j", "alpaca", "wikitext-2", "BLiMP", "piqa", "truthfulqa", "nq-open"),
        *("mt-bench", "humaneval", "multi30k", 'gsm8k" / "test', 'falseqa" / "valid'),
        "rotten_tomatoes",
    )
    folder = Path(chat_real_sets.__file__).parent
    for path in (*folder.glob("*.py"), *folder.glob("*.json")):
        if path.name != "held_out.py":
            text = path.read_text(encoding="utf-8")
            assert not [name for name in evaluation_sets if name in text], path.name


def test_the_order_of_turns_is_that_of_the_chat_template() -> None:
    order = {
        KIND_OF_ROLE.get(role, role): tuple(KIND_OF_ROLE.get(before, before) for before in earlier)
        for role, earlier in chat_real_data.MAY_FOLLOW.items()
    }
    assert order == chat_template.MAY_FOLLOW


def test_a_small_real_set_of_each_kind_is_read(shared_data: Path) -> None:
    dropped: cleaning.Dropped = Counter()
    stories = list(prose.pratham_stories(shared_data, dropped))
    assert len(stories) > 300
    assert not any("License" in story or "##" in story for story in stories)
    conversations = list(tool_dialogues.glaive(shared_data, dropped))
    conversations += list(instructions.raschka(shared_data, dropped))
    usable = [turns for turns in conversations if chat_real_data.fault(turns) is None]
    assert len(usable) > 1_200
    roles = {turn["role"] for turns in usable for turn in turns}
    assert roles == {"system", "user", "assistant", "command", "result"}
