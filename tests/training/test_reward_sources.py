"""Rules against replies whose reward is known; sums are weighted and kept apart by source."""

from collections.abc import Sequence

import pytest
from small_run import character_tokenizer

from chatwright.conversation import Message
from chatwright.data.rows import Location, PromptRow
from chatwright.errors import InputError
from chatwright.tokenizer.tool_call_text import tool_call_message
from chatwright.training.reward_sources import (
    RULES,
    RewardConfig,
    Rewards,
    format_rule,
)
from chatwright.training.rollouts import Rollout

TOKENIZER = character_tokenizer()


def prompt(answer: str | None) -> PromptRow:
    return PromptRow((Message("user", "?"),), Location("a"), answer)


def reply(text: str) -> Message:
    return Message("assistant", text)


def rollout(text: str, ends: bool = True) -> Rollout:
    ids = [*TOKENIZER.encode(text), *([TOKENIZER.control.end] if ends else [])]
    return Rollout([1], ids, [0.0] * len(ids), "stop" if ends else "length")


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("12", "7 plus 5 is 12.", 1.0),
        ("12", "12 is 7 plus 5", 0.0),
        ("12", "It is 112.", 0.0),
        ("12", "It is 12.0", 1.0),
        ("12.5", "It is 12.5.", 1.0),
        ("1200", "It is 1,200!", 1.0),
        ("-3", "It is -3.", 1.0),
        ("3", "It is -3.", 0.0),
        ("12", "I do not know.", 0.0),
        ("12", "", 0.0),
    ],
)
def test_the_last_number_must_be_the_answer(answer: str, text: str, expected: float) -> None:
    assert RULES["right_number"](prompt(answer), reply(text)) == expected


def test_exact_replies_and_tool_calls() -> None:
    call = "COMMAND=FETCH_PRICE bread"
    assert RULES["exact"](prompt("Paris."), reply(" Paris.\n")) == 1.0
    assert RULES["exact"](prompt("Paris."), reply("paris.")) == 0.0
    assert RULES["exact"](prompt(call), tool_call_message(call)) == 0.0
    assert RULES["tool_call"](prompt(call), tool_call_message("COMMAND=FETCH_PRICE  bread")) == 1.0
    assert RULES["tool_call"](prompt(call), tool_call_message("COMMAND=FETCH_PRICE milk")) == 0.0
    assert RULES["tool_call"](prompt(call), reply(call)) == 0.0, "text that looks like a call"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("one_sentence", "The cat.", 1.0),
        ("one_sentence", "The cat. The dog.", 0.0),
        ("json", '{"a": 1}', 1.0),
        ("[ab]+", "abba", 1.0),
        ("[ab]+", "abc", 0.0),
    ],
)
def test_a_format_must_match_the_whole_reply(pattern: str, text: str, expected: float) -> None:
    assert format_rule(pattern)(prompt(None), reply(text)) == expected


class FixedScores:
    name = "model"

    def scores(self, prompts: Sequence[PromptRow], replies: Sequence[Message]) -> list[float]:
        return [10.0 * index for index, _ in enumerate(replies)]


def test_the_reward_is_the_weighted_sum_of_its_sources() -> None:
    """Two replies of 5 and 4 tokens: 1 x right + 0.1 x (-tokens) + 2 x stops + 0.5 x model."""
    rules = {"exact": 1.0, "shorter": 0.1, "stops": 2.0}
    config = RewardConfig(rules=rules, model="DIR", model_weight=0.5)
    rewards = Rewards(config, TOKENIZER, [FixedScores()])
    scores = rewards.scores(
        [prompt("yes."), prompt("yes.")], [rollout("yes."), rollout("yes.", ends=False)]
    )
    assert scores.by_source == {
        "exact": [1.0, 1.0],
        "shorter": [-5.0, -4.0],
        "stops": [1.0, 0.0],
        "model": [0.0, 10.0],
    }
    assert scores.total == pytest.approx([1.0 - 0.5 + 2.0 + 0.0, 1.0 - 0.4 + 0.0 + 5.0])


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "reward.rules"),
        ({"rules": {"longer": 1.0}}, "reward.rules.longer"),
        ({"rules": {"format": 1.0}}, "reward.format"),
        ({"rules": {"stops": 1.0}, "format": "json"}, "reward.format"),
    ],
)
def test_wrong_settings_name_their_field(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        RewardConfig(**settings)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.remedy


def test_a_regular_expression_that_is_none_is_refused() -> None:
    with pytest.raises(InputError):
        format_rule("(")


def test_a_rule_that_compares_needs_answers() -> None:
    rewards = Rewards(RewardConfig(rules={"exact": 1.0}), TOKENIZER)
    rewards.require_answers([prompt("a")])
    with pytest.raises(InputError) as caught:
        rewards.require_answers([prompt("a"), prompt(None)])
    assert caught.value.field == "answer"
    Rewards(RewardConfig(rules={"shorter": 1.0}), TOKENIZER).require_answers([prompt(None)])
