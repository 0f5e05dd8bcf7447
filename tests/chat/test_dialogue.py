"""A dialogue keeps complete replies; a failed reply leaves it unchanged."""

from collections.abc import Callable

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.dialogue import Dialogue
from chatwright.chat.reply_events import TextDelta
from chatwright.conversation import Message
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.tokenizer.chat_template import render_prompt
from tests.chat.scripted import ByteTokenizer

MakeAssistant = Callable[..., Assistant]
CONTROL = ByteTokenizer.control
HI = [Message("user", "hi")]
GREEDY = SamplingConfig(temperature=0, max_tokens=12)
N_PROMPT = len(render_prompt(HI, ByteTokenizer()))  # type: ignore[arg-type]


def test_a_dialogue_samples_one_reply_at_a_time(make_assistant: MakeAssistant) -> None:
    with pytest.raises(InputError) as caught:
        Dialogue(make_assistant(), SamplingConfig(n=2, best_of=3))
    assert (caught.value.field, caught.value.value) == ("n", 2)


def test_a_reply_joins_the_conversation_when_it_is_finished(make_assistant: MakeAssistant) -> None:
    dialogue = Dialogue(make_assistant((N_PROMPT, [*b"hey", CONTROL.end])), GREEDY)
    events = dialogue.reply_to(dialogue.with_next("hi"))
    next(events)
    assert dialogue.messages == []
    list(events)
    assert dialogue.messages == [*HI, Message("assistant", "hey")]
    assert dialogue.sampled_tokens is not None
    assert len(dialogue.sampled_tokens) == 4


def test_closing_a_reply_keeps_the_text_so_far(make_assistant: MakeAssistant) -> None:
    dialogue = Dialogue(make_assistant(), GREEDY)
    events = dialogue.reply_to(dialogue.with_next("hi"))
    text = "".join(
        event.text for event in (next(events), next(events)) if isinstance(event, TextDelta)
    )
    events.close()
    assert dialogue.messages == [*HI, Message("assistant", text)]


def test_a_reply_without_text_leaves_the_conversation_unchanged(
    make_assistant: MakeAssistant,
) -> None:
    dialogue = Dialogue(make_assistant((N_PROMPT, [CONTROL.end])), GREEDY)
    list(dialogue.reply_to(dialogue.with_next("hi")))
    assert dialogue.messages == []
    assert dialogue.sampled_tokens is None


def test_answering_the_last_question_again_increases_the_seed_by_one(
    make_assistant: MakeAssistant,
) -> None:
    dialogue = Dialogue(make_assistant(), SamplingConfig(seed=4, max_tokens=3))
    list(dialogue.reply_to(dialogue.with_next("hi")))
    assert dialogue.with_last_question() == HI
    assert dialogue.sampling.seed == 5
