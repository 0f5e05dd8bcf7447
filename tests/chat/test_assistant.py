"""Replies of scripted and real models: streaming, ends, tools, and several at once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.context_window import ConversationTooLong
from chatwright.chat.reply_events import (
    Finished,
    ReplyEvent,
    TextDelta,
    ToolCalled,
    ToolReturned,
    Truncated,
    Usage,
)
from chatwright.conversation import Message, ToolCall, ToolResult
from chatwright.devices import generator
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tool_call_text import message_from_turn, write_tool_call
from tests.chat.scripted import ByteTokenizer, exchanges
from tests.engine.test_adapters import TARGETS, factors_of, untied_model
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER

MakeAssistant = Callable[..., Assistant]
CONTROL = ByteTokenizer.control
GREEDY = SamplingConfig(temperature=0, max_tokens=20, seed=1)
HELLO = [Message("user", "hello")]


def n_prompt_token(conversation: list[Message]) -> int:
    return len(render_prompt(conversation, ByteTokenizer()))  # type: ignore[arg-type]


def ids(text: str) -> list[int]:
    return list(text.encode())


def texts(events: list[ReplyEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta)]


def last(events: list[ReplyEvent]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def test_a_reply_streams_whole_characters_and_ends_with_the_whole_text(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant((n_prompt_token(HELLO), [*ids("né€"), CONTROL.end]))
    events = list(assistant.reply(HELLO, GREEDY))
    assert texts(events) == ["n", "é", "€"]
    finished = last(events)
    assert (finished.reason, finished.stopped_by, finished.ended_by_itself) == ("stop", "end", True)
    assert finished.message == Message("assistant", "né€")
    assert finished.usage == Usage(n_prompt_token(HELLO), len(ids("né€")) + 1)
    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert [token.token_id for delta in deltas for token in delta.tokens] == ids("né€")


def test_a_length_limit_shows_an_incomplete_character_as_u_fffd(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant((n_prompt_token(HELLO), ids("ab€")))
    finished = last(list(assistant.reply(HELLO, SamplingConfig(temperature=0, max_tokens=4))))
    assert (finished.reason, finished.message.text, finished.ended_by_itself) == (
        "length",
        "ab\N{REPLACEMENT CHARACTER}",
        False,
    )


def test_a_stop_text_ends_the_reply_and_is_not_part_of_it(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant((n_prompt_token(HELLO), ids("one END two")))
    events = list(
        assistant.reply(
            HELLO, SamplingConfig(temperature=0, max_tokens=20, stop=("END", "nothing"))
        )
    )
    assert "".join(texts(events)) == "one "
    finished = last(events)
    assert (finished.reason, finished.stopped_by, finished.usage.completion_tokens) == (
        "stop",
        "END",
        7,
    )
    assert assistant.engine.n_free_slot == 4, "the stop text also ended the request"


@pytest.mark.parametrize("name", ["user", "bos", "assistant", "end_of_question", "command"])
def test_an_unexpected_control_token_ends_the_reply_and_stopped_by_names_it(
    make_assistant: MakeAssistant, name: str
) -> None:
    assistant = make_assistant(
        (n_prompt_token(HELLO), [*ids("hi"), getattr(CONTROL, name), *ids("more")])
    )
    finished = last(list(assistant.reply(HELLO, GREEDY)))
    assert (finished.message, finished.reason, finished.stopped_by) == (
        Message("assistant", "hi"),
        "stop",
        name,
    )
    assert not finished.ended_by_itself


def test_a_tool_call_without_tools_is_returned_to_the_caller(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant(
        (n_prompt_token(HELLO), [CONTROL.command, *ids("FETCH"), CONTROL.end_of_command])
    )
    events = list(assistant.reply(HELLO, GREEDY))
    assert events[0] == ToolCalled(FETCH)
    finished = last(events)
    assert (finished.reason, finished.message, finished.usage.completion_tokens) == (
        "tool_call",
        message_from_turn("tool_call", "FETCH", "call_1"),
        7,
    )
    assert len(events) == 2


FETCH = ToolCall("call_1", "command", {"text": "FETCH"})


class Weather:
    def __init__(self, result: str = "sunny") -> None:
        self.result = result
        self.calls: list[str] = []

    def run(self, call: ToolCall) -> str:
        self.calls.append(write_tool_call(call))
        return self.result


def test_a_tool_is_run_and_the_reply_continues_with_its_result(
    make_assistant: MakeAssistant,
) -> None:
    call = [CONTROL.command, *ids("FETCH"), CONTROL.end_of_command]
    following = [
        *HELLO,
        message_from_turn("tool_call", "FETCH"),
        message_from_turn("tool", "sunny"),
    ]
    weather = Weather()
    assistant = make_assistant(
        (n_prompt_token(HELLO), call),
        (n_prompt_token(following), [*ids("It is."), CONTROL.end]),
        tools=weather,
    )
    events = list(assistant.reply(HELLO, GREEDY))
    assert events[:2] == [ToolCalled(FETCH), ToolReturned(FETCH, ToolResult("call_1", "sunny"))]
    assert "".join(texts(events)) == "It is."
    assert last(events).usage == Usage(n_prompt_token(following), 7 + 7)
    assert weather.calls == ["FETCH"]


def test_a_model_that_keeps_calling_tools_is_stopped(make_assistant: MakeAssistant) -> None:
    conversation, script = list(HELLO), []
    for _ in range(9):
        script.append(
            (n_prompt_token(conversation), [CONTROL.command, *ids("F"), CONTROL.end_of_command])
        )
        conversation += [message_from_turn("tool_call", "F"), message_from_turn("tool", "sunny")]
    weather = Weather()
    events = list(make_assistant(*script, tools=weather).reply(HELLO, GREEDY))
    assert last(events).reason == "tool_call"
    assert len(weather.calls) == 4


def test_a_reply_whose_tool_result_does_not_fit_into_the_context_fails(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant(
        (n_prompt_token(HELLO), [CONTROL.command, *ids("F"), CONTROL.end_of_command]),
        tools=Weather("y" * 400),
    )
    finished = last(list(assistant.reply(HELLO, GREEDY)))
    assert finished.reason == "failed"
    assert "256" in finished.error


def test_left_out_messages_are_reported_before_the_reply(make_assistant: MakeAssistant) -> None:
    conversation = exchanges(20)[:-1]
    events = list(make_assistant(context_length=128).reply(conversation, GREEDY))
    assert isinstance(events[0], Truncated)
    assert events[0].n_cut + events[0].n_kept == len(conversation)
    assert f"oldest {events[0].n_cut} messages" in str(events[0])
    with pytest.raises(ConversationTooLong):
        list(make_assistant(context_length=64).reply([Message("user", "y" * 70)], GREEDY))


def test_a_long_reply_limit_leaves_no_message_out_and_the_reply_fills_the_room(
    make_assistant: MakeAssistant,
) -> None:
    conversation = exchanges(3)[:-1]
    n = n_prompt_token(conversation)
    assistant = make_assistant((n, ids("a" * 200)), context_length=2 * n)
    long_limit = SamplingConfig(temperature=0, max_tokens=2 * n - n_prompt_token(conversation[-1:]))
    for finished in (
        last(list(assistant.reply(conversation, long_limit))),
        *assistant.choices(conversation, replace(long_limit, n=2)),
    ):
        assert finished.usage.prompt_tokens == n
        assert (finished.reason, len(finished.message.text)) == ("length", n)


def test_text_that_looks_like_a_control_token_is_no_tool_call(
    make_assistant: MakeAssistant,
) -> None:
    assistant = make_assistant((n_prompt_token(HELLO), [*ids("<|command|>X<EOC>"), CONTROL.end]))
    events = list(assistant.reply(HELLO, GREEDY))
    assert last(events).message == Message("assistant", "<|command|>X<EOC>")
    assert not any(isinstance(event, ToolCalled) for event in events)


def test_closing_a_reply_frees_its_slot(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant()
    events = assistant.reply(HELLO, GREEDY)
    next(events)
    assert assistant.engine.n_free_slot == 3
    events.close()
    assert assistant.engine.n_free_slot == 4
    assert not vars(assistant)["_live"]
    assert last(list(assistant.reply(HELLO, GREEDY))).message.text == "x" * 20


def test_a_tokenizer_with_more_ids_than_the_model_is_refused() -> None:
    model = GPT(preset("nano", vocab_size=100))
    init_weights(model, generator(0, "weights"))
    with (
        Engine(model) as engine,
        pytest.raises(InputError) as caught,
    ):
        Assistant(engine, ByteTokenizer())  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.value) == ("vocab_size", 266)


def test_replies_sampled_in_one_batch_equal_replies_sampled_alone(untrained: Assistant) -> None:
    conversations = [[Message("user", "hi" * n)] for n in range(1, 9)]
    sampling = SamplingConfig(seed=3, max_tokens=15, stop=("a", "bc"))
    together = untrained.replies(conversations, sampling)
    alone = [last(list(untrained.reply(conversation, sampling))) for conversation in conversations]
    if not untrained.engine.batch_dependence_reason:
        assert together == alone
    assert len({reply.message.text for reply in together}) > 4
    assert untrained.engine.n_free_slot == 3


def test_interleaved_replies_equal_replies_sampled_alone(untrained: Assistant) -> None:
    sampling = SamplingConfig(seed=3, max_tokens=12)
    conversations = [[Message("user", text)] for text in ("one", "two", "three", "four", "five")]
    live = {
        number: untrained.reply(conversation, sampling)
        for number, conversation in enumerate(conversations)
    }
    collected: dict[int, list[ReplyEvent]] = {number: [] for number in live}
    while live:
        for number, events in list(live.items()):
            event = next(events, None)
            if event is None:
                del live[number]
            else:
                collected[number].append(event)
    if not untrained.engine.batch_dependence_reason:
        assert [last(collected[number]) for number in collected] == untrained.replies(
            conversations, sampling
        )


def test_every_reply_reports_the_seed_that_repeats_it(untrained: Assistant) -> None:
    first = last(list(untrained.reply(HELLO, SamplingConfig(max_tokens=10))))
    assert first.seed is not None
    again = last(list(untrained.reply(HELLO, SamplingConfig(max_tokens=10, seed=first.seed))))
    assert again == first


def test_a_completion_continues_the_text_without_a_chat_format(untrained: Assistant) -> None:
    sampling = SamplingConfig(seed=5, max_tokens=12)
    whole = untrained.complete("Once", sampling)
    assert whole.message.text == "".join(untrained.stream_completion("Once", sampling))
    assert whole.usage.prompt_tokens == 5


def test_choices_of_several_conversations_are_those_of_each_alone(untrained: Assistant) -> None:
    conversations = [HELLO, [Message("user", "Tell me more")], HELLO, HELLO]
    sampling = [SamplingConfig(seed=seed, n=n, max_tokens=8) for seed, n in enumerate((2, 1, 3, 2))]
    together = untrained.choices_of(conversations, sampling)
    alone = [
        untrained.choices(conversation, settings)
        for conversation, settings in zip(conversations, sampling, strict=True)
    ]
    assert [[r.message for r in replies] for replies in together] == [
        [r.message for r in replies] for replies in alone
    ]
    assert untrained.engine.n_free_slot == 3


def test_choices_returns_n_replies_and_best_of_keeps_the_most_probable(
    untrained: Assistant,
) -> None:
    [alone] = untrained.choices(HELLO, SamplingConfig(seed=5, max_tokens=10))
    every = untrained.choices(HELLO, SamplingConfig(seed=5, n=5, max_tokens=10))
    assert alone.message == every[0].message
    best = untrained.choices(HELLO, SamplingConfig(seed=5, n=2, best_of=5, max_tokens=10))
    ranked = sorted(every, key=lambda reply: -reply.mean_log_prob)
    assert [reply.message for reply in best] == [reply.message for reply in ranked[:2]]
    assert every[0] == last(list(untrained.reply(HELLO, SamplingConfig(seed=5, max_tokens=10))))
    with pytest.raises(ValueError, match="best_of"):
        list(untrained.reply(HELLO, SamplingConfig(n=2)))
    assert untrained.engine.n_free_slot == 3


def test_assistants_of_adapters_reply_together_and_as_alone() -> None:
    """Each reads the events of all of them from the one engine."""
    messages = [Message("user", "abc")]
    bias = {int(token_id): value for token_id, value in NO_CONTROL_TOKENS.items()}
    sampling = SamplingConfig(seed=3, max_tokens=12, logit_bias=bias)
    with Engine(untied_model(), EngineConfig(n_slot=4)) as engine:
        for name in TARGETS:
            engine.load_adapter(name, factors_of(name))
        plain = Assistant(engine, TOKENIZER, reports_waiting=True)
        assistants = [plain, *(plain.with_adapter(name) for name in TARGETS)]
        alone = [last(list(one.reply(messages, sampling))).message for one in assistants]
        assert len({message.text for message in alone}) == 3
        replies = [one.reply(messages, sampling) for one in assistants]
        ends: dict[int, Finished] = {}
        for _ in range(40):  # far more rounds than steps
            for number, reply in enumerate(replies):
                event = next(reply, None)
                if isinstance(event, Finished):
                    ends[number] = event
        assert [ends[number].message for number in sorted(ends)] == alone
