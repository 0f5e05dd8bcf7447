"""The API, the terminal and the engine accept the same values of sampling settings."""

import pytest
from pydantic import ValidationError

from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.server.completions_api.chat_request import ChatRequest

SETTINGS = (
    "temperature",
    "top_p",
    "min_p",
    "typical_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)
VALUES = (-100, -2.1, -2, -0.1, 0, 0.1, 1, 1.1, 2, 2.1, 9, 10, 10.1, 100, 101)


def api_accepts(name: str, value: float) -> bool:
    message = {"role": "user", "content": "a"}
    try:
        ChatRequest.model_validate({"model": "m", "messages": [message], name: value})
    except ValidationError:
        return False
    return True


def engine_accepts(name: str, value: float) -> bool:
    try:
        SamplingConfig(**{name: value})  # type: ignore[arg-type]
    except InputError:
        return False
    return True


@pytest.mark.parametrize("name", SETTINGS)
def test_both_accept_the_same_values(name: str) -> None:
    accepted = [value for value in VALUES if engine_accepts(name, value)]
    assert accepted == [value for value in VALUES if api_accepts(name, value)]
    assert 0 < len(accepted) < len(VALUES)
