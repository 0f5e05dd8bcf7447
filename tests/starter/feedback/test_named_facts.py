"""Facts, names and wordings of texts of the starter corpus."""

import pytest

from chatwright.starter.feedback.named_facts import facts_in, mask, names_in


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("Mira lives in Marn.", ["mira", "marn"]),
        ("12 plus 30 is 42.", ["12", "30", "42"]),
        ("From Monday to Tuesday!", ["monday", "tuesday"]),
        ("Vornia found a ring in Laigton.", ["vornia", "found", "ring", "laigton"]),
        ("The number is 637-2251", ["637-2251"]),
        ("Write to zol.ka@mail.fr", ["zol.ka@mail.fr"]),
        ("That is negative.", ["negative"]),
        ("How can I help you?", []),
    ],
)
def test_facts_are_names_numbers_and_list_words_in_order(text: str, facts: list[str]) -> None:
    assert facts_in(text) == facts


def test_names_are_of_people_towns_pets_and_shops() -> None:
    text = "Does Mira of Marn like the Lucky Fox, and call 637-2251 or the lantern?"
    assert names_in(text) == ["Mira", "Marn", "Lucky Fox", "637-2251"]


def test_questions_that_differ_in_facts_alone_have_one_wording() -> None:
    assert mask("Where does Mira live?") == mask("where  does Vornia live?")
    assert mask("Where does Mira live?") != mask("Where is Mira living?")
