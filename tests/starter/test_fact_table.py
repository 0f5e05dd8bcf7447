"""The fact table depends on size and seed alone, and its facts do not contradict each other."""

import random

import pytest

from chatwright.errors import InputError
from chatwright.starter.attributes import ATTRIBUTES
from chatwright.starter.fact_table import make_fact_table
from chatwright.starter.invented_names import invent_person_name, invent_town_name
from chatwright.starter.split import is_held_out


def test_same_size_and_seed_give_the_same_table_without_using_the_global_generator():
    before = random.getstate()
    assert make_fact_table(size=0.5, seed=3) == make_fact_table(size=0.5, seed=3)
    assert make_fact_table(size=0.5, seed=3).facts == make_fact_table(size=0.5, seed=3).facts
    assert random.getstate() == before
    assert make_fact_table(size=0.5, seed=3).facts != make_fact_table(size=0.5, seed=4).facts


def test_size_scales_the_numbers_of_people_and_towns():
    small, large = make_fact_table(0.2), make_fact_table(4)
    assert len(small.people) < len(make_fact_table(1).people) < len(large.people)
    assert len(small.towns) < len(large.towns)


@pytest.mark.parametrize("size", [0, -1, 5, float("nan")])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(InputError) as caught:
        make_fact_table(size)
    assert caught.value.field == "size"
    assert caught.value.value is size
    assert caught.value.remedy


def test_facts_have_unique_ids_and_known_attributes_and_changing_facts_have_no_value():
    table = make_fact_table(1)
    assert len({fact.id for fact in table.facts}) == len(table.facts)
    for fact in table.facts:
        assert (fact.value == "") == fact.is_changing
        assert fact.is_changing or fact.attribute in ATTRIBUTES


def test_friends_shopkeepers_and_towns_in_facts_exist_in_the_table():
    table = make_fact_table(1)
    people = {person.name for person in table.people}
    towns = {town.name for town in table.towns}
    assert {*table.values_of("friend"), *table.values_of("keeper")} <= people
    assert {*table.values_of("home"), *table.values_of("shop_town")} <= towns
    assert all(fact.value != fact.subject for fact in table.facts if fact.attribute == "friend")


def test_about_a_quarter_of_the_lasting_facts_is_held_out():
    table = make_fact_table(2)
    n_held_out = len(table.held_out_facts)
    assert 0.18 < n_held_out / (n_held_out + len(table.training_facts)) < 0.32


@pytest.mark.parametrize("for_exam", [False, True])
@pytest.mark.parametrize("invent", [invent_person_name, invent_town_name])
def test_invented_names_are_held_out_only_if_they_are_for_the_exam(invent, for_exam):
    rng = random.Random(0)
    assert all(is_held_out(invent(rng, for_exam)) == for_exam for _ in range(200))
