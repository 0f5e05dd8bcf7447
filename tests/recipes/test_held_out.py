"""Rows that share words with an evaluation set are found."""

from chat_real_sets import held_out

SENTENCE = (
    "The lobster lives in the eastern Atlantic Ocean and it may weigh 0.7 kg or more in cold water"
)
AS_IN_WIKITEXT = (
    "the lobster lives in the eastern Atlantic Ocean , and it may weigh 0 @.@ 7 kg or more in cold "
    "water"
)


def test_a_shared_span_is_found_through_the_tokenization_of_wikitext() -> None:
    held = held_out.HeldOut({"wikitext-2": [AS_IN_WIKITEXT]})
    assert held.source(f"Before. {SENTENCE}. After.") == "wikitext-2"
    assert held.source(SENTENCE.upper()) == "wikitext-2"


def test_thirteen_words_are_a_span_and_twelve_are_not() -> None:
    held = held_out.HeldOut({"wikitext-2": [AS_IN_WIKITEXT]})
    words = held_out.words(SENTENCE)
    assert held.source("elsewhere " + " ".join(words[3:16]) + " again") == "wikitext-2"
    assert held.source("elsewhere " + " ".join(words[3:15]) + " again") is None


def test_the_fast_search_finds_what_a_slow_search_finds() -> None:
    texts = [
        "".join(f"{'ab'[(seed >> i) & 1]} " for i in range(16)) for seed in range(0, 65536, 331)
    ]
    held = held_out.HeldOut({"x": texts[:20]})
    spans = {tuple(text.split()[i : i + 13]) for text in texts[:20] for i in range(4)}
    for text in texts:
        expected = any(tuple(text.split()[i : i + 13]) in spans for i in range(4))
        assert (held.source(text) == "x") is expected


def test_a_short_question_is_held_out_as_a_whole() -> None:
    questions = ["when was the last time anyone was on the moon", "who won"]
    held = held_out.HeldOut({"nq-open": questions, "wikitext-2": ["one two three four five"]})
    assert held.question("When was the last time anyone was on the moon?") == "nq-open"
    assert held.question("When was the last time anyone was on Mars?") is None
    assert held.question("Who won?") is None, "four words and fewer are asked everywhere"
    assert held.question("One two three four five.") is None
