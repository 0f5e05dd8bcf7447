"""The world is a function of size and seed, and its facts hang together."""

import random

import pytest

from chatwright.starter.attributes import ATTRIBUTES
from chatwright.starter.fact_table import make_world
from chatwright.starter.names import invented_person, invented_town, is_held_out


def test_same_size_and_seed_give_the_same_world_and_the_global_generator_stays_untouched():
    before = random.getstate()
    assert make_world(0.5, 3) == make_world(0.5, 3)
    assert make_world(0.5, 3).facts == make_world(0.5, 3).facts
    assert random.getstate() == before
    assert make_world(0.5, 3).facts != make_world(0.5, 4).facts


def test_the_dial_scales_people_and_towns():
    small, large = make_world(0.2), make_world(4)
    assert len(small.people) < len(make_world(1).people) < len(large.people)
    assert len(small.towns) < len(large.towns)


@pytest.mark.parametrize("size", [0, -1, 5, float("nan")])
def test_a_size_out_of_range_is_refused_with_a_remedy(size):
    with pytest.raises(ValueError, match=r"size is .* Choose for example size=1"):
        make_world(size)


def test_facts_have_unique_ids_known_attributes_and_no_value_where_they_change():
    world = make_world(1)
    assert len({fact.id for fact in world.facts}) == len(world.facts)
    for fact in world.facts:
        assert (fact.value == "") == fact.changing
        assert fact.changing or fact.attribute in ATTRIBUTES
    names = {person.name for person in world.people}
    assert {fact.value for fact in world.facts if fact.attribute in ("friend", "keeper")} <= names
    assert all(fact.value != fact.subject for fact in world.facts if fact.attribute == "friend")
    towns = {town.name for town in world.towns}
    assert {fact.value for fact in world.facts if fact.attribute in ("home", "shop_town")} <= towns


def test_about_a_quarter_of_the_stable_facts_is_held_out():
    world = make_world(2)
    share = len(world.unasked) / (len(world.unasked) + len(world.asked))
    assert 0.18 < share < 0.32


def test_an_invented_name_is_on_one_side_for_ever():
    rng = random.Random(0)
    for held_out in (False, True):
        for make in (invented_person, invented_town):
            assert all(is_held_out(make(rng, held_out)) == held_out for _ in range(200))
