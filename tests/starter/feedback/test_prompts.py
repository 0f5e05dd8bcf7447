"""The three parts of the prompts share no entity and no template."""

import json
import re
from pathlib import Path

import pytest

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.starter import make_fact_table
from chatwright.starter.feedback.named_facts import names_in
from chatwright.starter.feedback.prompt_kinds import PROMPT_KINDS
from chatwright.starter.feedback.prompt_split import entities_of, template_of
from chatwright.starter.feedback.prompts import (
    draw_judge_items,
    draw_prompts,
    write_prompt_sets,
)

TABLE = make_fact_table()
NAME_INSIDE_A_SENTENCE = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}")
# Capitalized words that are not names of people, towns or shops.
COMMON = re.compile(
    r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|Pip|.*(uary|ember|ober)|March|April"
    r"|May|June|July|August|Hello|Yes|Noted|Listen|Which|What|Who|Where|How|When"
)


@pytest.fixture(scope="module")
def parts() -> dict[str, list[tuple[Message, ...]]]:
    return {
        "training": [p.messages for p in draw_prompts(TABLE, "training", 500, seed=0)],
        "validation": [p.messages for p in draw_prompts(TABLE, "validation", 80, seed=0)],
        "judge": [item.messages for item in draw_judge_items(TABLE, 200, seed=0)],
    }


def other_pairs() -> list[tuple[str, str]]:
    return [("training", "validation"), ("training", "judge"), ("validation", "judge")]


@pytest.mark.parametrize(("first", "second"), other_pairs())
def test_two_parts_share_no_entity_and_no_template(
    parts: dict[str, list[tuple[Message, ...]]], first: str, second: str
) -> None:
    for key in (entities_of, lambda messages: {template_of(messages)}):
        found = [set().union(*map(key, parts[part])) for part in (first, second)]
        assert len(found[1]) > 30
        assert not found[0] & found[1]


@pytest.mark.parametrize(("first", "second"), other_pairs())
def test_two_parts_share_no_capitalized_word_inside_a_sentence(
    parts: dict[str, list[tuple[Message, ...]]], first: str, second: str
) -> None:
    """The same law for names, without the program's own search for names."""

    def words(part: str) -> set[str]:
        texts = (m.text for messages in parts[part] for m in messages if m.role == "user")
        found = {word for text in texts for word in NAME_INSIDE_A_SENTENCE.findall(text)}
        return {word for word in found if names_in(word) and not COMMON.fullmatch(word)}

    assert len(words(second)) > 30
    assert not words(first) & words(second)


def test_other_seeds_stay_in_their_part(parts: dict[str, list[tuple[Message, ...]]]) -> None:
    entities = set().union(*map(entities_of, parts["judge"]))
    for seed in (1, 2):
        prompts = draw_prompts(TABLE, "training", 100, seed)
        assert not entities & set().union(*(entities_of(p.messages) for p in prompts))


def test_every_kind_is_in_every_part() -> None:
    names = {kind.name for kind in PROMPT_KINDS}
    assert {p.kind for p in draw_prompts(TABLE, "validation", 80, seed=0)} == names
    assert {item.skill for item in draw_judge_items(TABLE, 150, seed=0)} == names


def test_answers_of_arithmetic_are_the_results() -> None:
    prompts = draw_prompts(TABLE, "training", 200, seed=3)
    checked = 0
    for prompt in prompts:
        if prompt.kind == "arithmetic":
            a, sign, b = re.match(r"(\d+) (plus|minus) (\d+) is", prompt.reference.text).groups()
            assert prompt.answer == str(int(a) + int(b) if sign == "plus" else int(a) - int(b))
            checked += 1
    assert checked > 15


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        counts = write_prompt_sets(tmp_path / name, TABLE, 1, 30, 10, 20)
        assert counts == {"training.jsonl": 30, "validation.jsonl": 10, "judge.jsonl": 20}
    for file in counts:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    row = json.loads((tmp_path / "a" / "judge.jsonl").read_text().splitlines()[0])
    assert {"prompt", "kind", "item"} <= row.keys()


def test_more_prompts_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from chatwright.starter.feedback import prompts

    monkeypatch.setattr(prompts, "_MAX_FAILURES", 1)
    with pytest.raises(InputError) as caught:
        draw_prompts(TABLE, "validation", 500, seed=0)
    assert caught.value.field == "count"
