"""Rules of the exam (the held-out evaluation set): right replies score 1, trivial ones do not."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from chatwright.conversation import Message
from chatwright.evaluation.lookup import Lookup, words
from chatwright.evaluation.starter import Reply, is_complete_joke, is_right, score_exam
from chatwright.starter import ExamItem, exam_items, training_conversations
from chatwright.starter.conversations.jokes import JOKES, fill_joke, is_training_joke
from chatwright.starter.messages import assistant, tool_call, user
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import (
    message_from_turn,
    message_text,
    tool_call_message,
)

SIZE = 0.2
SKILLS = {
    "fact_closed", "fact_open", "follow_up", "correction_right", "correction_wrong",
    "false_premise", "refusal", "command", "command_reply", "changing_fact", "sentiment",
    "summary", "translation", "passage_qa", "arithmetic", "repeat", "joke", "stop",
}  # fmt: skip


@pytest.fixture(scope="module")
def items() -> list[ExamItem]:
    return exam_items(SIZE, 0, 60)


def score_skills(
    items: list[ExamItem], reply_to: Callable[[ExamItem], Message]
) -> dict[str, dict[str, Any]]:
    """The scores by skill of a model that replies to each item with `reply_to(item)`."""
    return score_exam(lambda prompts: [Reply(reply_to(item)) for item in items], items)["skills"]


def score_selected(
    items: list[ExamItem],
    skill: str,
    reply_to: Callable[[ExamItem], str],
    is_selected: Callable[[ExamItem], bool] = lambda item: True,
) -> float:
    """The share of right replies among the items of a skill for which `is_selected` is true."""
    selected = [item for item in items if item.skill == skill and is_selected(item)]
    assert selected
    n_right = sum(is_right(item, Reply(assistant(reply_to(item)))) for item in selected)
    return n_right / len(selected)


def expected_text(item: ExamItem) -> str:
    return message_text(item.expected)


def test_the_exam_scores_eighteen_skills(items):
    assert set(score_skills(items, lambda item: item.expected)) == SKILLS


def test_expected_replies_score_1_in_every_skill(items):
    scores = score_skills(items, lambda item: item.expected)
    assert {skill: entry["score"] for skill, entry in scores.items()} == dict.fromkeys(SKILLS, 1.0)


def test_expected_replies_are_right_in_the_largest_corpus():
    """In a large corpus one shop is called the Lucky Lantern and another one sells lanterns."""
    assert all(is_right(item, Reply(item.expected)) for item in exam_items(4.0, 0, 300))


def test_expected_replies_that_do_not_stop_score_0(items):
    result = score_exam(
        lambda prompts: [Reply(item.expected, stopped=False) for item in items], items
    )
    assert {entry["score"] for entry in result["skills"].values()} == {0.0}
    assert result["stopped"]["score"] == 0.0


def test_repeating_the_question_scores_0(items):
    def repeat(item: ExamItem) -> Message:
        return assistant(message_text(item.messages[-1]))

    assert {entry["score"] for entry in score_skills(items, repeat).values()} == {0.0}


def test_repeating_the_question_as_a_tool_call_scores_0(items):
    def repeat(item: ExamItem) -> Message:
        return tool_call_message(message_text(item.messages[-1]))

    assert {entry["score"] for entry in score_skills(items, repeat).values()} == {0.0}


def test_naming_all_right_and_wrong_answers_scores_0(items):
    def everything(item: ExamItem) -> Message:
        prompt = " ".join(message_text(message) for message in item.messages)
        wrong = " ".join((*item.forbidden, *item.forbidden_unless_denied))
        text = f"{message_text(item.expected)} {prompt} {wrong}"
        return message_from_turn(turn_kind(item.expected), text)

    assert {entry["score"] for entry in score_skills(items, everything).values()} == {0.0}


@pytest.mark.parametrize(
    "sentence",
    [
        "I do not know.",
        "You are right, I was wrong.",
        "I am sorry, but I cannot help with that.",
        "Yes.",
        "positive",
        "",
    ],
)
def test_one_fixed_reply_scores_at_most_5_percent_except_for_sentiment(items, sentence: str):
    for skill, entry in score_skills(items, lambda item: assistant(sentence)).items():
        assert entry["score"] <= (0.5 if skill == "sentiment" else 0.05), skill


@pytest.mark.parametrize("scope", ["last", "all"])
def test_the_lookup_baseline_scores_below_one_half(items, scope):
    lookup = Lookup(list(training_conversations(SIZE)), scope)
    scores = score_skills(items, lambda item: lookup.reply(item.messages))
    assert {skill for skill, entry in scores.items() if entry["score"] >= 0.5} == set()


def training_pairs() -> list[tuple[tuple[Message, ...], Message]]:
    """Every reply in a small corpus, with the messages before it."""
    return [
        (turns[:i], turns[i])
        for turns in training_conversations(0.02)
        for i in range(1, len(turns))
        if turns[i].role == "assistant"
    ]


def test_the_lookup_baseline_gives_most_replies_to_training_prompts():
    lookup = Lookup(list(training_conversations(0.02)))
    pairs = training_pairs()[:200]
    n_same = sum(lookup.reply(prompt) == reply for prompt, reply in pairs)
    assert n_same > 120  # Not all: training prompts with equal questions have different replies.


@pytest.mark.parametrize(
    "question", ["Where might Tobin live now?", "2 + 2", "tell me some joke on a cat"]
)
def test_the_lookup_baseline_equals_a_loop_over_all_replies(question: str):
    def similarity(prompt: tuple[Message, ...]) -> float:
        asked, trained = words(question), words(message_text(prompt[-1]))
        return len(asked & trained) / max(1, len(asked | trained))

    _, nearest = max(training_pairs(), key=lambda pair: similarity(pair[0]))
    lookup = Lookup(list(training_conversations(0.02)))
    assert lookup.reply([user(question)]) == nearest


def make_item(**changes: Any) -> ExamItem:
    fields: dict[str, Any] = {
        "skill": "x",
        "messages": (user("What is Mira's job?"),),
        "expected": assistant("Mira is a miller."),
        "required": (("miller",),),
        "forbidden": ("cook",),
        "forbidden_unless_denied": ("baker",),
    }
    return ExamItem(**(fields | changes))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Mira is a miller.", True),
        ("a MILLER", True),
        ("She is not a baker, she is a miller.", True),
        ("Mira is a baker. No, a miller.", False),
        ("Mira is not a miller.", False),
        ("Mira isn't a miller.", False),
        ("Mira does not work as a miller.", False),
        ("Mira isn't a baker. She is a miller.", True),
        ("Mira works not as a baker but as a miller.", True),
        ("Mira is a miller or a cook.", False),
        ("Mira has millers.", False),
        ("", False),
        ("miller " * 40, False),
    ],
)
def test_a_right_reply_asserts_the_required_phrase_and_nothing_forbidden(text: str, right: bool):
    assert is_right(make_item(), Reply(assistant(text))) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("I said baker. You say miller! Mira is a miller! You are right, I was wrong.", True),
        ("I said baker. You say miller! Mira is a baker! You are right, I was wrong.", False),
        ("I said baker. You say miller! Mira is a miller. I was right.", False),
        # The truth is only quoted.
        ("I said baker. You say miller! You are right, I was wrong.", False),
        ("I said baker. You say miller! Mira is a miller or a baker! You are right.", False),
        # Only "I said baker", the form in training, counts as a quote.
        ("I said a baker. You are right, Mira is a miller.", False),
    ],
)
def test_quoted_claims_are_not_assertions(text: str, right: bool):
    item = make_item(required=(("miller",), ("you are right",)))
    assert is_right(item, Reply(assistant(text))) is right


def test_the_truth_without_an_objection_is_wrong_after_a_false_premise(items):
    objection = "So there is a mistake in the question."

    def score(change: Callable[[str], str]) -> float:
        return score_selected(
            items,
            "false_premise",
            lambda item: change(expected_text(item)),
            is_selected=lambda item: objection in expected_text(item),
        )

    assert score(lambda text: text.replace(objection, "More than that I do not know.")) == 0.0
    assert score(lambda text: f"Yes, it is true. {text}") == 0.0
    assert score(lambda text: text.replace(objection, "That is wrong.")) == 1.0


@pytest.mark.parametrize("skill", ["fact_open", "passage_qa"])
def test_the_right_value_with_another_name_is_wrong(items, skill: str):
    def names(item: ExamItem) -> list[str]:
        """The names in the expected reply that the prompt contains and that are not the answer."""
        [right] = item.required[0]
        return [
            word
            for word in expected_text(item).replace("'s", "").split()
            if word[0].isupper()
            and word in message_text(item.messages[0])
            and word != right
            and word not in item.forbidden
        ]

    def with_other_name(item: ExamItem) -> str:
        other = next(p for p in item.forbidden if p[0].isupper() and not p.endswith("day"))
        return expected_text(item).replace(names(item)[0], other)

    def starts_with_name(item: ExamItem) -> bool:
        return expected_text(item).split()[0].replace("'s", "") in message_text(item.messages[0])

    assert score_selected(items, skill, with_other_name, is_selected=starts_with_name) == 0.0


def test_opening_hours_in_the_wrong_order_are_wrong(items):
    def gives_hours(item: ExamItem) -> bool:
        return ":" in item.required[0][0]

    def reply(item: ExamItem, first: int, second: int) -> str:
        hours = [group[0] for group in item.required]
        return f"It is open from {hours[first]} to {hours[second]} today."

    def score(first: int, second: int) -> float:
        return score_selected(
            items, "command_reply", lambda item: reply(item, first, second), is_selected=gives_hours
        )

    assert score(0, 1) == 1.0
    assert score(1, 0) == 0.0


def test_a_reply_with_no_instead_of_yes_or_the_reverse_is_wrong(items):
    opposite = {"Yes.": "No.", "No.": "Yes."}

    def reversed_verdict(item: ExamItem) -> str:
        verdict, rest = expected_text(item).split(" ", 1)
        return f"{opposite[verdict]} {rest}"

    def has_verdict(item: ExamItem) -> bool:
        return expected_text(item).startswith(tuple(opposite))

    assert score_selected(items, "command_reply", reversed_verdict, is_selected=has_verdict) == 0.0


@pytest.mark.parametrize(
    ("skill", "reply", "expected"),
    [
        ("correction_right", "You're right, I was mistaken. It is {}.", 1.0),
        ("correction_right", "I do not think you are right. It is {}.", 0.0),
        ("correction_wrong", "I do not think you are right. It is {}.", 1.0),
        ("correction_wrong", "You're right, sorry. It is {}.", 0.0),
    ],
)
def test_a_mistake_can_be_admitted_or_denied_in_words_that_training_lacks(
    items, skill: str, reply: str, expected: float
):
    assert score_selected(items, skill, lambda item: reply.format(item.required[0][0])) == expected


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("3, 4, 5", True),
        ("From 3 to 5! 3, 4, 5!", True),
        ("From 3 to 5: 3, 4, 5.", True),
        ("From 3 to 5: 3, 4, 5, 6.", False),
        ("From 3 to 5! 3, 4!", False),
        ("From 3 to 5: 3, 4.", False),
        ("From 3 to 5", False),
        ("3, 4, 5: three numbers", False),
        ("3, 4! 3, 4, 5!", False),
        ("3, 4, 5! 3, 4, 5, 6!", False),
        ("No: 9, 10: 3, 4, 5", False),
        ("3, 4! 3, 4, 5, 6! 3, 4, 5!", False),
        ("From 1 to 9! 3, 4, 5!", False),
        ("Nine! 3, 4, 5!", False),
    ],
)
def test_a_right_list_may_follow_an_announcement_and_must_be_the_only_answer(
    text: str, right: bool
):
    item = make_item(
        check="exact", required=(("3, 4, 5",),), forbidden=(), forbidden_unless_denied=()
    )
    assert is_right(item, Reply(assistant(text))) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("12 plus 30 is 42.", True),
        ("42", True),
        ("142", False),
        ("42 and 43", False),
        ("It is 42, not 41.", False),
        ("42 minus 12 is 30.", False),
        ("12 minus 30 is -42.", False),
    ],
)
def test_a_right_number_comes_last_and_only_the_operands_may_come_before(text: str, right: bool):
    item = make_item(
        check="number",
        required=(("42",),),
        forbidden=(),
        forbidden_unless_denied=("12", "30"),
    )
    assert is_right(item, Reply(assistant(text))) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("It is pim@mail.com", True),
        ("It is pim@mail.com.", True),
        ("It is apim@mail.com", False),
        ("It is pim@mail.comb", False),
        ("pim@mail.com.fr", False),
        ("It is tom.pim@mail.com", False),
    ],
)
def test_an_address_inside_a_longer_address_does_not_count(text: str, right: bool):
    item = make_item(required=(("pim@mail.com",),))
    assert is_right(item, Reply(assistant(text))) is right


def test_a_tool_call_must_be_exact_and_the_only_content():
    call = tool_call("FETCH_PRICE", "kettle")
    item = make_item(check="command", required=((message_text(call),),), expected=call)
    assert is_right(item, Reply(call))
    assert not is_right(item, Reply(assistant(message_text(call))))
    assert not is_right(item, Reply(tool_call("FETCH_PRICE", "bell")))
    assert not is_right(item, Reply(tool_call("FETCH_PRICE", "kettle and more")))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Why did the snail sit on the clock? To be on time, for once!", True),
        ("Why did the snail sit on the clock?", False),
        ("Why did the robot sit on the snail? To be on time!", False),
    ],
)
def test_a_joke_must_be_complete_and_about_its_topic(text: str, right: bool):
    item = make_item(
        check="joke", required=(("snail",),), forbidden=("robot",), forbidden_unless_denied=()
    )
    assert is_right(item, Reply(assistant(text))) is right


def test_a_joke_that_repeats_one_word_is_not_complete():
    assert not is_complete_joke("What is a snail? snail snail snail snail snail snail!")


def test_a_training_joke_is_recognized_with_other_case_and_punctuation():
    joke = fill_joke(JOKES[3], "cat")
    assert is_training_joke(joke)
    assert is_training_joke(joke.upper().replace("!", "."))


def test_the_jokes_in_training_conversations_are_recognized():
    jokes = [
        message_text(reply)
        for turns in training_conversations(0.2)
        for request, reply in pairwise(turns)
        if reply.role == "assistant" and "joke about" in message_text(request)
    ]
    assert len(jokes) > 30
    assert all(is_training_joke(joke) for joke in jokes)


def test_a_skill_has_a_count_an_interval_and_open_and_closed_book_scores(items):
    def only_closed_book(item: ExamItem) -> Message:
        return assistant("?") if item.setting == "open" else item.expected

    entry = score_skills(items, only_closed_book)["follow_up"]
    assert entry["low"] < entry["score"] < entry["high"]
    assert entry["books"]["closed"]["score"] == 1.0
    assert entry["books"]["open"]["score"] == 0.0
    assert entry["books"]["closed"]["n"] + entry["books"]["open"]["n"] == entry["n"]


def test_each_template_of_a_skill_has_its_own_score(items):
    misread = next(item.template for item in items if item.skill == "arithmetic")

    def all_but_one_template(item: ExamItem) -> Message:
        return assistant("?") if item.template == misread else item.expected

    entry = score_skills(items, all_but_one_template)["arithmetic"]
    assert entry["templates"].pop(misread)["score"] == 0.0
    assert {part["score"] for part in entry["templates"].values()} == {1.0}


def test_the_counts_of_all_templates_add_up_to_the_count_of_the_skill(items):
    entry = score_skills(items, lambda item: item.expected)["arithmetic"]
    assert sum(part["n"] for part in entry["templates"].values()) == entry["n"]


def test_fewer_replies_than_prompts_raise_an_assertion_error(items):
    with pytest.raises(AssertionError):
        score_exam(lambda prompts: [], items)
