"""Requests and events cross a process border without loss, and need no torch."""

import json
import subprocess
import sys

import pytest

from chatwright.engine.message_codec import (
    event_from_json,
    event_to_json,
    request_from_json,
    request_to_json,
)
from chatwright.engine.messages import (
    Constraint,
    Event,
    PromptScored,
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
    TokenScore,
)

SAMPLING = SamplingConfig(
    temperature=0.1, top_p=1 / 3, logit_bias={5: -2.5, 700: 0.1}, stop=("END",), seed=2**64 - 1, n=2
)
REQUEST = Request((1, 2, 3), SAMPLING, frozenset({9, 4}), (8, 7), scores_prompt=True, user="ann")
CONSTRAINED = Request((1,), constraint=Constraint("regex", "a|é"))
KEY = RequestId("ab")
ALTERNATIVES = ((3, -0.1), (4, -1e-300))
EVENTS: list[Event] = [
    TokenSampled(KEY, 1, 3, -0.1 - 0.2, ALTERNATIVES),
    RequestFinished(KEY, 0, "failed", False, "the step failed", 12),
    PromptScored(KEY, 0, (TokenScore(3, float("-inf")), TokenScore(4, -1 / 3, ALTERNATIVES))),
]


def through_json(data: dict[str, object]) -> dict[str, object]:
    read = json.loads(json.dumps(data))
    assert isinstance(read, dict)
    return read


def test_a_request_is_read_back_with_every_field():
    read = request_from_json(through_json(request_to_json(REQUEST)))
    assert list(read.token_ids) == [1, 2, 3]
    assert set(read.stop_ids) == {4, 9}
    assert set(read.banned_ids) == {7, 8}
    assert read.sampling == SAMPLING
    assert read.constraint is None
    read = request_from_json(through_json(request_to_json(CONSTRAINED)))
    assert read.constraint == CONSTRAINED.constraint
    read = request_from_json(through_json(request_to_json(REQUEST)))
    assert (read.scores_prompt, read.is_sampled, read.user) == (True, True, "ann")


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_read_back_with_the_same_bits(event: Event):
    assert event_from_json(through_json(event_to_json(event))) == event


def test_messages_and_the_assistant_import_no_torch():
    blocked = (
        "import sys; sys.modules['torch'] = None\n"
        "import chatwright.engine.message_codec, chatwright.chat.assistant"
    )
    subprocess.run([sys.executable, "-c", blocked], check=True)
