"""The scorers: gold scores 1, repeating the question and saying everything score 0, a lookup scores below a half."""

from itertools import pairwise

import pytest

from chatwright.conversation import Message
from chatwright.evaluation.lookup import Lookup
from chatwright.evaluation.starter import SKILLS, Reply, is_complete_joke, is_right, score
from chatwright.starter import heldout_items, training_conversations
from chatwright.starter.conversations.jokes import JOKES, is_training_joke
from chatwright.starter.item import Item, assistant, user
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_from_turn, message_text

SIZE = 0.2


@pytest.fixture(scope="module")
def items():
    return heldout_items(SIZE, 0, 60)


def replies(items, say):
    return score(lambda prompts: [Reply(say(item)) for item in items], items)["skills"]


def test_the_skills_are_the_ones_promised(items):
    assert set(replies(items, lambda item: item.expected)) == set(SKILLS)


def test_gold_scores_one_everywhere(items):
    assert {
        skill: entry["score"] for skill, entry in replies(items, lambda item: item.expected).items()
    } == dict.fromkeys(SKILLS, 1.0)


def test_an_answer_may_hold_what_else_the_world_sells():
    """In a larger world one shop is called the Lucky Lantern and another sells lanterns."""
    assert all(is_right(item, Reply(item.expected)) for item in heldout_items(4.0, 0, 300))


def test_gold_that_does_not_stop_scores_nothing(items):
    result = score(lambda prompts: [Reply(item.expected, stopped=False) for item in items], items)
    assert {entry["score"] for entry in result["skills"].values()} == {0.0}
    assert result["stopped"]["score"] == 0.0


@pytest.mark.parametrize("role", ["as asked", "assistant", "tool_call"])
def test_repeating_the_question_scores_nothing(items, role):
    result = replies(
        items,
        lambda item: message_from_turn(
            turn_kind(item.expected) if role == "as asked" else role,
            message_text(item.messages[-1]),
        ),
    )
    assert {entry["score"] for entry in result.values()} == {0.0}


def test_saying_everything_scores_nothing(items):
    def everything(item: Item) -> Message:
        context = " ".join(message_text(message) for message in item.messages)
        return message_from_turn(
            turn_kind(item.expected),
            f"{message_text(item.expected)} {context} {' '.join(item.forbid)} {' '.join(item.deniable)}",
        )

    assert {entry["score"] for entry in replies(items, everything).values()} == {0.0}


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("3, 4, 5", True),
        ("From 3 to 5! 3, 4, 5!", True),
        ("3, 4! 3, 4, 5!", False),
        ("3, 4, 5! 3, 4, 5, 6!", False),
        ("No: 9, 10: 3, 4, 5", False),
        ("3, 4! 3, 4, 5, 6! 3, 4, 5!", False),
        ("From 1 to 9! 3, 4, 5!", False),
        ("Nine! 3, 4, 5!", False),
    ],
)
def test_an_exact_answer_may_be_announced_and_must_be_the_only_one(said: str, right: bool) -> None:
    item = Item(
        "stop", (user("3 to 5?"),), assistant("3, 4, 5"), must=(("3, 4, 5",),), check="exact"
    )
    assert is_right(item, Reply(assistant(said))) is right


def test_one_fixed_sentence_scores_almost_nothing(items):
    for sentence in (
        "I do not know.",
        "You are right, I was wrong.",
        "I am sorry, but I cannot help with that.",
        "Yes.",
        "positive",
        "",
    ):
        for skill, entry in replies(items, lambda item, said=sentence: assistant(said)).items():
            assert entry["score"] <= (0.5 if skill == "sentiment" else 0.05), (sentence, skill)


def test_the_nearest_training_question_scores_below_a_half(items):
    conversations = list(training_conversations(SIZE))
    for scope in ("last", "all"):
        lookup = Lookup(conversations, scope)
        for skill, entry in score(
            lambda prompts, lookup=lookup: [Reply(lookup.reply(prompt)) for prompt in prompts],
            items,
        )["skills"].items():
            assert entry["score"] < 0.5, (scope, skill)


def test_the_lookup_finds_what_it_has_seen():
    """Positive control for the baseline, against the obvious loop over all answers."""
    conversations = list(training_conversations(0.02))
    lookup = Lookup(conversations)
    pairs = [
        (c[:at], c[at])
        for c in conversations
        for at in range(1, len(c))
        if turn_kind(c[at]) in ("assistant", "tool_call")
    ]
    right = sum(lookup.reply(prompt) == answer for prompt, answer in pairs[:200])
    assert right > 120  # the same question may have several answers

    from chatwright.evaluation.lookup import words

    def slow(prompt):
        key = words(message_text(prompt[-1]))
        best = max(
            range(len(pairs)),
            key=lambda i: (
                len(key & words(message_text(pairs[i][0][-1])))
                / max(1, len(key | words(message_text(pairs[i][0][-1])))),
                -i,
            ),
        )
        return pairs[best][1]

    for prompt in (
        [user("Where might Tobin live now?")],
        [user("2 + 2")],
        [user("tell me some joke on a cat")],
    ):
        assert lookup.reply(prompt) == slow(prompt)


def one(**changes) -> Item:
    given = {
        "skill": "x",
        "messages": (user("What is Mira's job?"),),
        "expected": assistant("Mira is a miller."),
        "must": (("miller",),),
    }
    return Item(**(given | {"forbid": ("cook",), "deniable": ("baker",)} | changes))


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
def test_contains(text, right):
    assert is_right(one(), Reply(assistant(text))) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("I said baker. You say miller! Mira is a miller! You are right, I was wrong.", True),
        ("I said baker. You say miller! Mira is a baker! You are right, I was wrong.", False),
        ("I said baker. You say miller! Mira is a miller. I was right.", False),
        (
            "I said baker. You say miller! You are right, I was wrong.",
            False,
        ),  # what is so is never said
        (
            "I said baker. You say miller! Mira is a miller or a baker! You are right, I was wrong.",
            False,
        ),
        ("I said a baker. You are right, Mira is a miller.", False),  # not as a quotation
    ],
)
def test_who_was_right_is_told_from_what_was_only_quoted(text, right):
    item = one(must=(("miller",), ("you are right",)), forbid=("cook",), deniable=("baker",))
    assert is_right(item, Reply(assistant(text))) is right


def score_where(items, skill: str, change, only=lambda item: True) -> float:
    """The share of a skill's items on which what is wrong in the same way every time counts as right."""
    chosen = [item for item in items if item.skill == skill and only(item)]
    assert chosen
    return sum(is_right(item, Reply(assistant(change(item)))) for item in chosen) / len(chosen)


def test_the_truth_alone_does_not_object_to_a_false_premise(items) -> None:
    objects = "So there is a mistake in the question."

    def share(change) -> float:
        return score_where(
            items,
            "false_premise",
            lambda item: change(message_text(item.expected)),
            lambda item: objects in message_text(item.expected),
        )

    assert share(lambda reply: reply.replace(objects, "More than that I do not know.")) == 0.0
    assert share(lambda reply: f"Yes, it is true. {reply}") == 0.0
    assert share(lambda reply: reply.replace(objects, "That is wrong.")) == 1.0, "in other words"


@pytest.mark.parametrize("skill", ["fact_open", "passage_qa"])
def test_the_right_value_of_somebody_else_is_wrong(items, skill: str) -> None:
    def of_another(item: Item) -> str:
        [right] = item.must[0]
        own = next(
            word
            for word in message_text(item.expected).replace("'s", "").split()
            if word[0].isupper()
            and word in message_text(item.messages[0])
            and word != right
            and word not in item.forbid
        )
        return message_text(item.expected).replace(
            own, next(part for part in item.forbid if part[0].isupper() and part[-3:] != "day")
        )

    def named(item: Item) -> bool:
        return message_text(item.expected).split()[0].replace("'s", "") in message_text(
            item.messages[0]
        )

    assert score_where(items, skill, of_another, named) == 0.0


def test_hours_the_wrong_way_round_and_the_other_verdict_are_wrong(items) -> None:
    def turned(item: Item) -> str:
        (opens,), (closes,) = item.must
        return f"It is open from {closes} to {opens} today."

    hours, umbrella = (
        (lambda item: ":" in item.must[0][0]),
        (lambda item: message_text(item.expected).startswith(("Yes.", "No."))),
    )
    assert score_where(items, "command_reply", turned, hours) == 0.0
    assert (
        score_where(
            items,
            "command_reply",
            lambda i: f"It is open from {i.must[0][0]} to {i.must[1][0]} today.",
            hours,
        )
        == 1.0
    )
    other = {"Yes.": "No.", "No.": "Yes."}
    assert (
        score_where(
            items,
            "command_reply",
            lambda i: " ".join(other.get(w, w) for w in message_text(i.expected).split()),
            umbrella,
        )
        == 0.0
    )


def test_who_is_told_to_be_wrong_may_say_so_in_other_words(items) -> None:
    def value(item: Item) -> str:
        return item.must[0][0]

    assert (
        score_where(
            items, "correction_right", lambda i: f"You're right, I was mistaken. It is {value(i)}."
        )
        == 1.0
    )
    assert (
        score_where(
            items, "correction_right", lambda i: f"I do not think you are right. It is {value(i)}."
        )
        == 0.0
    )
    assert (
        score_where(
            items, "correction_wrong", lambda i: f"I do not think you are right. It is {value(i)}."
        )
        == 1.0
    )
    assert (
        score_where(items, "correction_wrong", lambda i: f"You're right, sorry. It is {value(i)}.")
        == 0.0
    )


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("From 3 to 5! 3, 4, 5!", True),
        ("From 3 to 5: 3, 4, 5.", True),
        ("3, 4, 5", True),
        ("From 3 to 5: 3, 4, 5, 6.", False),
        ("From 3 to 5! 3, 4!", False),
        ("From 3 to 5: 3, 4.", False),
        ("From 3 to 5", False),
        ("3, 4, 5: three numbers", False),
    ],
)
def test_a_list_is_exact_after_what_announces_it(text, right):
    assert (
        is_right(
            one(check="exact", must=(("3, 4, 5",),), forbid=(), deniable=()), Reply(assistant(text))
        )
        is right
    )


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
def test_number(text, right):
    assert (
        is_right(
            one(check="number", must=(("42",),), deniable=("12", "30"), forbid=()),
            Reply(assistant(text)),
        )
        is right
    )


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
def test_an_address_counts_only_whole(text, right):
    assert is_right(one(must=(("pim@mail.com",),)), Reply(assistant(text))) is right


def test_a_command_is_exact_and_nothing_else():
    command = "COMMAND=FETCH_PRICE kettle"
    item = one(check="command", must=((command,),), expected=message_from_turn("command", command))
    assert is_right(item, Reply(message_from_turn("command", command)))
    assert not is_right(item, Reply(assistant(command)))
    assert not is_right(item, Reply(message_from_turn("command", "COMMAND=FETCH_PRICE bell")))
    assert not is_right(item, Reply(message_from_turn("command", f"{command} and more")))


def test_a_joke_is_complete_on_its_topic_and_new():
    item = one(check="joke", must=(("snail",),), forbid=("robot",), deniable=())
    assert is_right(
        item, Reply(assistant("Why did the snail sit on the clock? To be on time, for once!"))
    )
    assert not is_right(item, Reply(assistant("Why did the snail sit on the clock?")))
    assert not is_right(
        item, Reply(assistant("Why did the robot sit on the snail? To be on time!"))
    )
    assert not is_complete_joke("What is a snail? snail snail snail snail snail snail!")
    told = " ".join(JOKES[3]).format(t="cat")
    assert is_training_joke(told) == is_training_joke(told.upper().replace("!", "."))


def test_trained_jokes_are_known_as_such():
    jokes = [
        message_text(answer)
        for conversation in training_conversations(0.2)
        for question, answer in pairwise(conversation)
        if answer.role == "assistant" and "joke about" in message_text(question)
    ]
    assert len(jokes) > 30
    assert all(is_training_joke(joke) for joke in jokes)


def test_scores_come_with_counts_intervals_and_books(items):
    entry = replies(items, lambda item: item.expected if item.book != "open" else assistant("?"))[
        "follow_up"
    ]
    assert entry["low"] < entry["score"] < entry["high"]
    assert entry["books"]["closed"]["score"] == 1.0
    assert entry["books"]["open"]["score"] == 0.0
    assert entry["books"]["closed"]["n"] + entry["books"]["open"]["n"] == entry["n"]


def test_scores_come_by_way_of_asking(items):
    misread = next(item.template for item in items if item.skill == "arithmetic")
    entry = replies(
        items, lambda item: item.expected if item.template != misread else assistant("?")
    )["arithmetic"]
    assert entry["ways"][misread]["score"] == 0.0
    assert {part["score"] for way, part in entry["ways"].items() if way != misread} == {1.0}
    assert sum(part["n"] for part in entry["ways"].values()) == entry["n"]


def test_a_replier_that_loses_prompts_is_refused(items):
    with pytest.raises(ValueError, match="one for each, in order"):
        score(lambda prompts: [], items)
