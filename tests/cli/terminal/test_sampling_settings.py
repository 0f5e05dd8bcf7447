"""Pairs into settings, and messages that say what to do."""

import re

import pytest

from chatwright.cli.terminal.sampling_settings import changed, require_one_reply, shown
from chatwright.engine.sampling import SamplingConfig

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
def test_pairs_become_settings(argument: str, expected: SamplingConfig) -> None:
    assert changed(DEFAULT, argument, DEFAULT) == expected


def test_what_is_not_named_stays() -> None:
    before = SamplingConfig(temperature=0.5, seed=3, stop=("x",), logit_bias={65: 1.0})
    assert changed(before, "top_k=2", DEFAULT) == SamplingConfig(
        temperature=0.5, seed=3, stop=("x",), logit_bias={65: 1.0}, top_k=2
    )


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("tempratur=1", "/set: unknown key 'tempratur'. Did you mean 'temperature'?"),
        ("tempratur=none", "/set: unknown key 'tempratur'."),
        (
            "top_k=3 top_p=7",
            "/set: top_p = 7.0: it must be above 0.0 and at most 1.0. Correct the value",
        ),
        ("temperature=hot", "/set: temperature = 'hot': Input should be a valid number"),
        ("temperature=inf", "temperature = inf: it must be"),
        (
            "temperature 0.5",
            "/set temperature 0.5: expected key=value, for example /set temperature=0.5",
        ),
        ("temperature=", "/set temperature=: expected key=value"),
        ("=4", "/set =4: expected key=value"),
        ("n=2", "/set n: there is one reply at a time here; /retry gives another."),
        ("best_of=2", "/set best_of: there is one reply"),
        ("top_log_probs=2", "/set top_log_probs: /why shows the alternatives without it."),
    ],
)
def test_what_cannot_be_set_is_named(argument: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        changed(DEFAULT, argument, DEFAULT)


def test_a_chat_has_one_reply_at_a_time() -> None:
    require_one_reply(SamplingConfig())
    with pytest.raises(ValueError, match="n = 2, best_of = 3: a chat has one reply at a time"):
        require_one_reply(SamplingConfig(n=2, best_of=3))


def test_only_what_can_be_set_is_shown() -> None:
    assert shown(SamplingConfig(seed=7)).startswith("temperature=1.0, top_k=0")
    assert not {"n", "best_of", "top_log_probs"} & {
        pair.split("=")[0] for pair in shown(DEFAULT).split(", ")
    }
