import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
sys.path.insert(0, str(RECIPES))  # as when the script is run

import chat_real_data
from chat_real_sets import cleaning, conversations, facts, held_out, instructions, prose

from chatwright.tokenizer import chat_template

SENTENCE = (
    "The lobster lives in the eastern Atlantic Ocean and it may weigh 0.7 kg or more in cold water"
)
AS_IN_WIKITEXT = "the lobster lives in the eastern Atlantic Ocean , and it may weigh 0 @.@ 7 kg or more in cold water"


def test_a_shared_span_is_found_through_the_tokenisation_of_wikitext() -> None:
    held = held_out.HeldOut({"wikitext-2": [AS_IN_WIKITEXT]})
    assert held.source(f"Before. {SENTENCE}. After.") == "wikitext-2"
    assert held.source(SENTENCE.upper()) == "wikitext-2"


def test_thirteen_words_are_a_span_and_twelve_are_not() -> None:
    held = held_out.HeldOut({"wikitext-2": [AS_IN_WIKITEXT]})
    words = held_out.words(SENTENCE)
    assert held.source("elsewhere " + " ".join(words[3:16]) + " again") == "wikitext-2"
    assert held.source("elsewhere " + " ".join(words[3:15]) + " again") is None


def test_the_fast_search_finds_what_the_obvious_one_finds() -> None:
    vocabulary = ["a", "b"]
    texts = [
        "".join(f"{vocabulary[(seed >> i) & 1]} " for i in range(16))
        for seed in range(0, 65536, 331)
    ]
    held = held_out.HeldOut({"x": texts[:20]})
    spans = {tuple(text.split()[i : i + 13]) for text in texts[:20] for i in range(4)}
    for text in texts:
        obvious = any(tuple(text.split()[i : i + 13]) in spans for i in range(4))
        assert (held.source(text) == "x") is obvious


def test_a_short_question_is_held_out_as_a_whole() -> None:
    asked = ["when was the last time anyone was on the moon", "who won"]
    held = held_out.HeldOut({"nq-open": asked, "wikitext-2": ["one two three four five"]})
    assert held.question("When was the last time anyone was on the moon?") == "nq-open"
    assert held.question("When was the last time anyone was on Mars?") is None
    assert held.question("Who won?") is None
    assert held.question("One two three four five.") is None


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one pretraining set, one chat set and one evaluation set, each fault planted once."""
    data = tmp_path / "data"
    for folder in ("raschka-instructions", "openstax", "wikitext-2"):
        (data / folder).mkdir(parents=True)
    (data / "wikitext-2" / "valid.txt").write_text(AS_IN_WIKITEXT, encoding="utf-8")
    pairs = [
        ("Say hello.", "Hello!"), ("Say hello.", "Hello!"), ("Copy this.", SENTENCE), ("Go on.", "word " * 201), ("Nothing?", " "),
        ("Swear.", "Oh shit."), ("Break.", "caf\ufffd"), ("Wer?", "Ich hei\u00dfe Chatwright \u2013 \u201csehr\u201d erfreut\u2026"),
    ]  # fmt: skip
    examples = [
        {"instruction": question, "input": "", "output": answer} for question, answer in pairs
    ]
    (data / "raschka-instructions" / "instruction-data.json").write_text(
        json.dumps(examples), encoding="utf-8"
    )
    monkeypatch.setattr(held_out, "FILES", {"wikitext-2": ["wikitext-2/valid.txt"]})
    monkeypatch.setattr(chat_real_data, "CHAT", (
        chat_real_data.DataSet("raschka", instructions.raschka, ("raschka-instructions",), "Apache-2.0"),
        chat_real_data.DataSet("unclear", instructions.raschka, ("raschka-instructions",), "unstated", is_unclear=True),
    ))  # fmt: skip

    def two_documents(data: Path, dropped: cleaning.Dropped) -> Any:
        yield from ("A document.", SENTENCE, "a Document.")

    monkeypatch.setattr(
        chat_real_data, "PRETRAIN", (chat_real_data.DataSet("prose", two_documents, (), "MIT"),)
    )
    return data


def test_every_fault_is_dropped_counted_and_named(small: Path, tmp_path: Path) -> None:
    manifest = chat_real_data.convert(small, tmp_path / "out")
    assert rows(tmp_path / "out" / "chat" / "raschka.jsonl") == [
        {
            "messages": [
                {"role": "user", "content": "Say hello."},
                {"role": "assistant", "content": "Hello!"},
            ]
        },
        {
            "messages": [
                {"role": "user", "content": "Wer?"},
                {"role": "assistant", "content": 'Ich heiße Chatwright – "sehr" erfreut...'},
            ]
        },
    ]
    assert manifest["chat"]["raschka"]["dropped"] == {
        "assistant turn over 200 words": 1, "broken characters": 1, "duplicate": 1, "empty turn": 1, "offensive word": 1,
        "shares 13 words with wikitext-2": 1,
    }  # fmt: skip
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
    entry = manifest["chat"]["raschka"]
    content = (tmp_path / "one" / "chat" / "raschka.jsonl").read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["bytes"] == len(content)
    assert entry["rows"] == 2
    assert json.loads((tmp_path / "two" / "manifest.json").read_text(encoding="utf-8")) == manifest
    for path in sorted((tmp_path / "one").rglob("*.json*")):
        assert (
            path.read_bytes()
            == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
        )


def test_sets_without_a_licence_need_the_flag_and_leave_with_it(
    small: Path, tmp_path: Path
) -> None:
    unclear = tmp_path / "out" / "chat" / "unclear.jsonl"
    assert "unclear" not in chat_real_data.convert(small, tmp_path / "out")["chat"]
    assert not unclear.exists()
    assert (
        "unclear" in chat_real_data.convert(small, tmp_path / "out", include_unclear=True)["chat"]
    )
    assert unclear.exists()
    chat_real_data.convert(small, tmp_path / "out")
    assert not unclear.exists()


def test_forbidden_files_are_named_nowhere_but_among_the_held_out() -> None:
    forbidden = ["hh-rlhf", "auto-j", "alpaca", "wikitext-2", "BLiMP", "piqa", "truthfulqa", "nq-open", "mt-bench", "humaneval", "multi30k",
                 'gsm8k" / "test', 'falseqa" / "valid', "rotten_tomatoes"]  # fmt: skip
    for path in (RECIPES / "chat_real_sets").glob("*.py"):
        if path.name != "held_out.py":
            assert not [name for name in forbidden if name in path.read_text(encoding="utf-8")], (
                path.name
            )


def test_the_order_of_turns_is_the_chat_template_s() -> None:
    assert chat_real_data.MAY_FOLLOW == chat_template.MAY_FOLLOW


def test_clean_mends_quotes_markup_and_mojibake() -> None:
    assert (
        cleaning.clean("He said&nbsp;&ldquo;hi&rdquo;<br>to  <em>her</em> \u2026")
        == 'He said "hi"\nto her ...'
    )
    assert (
        cleaning.clean("it\u00e2\u20ac\u2122s a caf\u00c3\u00a9, \u00c3\u2030dith")
        == "it's a café, Édith"
    )
    assert cleaning.clean("America\u00a1\u00a6s \u00a1\u00a7war\u00a1\u00a8") == 'America\'s "war"'
    assert cleaning.clean("a < b and c > d; x &lt;0.1%") == "a < b and c > d; x <0.1%"
    assert cleaning.BROKEN.search("caf\ufffd")
    assert cleaning.BROKEN.search("a\x93b")
    assert not cleaning.BROKEN.search("Ünïcödé — 猫\n")


def test_documents_break_at_headings_and_before_they_are_too_long() -> None:
    blocks = ["# One", "a" * 60, "# Two", "b" * 60, "c. " * 50]
    made = list(cleaning.documents(blocks, low=50, high=100))
    assert made[:2] == ["One\n\n" + "a" * 60, "Two\n\n" + "b" * 60]
    assert " ".join(made[2:]) == ("c. " * 50).strip()
    assert all(len(document) <= 103 for document in made)


def test_capitals_come_back_to_stories() -> None:
    text = 'one day, tim and i met mr. fox. "hello," she said. "who are you?" i\'m ben!\n\n"go home," said tim.'
    assert prose.restore_case(text, {"tim", "ben", "fox"}) == (
        'One day, Tim and I met Mr. Fox. "Hello," she said. "Who are you?" I\'m Ben!\n\n"Go home," said Tim.'
    )


def test_tagged_words_become_text_again() -> None:
    tokens = [
        '"',
        "I",
        "ca",
        "n't",
        "read",
        ",",
        '"',
        "she",
        "said",
        "(",
        "it",
        "'s",
        "$",
        "5",
        ")",
        ".",
    ]
    assert prose.detokenise(tokens) == "\"I can't read,\" she said (it's $5)."


def test_wrapped_prose_is_joined_and_verse_is_not() -> None:
    assert (
        prose.unwrapped(["a squirrel who had a tooth-", "ache and was", "sad."])
        == "a squirrel who had a tooth-ache and was sad."
    )
    verse = ["Tiger Tiger, burning bright,", "In the forests of the night;"]
    assert prose.unwrapped(verse) == "\n".join(verse)


def test_lost_apostrophes_come_back() -> None:
    broken = "I don t know what s new, they re here and I ll go"
    assert (
        instructions.mend_apostrophes(broken) == "I don't know what's new, they're here and I'll go"
    )


def test_the_chatterbot_shape_of_yaml() -> None:
    text = "categories:\n- x\nconversations:\n- - What's up?\n  - 'It''s fine'\n  - a long line\n    folded here\n"
    text += '- - "He said \\"no\\""\n  - ok\n'
    assert conversations.yaml_lists(text) == [
        ["What's up?", "It's fine", "a long line folded here"],
        ['He said "no"', "ok"],
    ]
    assert conversations.spoken("who is ada") == "Who is ada?"
    assert conversations.spoken("WHAT IS CRICKET") == "What is cricket?"


def test_commands_carry_their_name_and_arguments() -> None:
    assert conversations.command("FindRestaurants", {"city": "Köln"}) == {
        "role": "command",
        "content": 'FIND_RESTAURANTS {"city": "Köln"}',
    }
    assert conversations.result("get_weather", {"c": 3}) == {
        "role": "result",
        "content": 'GET_WEATHER: {"c": 3}',
    }


def test_surnames_in_capitals_become_names() -> None:
    profile = {
        "Introduction": {
            "Background": {
                "text": "Explorer Ernest SHACKLETON met the UN and NATO. SHACKLETON died."
            }
        }
    }
    assert (
        facts.history(profile) == "Explorer Ernest Shackleton met the UN and NATO. Shackleton died."
    )


def test_a_small_real_set_of_each_kind(shared_data: Path) -> None:
    dropped: cleaning.Dropped = Counter()
    stories = list(prose.pratham_stories(shared_data, dropped))
    assert len(stories) > 300
    assert not any("License" in story or "##" in story for story in stories)
    talks = list(conversations.glaive(shared_data, dropped)) + list(
        instructions.raschka(shared_data, dropped)
    )
    usable = [talk for talk in talks if chat_real_data.fault(talk) is None]
    assert len(usable) > 1_200
    assert {turn["role"] for talk in usable for turn in talk} == {
        "system",
        "user",
        "assistant",
        "command",
        "result",
    }
