"""The life of requests: order, ends, cancelling, queues, several replies, failures. Exactness is in test_batch_invariance."""

from collections.abc import Callable

import pytest
import torch

from chatwright.engine.engine import Engine, EngineConfig, EngineFull
from chatwright.engine.forward import Forward
from chatwright.engine.generate import generate
from chatwright.engine.request import (
    Event,
    Request,
    RequestFinished,
    RequestId,
    State,
    TokenSampled,
)
from chatwright.engine.request import Sequence as EngineSequence
from chatwright.engine.sampling import SamplingConfig
from chatwright.model.gpt import GPT

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


def test_a_reply_ends_by_length_or_by_a_stop_token_that_is_its_last(make_model: MakeModel) -> None:
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


def test_without_max_tokens_a_reply_fills_the_context_and_no_more(make_model: MakeModel) -> None:
    with Engine(make_model(context_length=20)) as engine:
        request_id = engine.submit(Request([1] * 15, SamplingConfig(seed=1)))
        assert len(tokens(run(engine), request_id)) == 5


def test_the_same_seed_gives_the_same_reply_and_another_another(make_model: MakeModel) -> None:
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


def test_a_request_joins_while_another_is_under_way(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        long = engine.submit(Request([1, 2], SamplingConfig(seed=1, max_tokens=30)))
        first = [event for _ in range(5) for event in engine.step()]
        short = engine.submit(Request([3], SamplingConfig(seed=1, max_tokens=2)))
        events = [*first, *run(engine)]
        order = [event.request_id for event in events if isinstance(event, RequestFinished)]
        assert order == [short, long]


def test_a_long_prompt_does_not_stop_the_others(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig(prefill_tokens=4)) as engine:
        talking = engine.submit(Request([1], SamplingConfig(seed=1, max_tokens=40)))
        engine.step()
        reading = engine.submit(Request([2] * 40, SamplingConfig(seed=1, max_tokens=1)))
        for _ in range(9):
            events = engine.step()
            assert len(tokens(events, talking)) == 1
            assert not tokens(events, reading)
        assert len(tokens(engine.step(), reading)) == 1


def test_cancelling_frees_the_place_at_any_time_and_twice_is_once(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig(n_slot=1, prefill_tokens=4)) as engine:
        config = SamplingConfig(seed=1, max_tokens=10)
        for n_step in (0, 1, 4):  # waiting, reading, answering
            request_id = engine.submit(Request([1] * 10, config))
            before = [event for _ in range(n_step) for event in engine.step()]
            engine.cancel(request_id)
            engine.cancel(request_id)
            after = run(engine)
            assert ends([*before, *after], request_id) == [
                RequestFinished(request_id, 0, "cancelled")
            ]
            assert not tokens(after, request_id)
            assert engine.n_free_rows == 1
        engine.cancel(RequestId("never was"))


def test_a_cancelled_neighbour_leaves_no_trace(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig(n_slot=2)) as engine:
        config = SamplingConfig(seed=1, max_tokens=10)
        gone = engine.submit(
            Request([9] * 20, SamplingConfig(seed=2, logit_bias={5: 100.0}, max_tokens=20))
        )
        stays = engine.submit(Request([1, 2], config))
        events = [event for _ in range(4) for event in engine.step()]
        engine.cancel(gone)
        follows = engine.submit(Request([1, 2], config))  # in the place that is free again
        events += run(engine)
        assert (
            tokens(events, stays)
            == tokens(events, follows)
            == generate(engine.forward, [1, 2], config).token_ids
        )


def test_n_replies_differ_and_the_first_is_the_only_one_of_n_1(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig(n_slot=2)) as engine:
        several = engine.submit(Request([1, 2], SamplingConfig(seed=7, n=3, max_tokens=8)))
        single = engine.submit(Request([1, 2], SamplingConfig(seed=7, max_tokens=8)))
        events = run(engine)
        replies = [tokens(events, several, index) for index in range(3)]
        assert len({tuple(reply) for reply in replies}) == 3
        assert replies[0] == tokens(events, single)
        assert [end.is_last for end in ends(events, several)] == [False, False, True]
        assert {end.index for end in ends(events, several)} == {0, 1, 2}


def test_best_of_gives_the_most_probable_of_all(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        every = engine.submit(Request([1, 2], SamplingConfig(seed=7, n=5, max_tokens=8)))
        best = engine.submit(Request([1, 2], SamplingConfig(seed=7, n=2, best_of=5, max_tokens=8)))
        events = run(engine)
        means = {
            index: sum(
                e.log_prob
                for e in events
                if isinstance(e, TokenSampled) and (e.request_id, e.index) == (every, index)
            )
            / 8
            for index in range(5)
        }
        ranked = sorted(means, key=lambda index: -means[index])
        assert [tokens(events, best, rank) for rank in range(2)] == [
            tokens(events, every, index) for index in ranked[:2]
        ]
        assert len(ends(events, best)) == 2


def test_log_probs_are_the_model_s_own_whatever_the_temperature(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        seen: list[torch.Tensor] = []
        engine.observe_logits(lambda sequence, logits: seen.append(logits))
        engine.submit(
            Request(
                [1, 2],
                SamplingConfig(
                    seed=7, temperature=0.3, logit_bias={4: 5.0}, top_log_probs=3, max_tokens=5
                ),
            )
        )
        for event, logits in zip(run(engine), seen, strict=False):
            assert isinstance(event, TokenSampled)
            expected = logits.double().log_softmax(-1)
            assert event.log_prob == pytest.approx(float(expected[event.token_id]))
            best = expected.topk(3)
            assert event.alternatives == tuple(
                zip(best.indices.tolist(), best.values.tolist(), strict=True)
            )


def test_damaged_weights_fail_their_request_by_name_and_leave_no_nan_behind(
    make_model: MakeModel,
) -> None:
    model = make_model()
    with torch.no_grad():
        model.embedding.weight[60] = float("nan")  # tied: the head would spread it, so untie below
        model.head.weight = torch.nn.Parameter(torch.nan_to_num(model.head.weight.detach().clone()))
    with Engine(model, EngineConfig(n_slot=2)) as engine:
        config = SamplingConfig(seed=1, max_tokens=6, logit_bias={60: -100.0})
        bad, good = (
            engine.submit(Request([1, 60, 2], config)),
            engine.submit(Request([1, 2], config)),
        )
        events = run(engine)
        [end] = ends(events, bad)
        assert (end.reason, "not finite" in end.error, "earlier checkpoint" in end.error) == (
            "failed",
            True,
            True,
        )
        after = engine.submit(Request([1, 2], config))  # in the row that held the NaNs
        assert (
            tokens(events, good)
            == tokens(run(engine), after)
            == generate(engine.forward, [1, 2], config).token_ids
        )


def test_a_failing_step_ends_its_batch_and_not_the_engine(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(make_model()) as engine:
        config = SamplingConfig(seed=1, max_tokens=3)
        lost = engine.submit(Request([1, 2], config))

        def fail(*_: object) -> torch.Tensor:
            raise RuntimeError("not enough memory\nand a long trace")

        with monkeypatch.context() as patch:
            patch.setattr(Forward, "logits", fail)
            events = run(engine)
        assert ends(events, lost) == [
            RequestFinished(
                lost, 0, "failed", True, "the step failed: RuntimeError: not enough memory"
            )
        ]
        fine = engine.submit(Request([1, 2], config))
        assert len(tokens(run(engine), fine)) == 3


def test_the_queue_is_bounded_and_a_refusal_keeps_nothing(make_model: MakeModel) -> None:
    with Engine(
        make_model(), EngineConfig(n_slot=1, max_waiting=2, max_waiting_tokens=20)
    ) as engine:
        config = SamplingConfig(seed=1, max_tokens=2)
        for _ in range(2):
            engine.submit(Request([1] * 5, config))
        with pytest.raises(EngineFull, match="2 replies are waiting"):
            engine.submit(Request([1], config))
        assert len(run(engine)) == 2 * (2 + 1)
        engine.submit(Request([1] * 15, config))
        with pytest.raises(EngineFull, match="20 prompt tokens"):
            engine.submit(Request([1] * 6, config))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request([]), "token_ids is empty"),
        (Request([1, 61]), "token id 61 is outside the model's 61 ids"),
        (Request([-1]), "token id -1"),
        (Request([1], SamplingConfig(logit_bias={99: 1.0})), "token id 99"),
        (
            Request([1] * 60, SamplingConfig(max_tokens=5)),
            "60 tokens and max_tokens = 5 do not fit .* context of 64 .* at most 4 tokens",
        ),
        (Request([1] * 64), "64 tokens and max_tokens = 1"),
        (Request([1], SamplingConfig(n=300)), "300 replies .* more than this engine ever takes"),
    ],
)
def test_what_can_never_be_served_is_refused(
    make_model: MakeModel, request_: Request, message: str
) -> None:
    with Engine(make_model()) as engine:
        with pytest.raises(ValueError, match=message):
            engine.submit(request_)
        assert not engine.has_work


def test_a_cache_that_does_not_fit_is_refused_before_it_is_made(make_model: MakeModel) -> None:
    model = make_model()
    with pytest.raises(ValueError, match=r"n_slot = 1000000000: the cache needs .* MB: take fewer"):
        Engine(model, EngineConfig(n_slot=10**9))
    model(torch.zeros(1, 1, dtype=torch.int64)).sum().backward()  # and the model is as it was


def test_the_model_is_trainable_again_after_closing(make_model: MakeModel) -> None:
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


def test_states_change_only_along_the_arrows() -> None:
    sequence = EngineSequence(RequestId("x"), 0, (1,), SamplingConfig(), 0, frozenset(), 1)
    sequence.become(State.PREFILL)
    sequence.become(State.CANCELLED)
    assert sequence.is_finished
    with pytest.raises(AssertionError, match="a cancelled sequence cannot become decode"):
        sequence.become(State.DECODE)


def test_nothing_is_left_after_many_requests(make_model: MakeModel) -> None:
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
        run(engine)
        assert engine.n_free_rows == 3
        assert not engine.cache.keys[..., :-1, :].any(), "every place was wiped"
        assert not vars(engine)["_requests"]
