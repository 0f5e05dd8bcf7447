"""The terminal command /set changes sampling settings by key=value pairs."""

import re

import pytest

from chatwright.cli.terminal.sampling_settings import (
    UNAVAILABLE,
    change_settings,
    settings_text,
)
from chatwright.engine.messages import SamplingConfig

DEFAULT = SamplingConfig()


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("", DEFAULT),
        ("temperature=0.5", SamplingConfig(temperature=0.5)),
        ("temperature = 0.5   top_k=3", SamplingConfig(temperature=0.5, top_k=3)),
        ('stop=["a b", "x=1 y=2"] seed=7', SamplingConfig(stop=("a b", "x=1 y=2"), seed=7)),
        ("stop=['it is', \"it's\"]", SamplingConfig(stop=("it is", "it's"))),
        ("logit_bias.65=2 logit_bias.66=-1.5", SamplingConfig(logit_bias={65: 2.0, 66: -1.5})),
        ("seed=7 max_tokens=3 seed=none max_tokens=None", DEFAULT),
    ],
)
def test_pairs_change_settings(argument: str, expected: SamplingConfig) -> None:
    assert change_settings(DEFAULT, argument, DEFAULT) == expected


def test_settings_without_a_pair_keep_their_values() -> None:
    before = SamplingConfig(temperature=0.5, seed=3, stop=("x",), logit_bias={65: 1.0})
    assert change_settings(before, "top_k=2", DEFAULT) == SamplingConfig(
        temperature=0.5, seed=3, stop=("x",), logit_bias={65: 1.0}, top_k=2
    )


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("tempratur=1", "temperature"),
        ("tempratur=none", "tempratur"),
        ("top_k=3 top_p=7", "top_p"),
        ("temperature=hot", "temperature"),
        ("temperature=inf", "temperature"),
        ("temperature 0.5", "temperature 0.5"),
        ("temperature=", "temperature="),
        ("=4", "=4"),
        ("n=2", "n"),
        ("best_of=2", "best_of"),
        ("top_log_probs=2", "top_log_probs"),
    ],
)
def test_the_error_for_an_invalid_pair_names_its_key(argument: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        change_settings(DEFAULT, argument, DEFAULT)


def test_the_text_lists_only_settings_that_can_be_changed() -> None:
    assert settings_text(SamplingConfig(seed=7)).startswith("temperature=1.0, top_k=0")
    keys = {pair.split("=")[0] for pair in settings_text(DEFAULT).split(", ")}
    assert not keys & set(UNAVAILABLE)
