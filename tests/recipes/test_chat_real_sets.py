"""The rules that clean the public data sets, on small texts."""

from chat_real_sets import (
    cleaning,
    conversations,
    facts,
    instructions,
    prose,
    tinystories,
    tool_dialogues,
)


def test_clean_repairs_quotes_markup_and_wrong_encodings() -> None:
    html = "He said&nbsp;&ldquo;hi&rdquo;<br>to  <em>her</em> \u2026"
    assert cleaning.clean(html) == 'He said "hi"\nto her ...'
    read_as_cp1252 = "it\u00e2\u20ac\u2122s a caf\u00c3\u00a9, \u00c3\u2030dith"
    assert cleaning.clean(read_as_cp1252) == "it's a café, Édith"
    assert cleaning.clean("America\u00a1\u00a6s \u00a1\u00a7war\u00a1\u00a8") == 'America\'s "war"'
    assert cleaning.clean("a < b and c > d; x &lt;0.1%") == "a < b and c > d; x <0.1%"
    assert cleaning.BROKEN.search("caf\ufffd")
    assert cleaning.BROKEN.search("a\x93b")
    assert not cleaning.BROKEN.search("Ünïcödé — 猫\n")


def test_documents_begin_at_headings_and_before_they_are_too_long() -> None:
    blocks = ["# One", "a" * 60, "# Two", "b" * 60, "c. " * 50]
    documents = list(cleaning.documents(blocks, low=50, high=100))
    assert documents[:2] == ["One\n\n" + "a" * 60, "Two\n\n" + "b" * 60]
    assert " ".join(documents[2:]) == ("c. " * 50).strip()
    assert all(len(document) <= 103 for document in documents)


def test_capitals_of_stories_are_restored() -> None:
    text = (
        'one day, tim and i met mr. fox. "hello," she said. "who are you?" i\'m ben!'
        '\n\n"go home," said tim.'
    )
    assert tinystories.restore_case(text, {"tim", "ben", "fox"}) == (
        'One day, Tim and I met Mr. Fox. "Hello," she said. "Who are you?" I\'m Ben!'
        '\n\n"Go home," said Tim.'
    )


def test_tokens_are_joined_to_ordinary_text() -> None:
    words = ["I", "ca", "n't", "read", ","]
    tokens = ['"', *words, '"', "she", "said", "(", "it", "'s", "$", "5", ")", "."]
    assert prose.detokenize(tokens) == "\"I can't read,\" she said (it's $5)."


def test_wrapped_prose_is_joined_and_verse_is_not() -> None:
    wrapped = ["a squirrel who had a tooth-", "ache and was", "sad."]
    assert prose.unwrap(wrapped) == "a squirrel who had a tooth-ache and was sad."
    verse = ["Tiger Tiger, burning bright,", "In the forests of the night;"]
    assert prose.unwrap(verse) == "\n".join(verse)


def test_lost_apostrophes_are_restored() -> None:
    text = instructions.restore_apostrophes("I don t know what s new, they re here and I ll go")
    assert text == "I don't know what's new, they're here and I'll go"


def test_the_yaml_of_chatterbot_is_parsed() -> None:
    text = (
        "categories:\n- x\nconversations:\n- - What's up?\n  - 'It''s fine'\n  - a long line\n"
        '    folded here\n- - "He said \\"no\\""\n  - ok\n'
    )
    assert conversations.yaml_lists(text) == [
        ["What's up?", "It's fine", "a long line folded here"],
        ['He said "no"', "ok"],
    ]
    assert conversations.sentence_case("who is ada") == "Who is ada?"
    assert conversations.sentence_case("WHAT IS CRICKET") == "What is cricket?"


def test_tool_calls_and_results_are_written_with_name_and_json() -> None:
    assert tool_dialogues.command("FindRestaurants", {"city": "Köln"}) == {
        "role": "command",
        "content": 'FIND_RESTAURANTS {"city": "Köln"}',
    }
    assert tool_dialogues.result("get_weather", {"c": 3}) == {
        "role": "result",
        "content": 'GET_WEATHER: {"c": 3}',
    }


def test_surnames_in_capitals_become_names() -> None:
    text = "Explorer Ernest SHACKLETON met the UN and NATO. SHACKLETON died."
    profile = {"Introduction": {"Background": {"text": text}}}
    expected = "Explorer Ernest Shackleton met the UN and NATO. Shackleton died."
    assert facts.history(profile) == expected
