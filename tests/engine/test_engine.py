"""Requests to the engine: order, ends, cancelling, the queue, several replies and failures.

test_batch_invariance.py compares the logits.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from chatwright.engine.engine import Engine, EngineConfig, are_finite
from chatwright.engine.forward import Forward
from chatwright.engine.messages import (
    EngineFull,
    Event,
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
)
from chatwright.engine.packed_model import shared_copy
from chatwright.engine.sampling import sample_token
from chatwright.engine.scheduled_reply import State
from chatwright.engine.sequence import Sequence as EngineSequence
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from tests.engine.slow_generation import generate, observed_logits

MakeModel = Callable[..., GPT]


def run(engine: Engine) -> list[Event]:
    events: list[Event] = []
    while engine.has_work:
        events.extend(engine.step())
    return events


def tokens(events: list[Event], request_id: RequestId, index: int = 0) -> list[int]:
    return [
        e.token_id
        for e in events
        if isinstance(e, TokenSampled) and (e.request_id, e.index) == (request_id, index)
    ]


def ends(events: list[Event], request_id: RequestId) -> list[RequestFinished]:
    return [e for e in events if isinstance(e, RequestFinished) and e.request_id == request_id]


def test_a_reply_ends_at_its_limit_or_with_a_stop_token(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        config = SamplingConfig(seed=1, max_tokens=10)
        by_length = engine.submit(Request([1, 2, 3], config))
        events = run(engine)
        reply = tokens(events, by_length)
        assert len(reply) == 10
        assert ends(events, by_length) == [RequestFinished(by_length, 0, "length")]
        stop_id = reply[4]
        first = reply.index(stop_id)
        by_stop = engine.submit(Request([1, 2, 3], config, stop_ids=(stop_id,)))
        events = run(engine)
        assert tokens(events, by_stop) == reply[: first + 1]
        assert ends(events, by_stop) == [RequestFinished(by_stop, 0, "stop")]


def test_without_max_tokens_a_reply_fills_the_context(make_model: MakeModel) -> None:
    with Engine(make_model(context_length=20)) as engine:
        request_id = engine.submit(Request([1] * 15, SamplingConfig(seed=1)))
        assert len(tokens(run(engine), request_id)) == 5


def test_equal_seeds_give_equal_replies_and_different_seeds_different_ones(
    make_model: MakeModel,
) -> None:
    with Engine(make_model()) as engine:
        ids = [
            engine.submit(Request([1, 2], SamplingConfig(seed=seed, max_tokens=20)))
            for seed in (5, 5, 6)
        ]
        unseeded = [engine.submit(Request([1, 2], SamplingConfig(max_tokens=20))) for _ in range(2)]
        events = run(engine)
        first, again, other = (tokens(events, request_id) for request_id in ids)
        assert first == again != other
        assert tokens(events, unseeded[0]) != tokens(events, unseeded[1])


def test_a_later_request_can_finish_before_an_earlier_one(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        longer = engine.submit(Request([1, 2], SamplingConfig(seed=1, max_tokens=30)))
        first = [event for _ in range(5) for event in engine.step()]
        shorter = engine.submit(Request([3], SamplingConfig(seed=1, max_tokens=2)))
        events = [*first, *run(engine)]
        order = [event.request_id for event in events if isinstance(event, RequestFinished)]
        assert order == [shorter, longer]


def test_a_long_prompt_does_not_stop_other_replies(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig(prefill_tokens=4)) as engine:
        generating = engine.submit(Request([1], SamplingConfig(seed=1, max_tokens=40)))
        engine.step()
        prefilling = engine.submit(Request([2] * 40, SamplingConfig(seed=1, max_tokens=1)))
        for _ in range(9):
            events = engine.step()
            assert len(tokens(events, generating)) == 1
            assert not tokens(events, prefilling)
        assert len(tokens(engine.step(), prefilling)) == 1


def test_cancelling_a_request_in_any_state_frees_its_slot(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig(n_slot=1, prefill_tokens=4)) as engine:
        config = SamplingConfig(seed=1, max_tokens=10)
        for n_step in (0, 1, 4):  # while it waits, is prefilled, and is generated
            request_id = engine.submit(Request([1] * 10, config))
            before = [event for _ in range(n_step) for event in engine.step()]
            engine.cancel(request_id)
            engine.cancel(request_id)
            after = run(engine)
            assert ends([*before, *after], request_id) == [
                RequestFinished(request_id, 0, "canceled")
            ]
            assert not tokens(after, request_id)
            assert engine.n_free_slot == 1
        engine.cancel(RequestId("unknown"))


def test_a_canceled_request_does_not_change_the_replies_to_others(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig(n_slot=2)) as engine:
        config = SamplingConfig(seed=1, max_tokens=10)
        canceled = engine.submit(
            Request([9] * 20, SamplingConfig(seed=2, logit_bias={5: 100.0}, max_tokens=20))
        )
        beside = engine.submit(Request([1, 2], config))
        events = [event for _ in range(4) for event in engine.step()]
        engine.cancel(canceled)
        after = engine.submit(Request([1, 2], config))  # in the slot of the canceled one
        events += run(engine)
        expected = generate(engine.forward, [1, 2], config).token_ids
        assert tokens(events, beside) == tokens(events, after) == expected


def test_several_replies_differ_and_the_first_equals_the_reply_with_n_one(
    make_model: MakeModel,
) -> None:
    with Engine(make_model(), EngineConfig(n_slot=2)) as engine:
        several = engine.submit(Request([1, 2], SamplingConfig(seed=7, n=3, max_tokens=8)))
        single = engine.submit(Request([1, 2], SamplingConfig(seed=7, max_tokens=8)))
        events = run(engine)
        replies = [tokens(events, several, index) for index in range(3)]
        assert len({tuple(reply) for reply in replies}) == 3
        assert replies[0] == tokens(events, single)
        assert [end.is_last for end in ends(events, several)] == [False, False, True]
        assert {end.index for end in ends(events, several)} == {0, 1, 2}


def test_best_of_returns_the_most_probable_replies(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        all_replies = engine.submit(Request([1, 2], SamplingConfig(seed=7, n=5, max_tokens=8)))
        best = engine.submit(Request([1, 2], SamplingConfig(seed=7, n=2, best_of=5, max_tokens=8)))
        events = run(engine)
        means = {
            index: sum(
                e.log_prob
                for e in events
                if isinstance(e, TokenSampled) and (e.request_id, e.index) == (all_replies, index)
            )
            / 8
            for index in range(5)
        }
        ranked = sorted(means, key=lambda index: -means[index])
        assert [tokens(events, best, rank) for rank in range(2)] == [
            tokens(events, all_replies, index) for index in ranked[:2]
        ]
        assert len(ends(events, best)) == 2


def test_log_probs_do_not_depend_on_temperature_and_bias(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        observed: list[torch.Tensor] = []
        config = SamplingConfig(
            seed=7, temperature=0.3, logit_bias={4: 5.0}, top_log_probs=3, max_tokens=5
        )
        engine.submit(Request([1, 2], config))
        with observed_logits(engine, lambda _, logits: observed.append(logits)):
            events = run(engine)
        for event, logits in zip(events, observed, strict=False):
            assert isinstance(event, TokenSampled)
            expected = logits.double().log_softmax(-1)
            assert event.log_prob == pytest.approx(float(expected[event.token_id]))
            best = expected.topk(3)
            assert event.alternatives == tuple(
                zip(best.indices.tolist(), best.values.tolist(), strict=True)
            )


def test_rows_with_a_number_that_is_not_finite_are_found() -> None:
    nan, inf, largest = float("nan"), float("inf"), 3e38
    rows = [[0.0, 1.0], [nan, 1.0], [inf, -inf], [largest, largest], [-inf, 0.0]]
    # The sum of the largest numbers overflows, yet each of them is finite.
    assert are_finite(torch.tensor(rows)) == [True, False, False, True, False]
    assert are_finite(torch.tensor(rows[:1])) == [True]


def test_logits_that_are_not_finite_fail_only_their_own_request(make_model: MakeModel) -> None:
    model = make_model()
    with torch.no_grad():
        model.embedding.weight[60] = float("nan")
        # The head shares this matrix. Give the head a copy without the NaN.
        model.head.weight = torch.nn.Parameter(torch.nan_to_num(model.head.weight.detach().clone()))
    with Engine(model, EngineConfig(n_slot=2)) as engine:
        config = SamplingConfig(seed=1, max_tokens=6, logit_bias={60: -100.0})
        bad = engine.submit(Request([1, 60, 2], config))
        good = engine.submit(Request([1, 2], config))
        events = engine.step()
        [end] = ends(events, bad)
        assert end.reason == "failed"
        assert "not finite" in end.error
        after = engine.submit(Request([1, 2], config))  # in the slot that held the NaNs
        events += run(engine)
        expected = generate(engine.forward, [1, 2], config).token_ids
        assert tokens(events, good) == tokens(events, after) == expected


def test_a_failing_step_ends_its_replies_and_the_engine_continues(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(make_model()) as engine:
        config = SamplingConfig(seed=1, max_tokens=3)
        failing = engine.submit(Request([1, 2], config))

        def fail(*_: object) -> torch.Tensor:
            raise RuntimeError("not enough memory\nand a long trace")

        with monkeypatch.context() as patch:
            patch.setattr(Forward, "hidden_states", fail)
            events = run(engine)
        assert ends(events, failing) == [
            RequestFinished(
                failing, 0, "failed", True, "the step failed: RuntimeError: not enough memory"
            )
        ]
        next_request = engine.submit(Request([1, 2], config))
        assert len(tokens(run(engine), next_request)) == 3


def test_a_full_queue_refuses_a_request_and_keeps_no_part_of_it(make_model: MakeModel) -> None:
    with Engine(
        make_model(), EngineConfig(n_slot=1, max_waiting=2, max_waiting_tokens=20)
    ) as engine:
        config = SamplingConfig(seed=1, max_tokens=2)
        for _ in range(2):
            engine.submit(Request([1] * 5, config))
        with pytest.raises(EngineFull):  # max_waiting
            engine.submit(Request([1], config))
        assert len(run(engine)) == 2 * (2 + 1)
        engine.submit(Request([1] * 15, config))
        with pytest.raises(EngineFull):  # max_waiting_tokens
            engine.submit(Request([1] * 6, config))


@pytest.mark.parametrize(
    ("request_", "field", "value"),
    [
        (Request([]), "token_ids", []),
        (Request([1, 61]), "token_ids", 61),
        (Request([-1]), "token_ids", -1),
        (Request([1], SamplingConfig(logit_bias={99: 1.0})), "logit_bias", 99),
        (Request([1], banned_ids={61}), "banned_ids", 61),
        (Request([1] * 60, SamplingConfig(max_tokens=5)), "max_tokens", 5),
        (Request([1] * 64), "token_ids", 64),
        (Request([1], SamplingConfig(n=300)), "n", 300),
    ],
)
def test_impossible_requests_are_refused(
    make_model: MakeModel, request_: Request, field: str, value: object
) -> None:
    with Engine(make_model()) as engine:
        with pytest.raises(InputError) as caught:
            engine.submit(request_)
        assert (caught.value.field, caught.value.value) == (field, value)
        assert not engine.has_work


def test_a_cache_that_does_not_fit_in_memory_is_refused(make_model: MakeModel) -> None:
    model = make_model()
    with pytest.raises(InputError) as caught:
        Engine(model, EngineConfig(n_slot=10**9))
    # Errors about memory name the options of the command line: --max-replies sets n_slot.
    assert (caught.value.field, caught.value.value) == ("max_replies", 10**9)
    # Packed weights have no gradient, so this works only if the engine has undone the packing.
    model(torch.zeros(1, 1, dtype=torch.int64)).sum().backward()


def test_opening_an_engine_does_not_check_batch_invariance(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check takes up to a second for a large model, so it happens once, at the first use."""
    checked: list[Forward] = []

    def check(forward: Forward) -> str:
        checked.append(forward)
        return "a difference"

    monkeypatch.setattr("chatwright.engine.engine.batch_dependence_reason", check)
    with Engine(make_model()) as engine:
        run_one(engine)
        assert checked == []
        assert engine.batch_dependence_reason == engine.batch_dependence_reason == "a difference"
        assert checked == [engine.forward]


def test_a_context_that_does_not_fit_in_memory_is_shortened(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.engine.engine.available_memory", lambda: 50_000_000)
    model = make_model(context_length=131_072)
    with Engine(model) as engine:
        assert 512 <= engine.context_length < 131_072
        assert engine.cache.capacity == engine.context_length
        assert len(run_one(engine)) == 3
    with pytest.raises(InputError) as caught:
        Engine(model, EngineConfig(context_length=131_072))
    # --max-context sets context_length.
    assert (caught.value.field, caught.value.value) == ("max_context", 131_072)


def test_a_shorter_context_refuses_longer_texts_and_does_not_change_replies(
    make_model: MakeModel,
) -> None:
    model = make_model(context_length=1100)
    prompt, sampling = [1, 2, 3], SamplingConfig(seed=1, max_tokens=20)
    replies = []
    for context_length in (None, 23, 600):
        with Engine(model, EngineConfig(n_slot=1, context_length=context_length)) as engine:
            request_id = engine.submit(Request(prompt, sampling))
            replies.append(tokens(run(engine), request_id))
            if context_length == 23:
                with pytest.raises(InputError) as caught:
                    engine.submit(Request([*prompt, 4], sampling))
                assert caught.value.field == "max_tokens"
    assert replies[0] == replies[1] == replies[2]
    assert len(replies[0]) == 20


def test_closing_makes_the_model_trainable_again(make_model: MakeModel) -> None:
    model = make_model(dropout=0.1).train()
    with Engine(model) as engine:
        assert not model.training
        inner = Engine(model)
        inner.close()
        assert len(run_one(engine)) == 3, "closing one engine must not unpack the other's weights"
    assert model.training


def run_one(engine: Engine) -> list[int]:
    request_id = engine.submit(Request([1], SamplingConfig(seed=1, max_tokens=3)))
    return tokens(run(engine), request_id)


def test_a_sequence_cannot_leave_a_final_state() -> None:
    sequence = EngineSequence(RequestId("x"), 0, (1,), SamplingConfig(), 0, frozenset(), 1)
    sequence.set_state(State.PREFILL)
    sequence.set_state(State.CANCELED)
    assert sequence.is_finished
    with pytest.raises(AssertionError):
        sequence.set_state(State.DECODE)


class CountedPrompt(tuple):
    """A prompt that counts how often it is read."""

    n_reading = 0

    def __iter__(self) -> Iterator[int]:
        self.n_reading += 1
        return super().__iter__()


@pytest.mark.parametrize("penalty", [1.0, 1.2])
def test_a_prompt_becomes_a_tensor_at_most_once(penalty: float) -> None:
    """Making the tensor again for every sampled token would be slow for long prompts."""
    prompt = CountedPrompt((1, 2, 3))
    config = SamplingConfig(repetition_penalty=penalty)
    sequence = EngineSequence(RequestId("x"), 0, prompt, config, 0, frozenset(), 20)
    sequence.set_state(State.PREFILL)
    for _ in range(10):
        sequence.take_token(*sample_token(torch.zeros(5), sequence.draw()))
    assert prompt.n_reading == (0 if penalty == 1.0 else 1)


def test_after_many_requests_all_slots_are_free_and_their_memory_is_given_back(
    make_model: MakeModel,
) -> None:
    with Engine(make_model(), EngineConfig(n_slot=3)) as engine:
        for seed in range(40):
            request_id = engine.submit(
                Request(
                    [seed % 50 + 1],
                    SamplingConfig(seed=seed, max_tokens=1 + seed % 4, n=1 + seed % 2),
                )
            )
            engine.step()
            if seed % 3 == 0:
                engine.cancel(request_id)
        assert engine.cache.nbytes > 0
        run(engine)
        assert engine.n_free_slot == 3
        assert engine.cache.nbytes == 0
        assert not vars(engine)["_requests"]


@pytest.mark.parametrize("n_slot", [1, 2, 3, 8])
@pytest.mark.parametrize("prefill_tokens", [1, 4, 256])
def test_replies_that_share_a_prompt_equal_replies_that_each_read_it(
    make_model: MakeModel, n_slot: int, prefill_tokens: int
) -> None:
    """The random numbers depend on the index of a reply, so one request stands for each."""
    # Both settings make a token depend on those before it: tables of the 2 preceding tokens, and
    # attention to the last 8.
    model = make_model(n_previous=2, window=8)
    prompts = ([1, 2, 3, 4, 5, 6, 7], [9], [8, 7, 6])
    config = EngineConfig(n_slot=n_slot, prefill_tokens=prefill_tokens)
    with Engine(model, config) as engine:
        ids = [
            engine.submit(Request(prompt, SamplingConfig(seed=5, n=4, max_tokens=6 + i)))
            for i, prompt in enumerate(prompts)
        ]
        shared = run(engine)
    for i, (prompt, request_id) in enumerate(zip(prompts, ids, strict=True)):
        for index in range(4):
            sequence = EngineSequence(
                request_id, index, prompt, SamplingConfig(), 5, frozenset(), 6 + i
            )
            with Forward(model) as forward:
                while not sequence.is_finished:
                    text = [*prompt, *sequence.generated]
                    if sequence.state is State.QUEUED:
                        sequence.set_state(State.PREFILL)
                    logits = forward.logits([text], [0])[0]
                    sequence.take_token(*sample_token(logits, sequence.draw()))
            assert tokens(shared, request_id, index) == sequence.generated


@pytest.mark.parametrize(("n", "n_read"), [(1, 30 + 1), (8, 30 + 7 + 8)])
def test_a_shared_prompt_is_read_once(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, n: int, n_read: int
) -> None:
    """One reply reads all 30 tokens, the others the last; then each reads its first token."""
    counts: list[int] = []
    with Engine(make_model(), EngineConfig(n_slot=8)) as engine:
        hidden_states = engine.forward.hidden_states

        def counted(chunks: list[list[int]], *rest: Any) -> torch.Tensor:
            counts.append(sum(map(len, chunks)))
            return hidden_states(chunks, *rest)

        monkeypatch.setattr(engine.forward, "hidden_states", counted)
        engine.submit(Request(list(range(1, 31)), SamplingConfig(seed=1, n=n, max_tokens=2)))
        run(engine)
    assert sum(counts) == n_read


def test_cancelling_leaves_the_other_replies_of_a_shared_prompt(make_model: MakeModel) -> None:
    """The reply that reads the prompt may end first; the next one reads it itself."""
    prompt = list(range(1, 21))
    with Engine(make_model(), EngineConfig(n_slot=4, prefill_tokens=4)) as engine:
        request = Request(prompt, SamplingConfig(seed=5, n=3, max_tokens=5))
        expected = engine.submit(request)
        whole = run(engine)
        request_id = engine.submit(request)
        engine.step()
        first = engine.scheduler.running[0]
        assert (first.request_id, first.index) == (request_id, 0)
        first.end("canceled")
        engine._release(first)
        rest = run(engine)
    for index in (1, 2):
        assert tokens(rest, request_id, index) == tokens(whole, expected, index)


def test_short_blocks_give_the_same_replies_in_any_batch(make_model: MakeModel) -> None:
    model = make_model(context_length=512)
    replies = []
    for n_slot in (1, 6):
        config = EngineConfig(n_slot=n_slot, context_length=40, short_blocks=True)
        with Engine(model, config) as engine:
            # Attention reads keys in blocks: the context, rounded up to a multiple of 16.
            assert engine.forward.key_block == 48
            ids = [
                engine.submit(Request(list(range(1, 4 + i)), SamplingConfig(seed=i, max_tokens=20)))
                for i in range(6)
            ]
            events = run(engine)
            replies.append(
                [
                    (event.token_id, event.log_prob)
                    for request_id in ids
                    for event in events
                    if isinstance(event, TokenSampled) and event.request_id == request_id
                ]
            )
    assert replies[0] == replies[1]


def test_refresh_uses_changed_weights(make_model: MakeModel) -> None:
    """An engine of a model in training packs a copy that shares the weights; `refresh` again."""
    changed = make_model()
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.mul_(1.5)
    request = Request([1, 2, 3], SamplingConfig(seed=1, max_tokens=10))
    with Engine(changed) as engine:
        engine.submit(request)
        expected = [e.token_id for e in run(engine) if isinstance(e, TokenSampled)]
    model = make_model()
    with Engine(shared_copy(model)) as engine:
        engine.submit(request)
        before = [e.token_id for e in run(engine) if isinstance(e, TokenSampled)]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
        engine.refresh()
        engine.submit(request)
        after = [e.token_id for e in run(engine) if isinstance(e, TokenSampled)]
    assert after == expected
    assert before != after
