"""Prefixes of earlier texts are reused, and every logit has the bits of a cold read."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import (
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
)
from chatwright.engine.packed_model import shared_copy
from chatwright.engine.prefix_cache import BLOCK_TOKENS, PrefixCache
from chatwright.engine.prefix_index import Block, PrefixIndex
from chatwright.engine.scheduled_reply import State
from chatwright.model.gpt import GPT
from chatwright.model.kv_cache import DenseCache
from tests.engine.slow_generation import next_logits, observed_logits

MakeModel = Callable[..., GPT]

SHAPES: list[dict[str, object]] = [
    {"n_head": 4, "n_kv_head": 2, "head_dim": 32},
    {"n_head": 3, "n_kv_head": 1, "head_dim": 64},
    {"n_head": 2, "n_kv_head": 2, "head_dim": 96},
    {"n_head": 2, "n_kv_head": 1, "head_dim": 128},
    {"window": 9, "unwindowed_layers": (1,), "nope_layers": (1,)},
    {"ngrams": (2, 3), "ngram_rows": 500, "n_previous": 3, "position": "learned"},
]


class Replies:
    """Runs requests and compares every logit with slow generation."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.n_compared = 0

    def run(self, requests: Sequence[Request]) -> list[tuple[list[int], int]]:
        """Return the tokens of each reply and the number of cached tokens."""
        engine = self.engine
        seen: dict[RequestId, list[Tensor]] = {}
        with observed_logits(engine, lambda s, logits: seen[s.request_id].append(logits.clone())):
            ids = [engine.submit(request) for request in requests]
            seen.update((request_id, []) for request_id in ids)
            replies: dict[RequestId, list[int]] = {request_id: [] for request_id in ids}
            n_cached: dict[RequestId, int] = {}
            while engine.has_work:
                for event in engine.step():
                    if isinstance(event, TokenSampled):
                        replies[event.request_id].append(event.token_id)
                    elif isinstance(event, RequestFinished):
                        assert event.reason in ("stop", "length"), event.error
                        n_cached[event.request_id] = event.n_cached
                assert not engine.problems()
        for request, request_id in zip(requests, ids, strict=True):
            assert len(seen[request_id]) == len(replies[request_id])
            for n_token, logits in enumerate(seen[request_id]):
                text = [*request.token_ids, *replies[request_id][:n_token]]
                assert torch.equal(logits, next_logits(engine.forward, text)), (
                    f"prompt of {len(request.token_ids)}, token {n_token}"
                )
                self.n_compared += 1
        return [(replies[request_id], n_cached[request_id]) for request_id in ids]


def request(prompt: Sequence[int], max_tokens: int = 5, user: str = "", seed: int = 1) -> Request:
    return Request(prompt, SamplingConfig(seed=seed, max_tokens=max_tokens), user=user)


def whole_blocks(n_token: int) -> int:
    return n_token // BLOCK_TOKENS * BLOCK_TOKENS


def text(n_token: int, start: int = 1) -> list[int]:
    return [(start + 7 * i) % 60 + 1 for i in range(n_token)]


def caching(n_byte: int = 10**7, **changes: object) -> EngineConfig:
    return EngineConfig(prefix_cache_bytes=n_byte, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_the_next_turn_reads_only_its_new_tokens_with_the_same_bits(
    make_model: MakeModel, changes: dict[str, object]
) -> None:
    model = make_model(context_length=200, **changes)
    for prefill_tokens in (5, 256):
        with Engine(model, caching(n_slot=3, prefill_tokens=prefill_tokens)) as engine:
            replies = Replies(engine)
            first, beside = text(37), text(40, start=9)
            [(reply, n_first), _] = replies.run([request(first, 14), request(beside)])
            second = [*first, *reply, *text(11, start=4)]
            [(_, n_second), (_, n_beside)] = replies.run(
                [request(second, 4), request([*beside[:20], 60, *beside[21:]])]
            )
            # The last token of the reply was sampled and never read.
            assert (n_first, n_second) == (0, whole_blocks(len(first) + len(reply) - 1))
            assert n_beside == BLOCK_TOKENS, "the other text differs in its second block"
            assert replies.n_compared == 14 + 5 + 4 + 5


def test_the_last_token_of_a_prompt_is_always_read(make_model: MakeModel) -> None:
    with Engine(make_model(context_length=200), caching()) as engine:
        replies = Replies(engine)
        prompt = text(4 * BLOCK_TOKENS)
        [(cold, _)] = replies.run([request(prompt, 3)])
        [(warm, n_cached)] = replies.run([request(prompt, 3)])
        assert (warm, n_cached) == (cold, 3 * BLOCK_TOKENS)


def test_users_share_no_prefixes_and_without_memory_nothing_is_kept(make_model: MakeModel) -> None:
    model = make_model(context_length=200)
    for n_byte, users, expected in (
        (10**7, ("ann", "ann"), 48),
        (10**7, ("ann", "bob"), 0),
        (0, ("ann", "ann"), 0),
        (1000, ("ann", "ann"), 0),  # less than one block
    ):
        with Engine(model, caching(n_byte)) as engine:
            replies = Replies(engine)
            results = [replies.run([request(text(60), user=user)]) for user in users]
            assert results[0][0][1] == 0
            assert results[1][0] == (results[0][0][0], expected)
            assert engine.prefixes.nbytes <= n_byte


def test_new_weights_drop_all_prefixes(make_model: MakeModel) -> None:
    model = make_model(context_length=200)
    with Engine(shared_copy(model), caching()) as engine:
        replies = Replies(engine)
        replies.run([request(text(60))])
        with torch.no_grad():
            model.embedding.weight.mul_(1.5)
        engine.refresh()
        [(_, n_cached)] = replies.run([request(text(60))])
        assert n_cached == 0
        [(_, n_cached)] = replies.run([request(text(60))])
        assert n_cached == 48


def test_a_preempted_reply_continues_with_the_same_bits(make_model: MakeModel) -> None:
    model = make_model(context_length=200)
    for n_byte, n in ((10**7, 1), (0, 2)):
        config = caching(n_byte, n_slot=1, quantum=4, prefill_tokens=16)
        with Engine(model, config) as engine:
            n_preemption = 0
            preempt = engine.scheduler._preempt

            def counted(reply, preempt=preempt):  # type: ignore[no-untyped-def]
                nonlocal n_preemption
                n_preemption += 1
                preempt(reply)

            engine.scheduler._preempt = counted  # type: ignore[method-assign]
            replies = Replies(engine)
            requests = [
                Request(
                    text(45, start),
                    SamplingConfig(seed=2, max_tokens=14, repetition_penalty=1.2),
                    user=user,
                )
                for start, user in zip(range(n + 1), ("ann", "bob", "cyd"), strict=False)
            ]
            preempted = replies.run(requests)
            assert n_preemption >= 2 * n
        with Engine(model, caching(0, n_slot=4)) as engine:
            ids = [engine.submit(request_) for request_ in requests]
            events = [event for _ in range(30) for event in engine.step()]
        for request_id, (reply, n_cached) in zip(ids, preempted, strict=True):
            assert reply == [
                event.token_id
                for event in events
                if isinstance(event, TokenSampled) and event.request_id == request_id
            ]
            assert n_cached == 0


def test_a_canceled_reply_gives_everything_back_while_it_is_preempted(
    make_model: MakeModel,
) -> None:
    config = caching(n_slot=1, quantum=2)
    with Engine(make_model(context_length=200), config) as engine:
        first = engine.submit(request(text(40), 30, "ann"))
        for _ in range(4):
            engine.step()
        engine.submit(request(text(30, 3), 30, "bob"))
        engine.step()
        [waiting] = engine.scheduler.waiting
        assert (waiting.request_id, waiting.state) == (first, State.PREEMPTED)
        assert waiting.prefix
        engine.cancel(first)
        [end] = [e for e in engine.step() if isinstance(e, RequestFinished)]
        assert (end.request_id, end.reason) == (first, "canceled")
        assert not list(engine.scheduler.waiting)
        assert not engine.problems()


def test_a_request_with_several_replies_reports_cached_tokens_of_earlier_ones_only(
    make_model: MakeModel,
) -> None:
    with Engine(make_model(context_length=200), caching(n_slot=4)) as engine:
        several = Request(text(50), SamplingConfig(seed=1, n=3, max_tokens=4))
        for expected in (0, 48):
            request_id = engine.submit(several)
            ends = []
            while engine.has_work:
                ends += [e for e in engine.step() if isinstance(e, RequestFinished)]
            assert [end.n_cached for end in ends] == [expected] * 3
            assert {end.request_id for end in ends} == {request_id}
        assert not engine.problems()


def test_a_scored_prompt_is_read_whole(make_model: MakeModel) -> None:
    with Engine(make_model(context_length=200), caching()) as engine:
        scored = Request(
            text(50), SamplingConfig(seed=1, max_tokens=2), scores_prompt=True, user="ann"
        )
        for _ in range(2):
            engine.submit(scored)
            [scores, *_, end] = [event for _ in range(3) for event in engine.step()]
            assert isinstance(end, RequestFinished)
            assert end.n_cached == 0
            assert len(scores.scores) == 49  # type: ignore[union-attr]


def test_the_pool_keeps_its_budget_and_its_counts_when_texts_outgrow_it(
    make_model: MakeModel,
) -> None:
    model = make_model(context_length=200)
    per_block = 2 * 2 * 1 * 32 * BLOCK_TOKENS * 4  # keys and values, layers, heads, width, bytes
    assert (model.config.n_layer, model.config.n_kv_head, model.config.head_dim) == (2, 1, 32)
    with Engine(model, caching(7 * per_block + 5, n_slot=2)) as engine:
        assert engine.prefixes.index.n_block == 7
        replies = Replies(engine)
        for round_ in range(4):
            replies.run([request(text(30 + 20 * i, i), 6, user=str(i)) for i in range(5)])
            assert engine.prefixes.index.n_used <= 7
            assert engine.prefixes.nbytes == 7 * per_block
            assert not engine.problems(), round_


def test_an_idle_engine_keeps_the_memory_of_one_slot(make_model: MakeModel) -> None:
    with Engine(make_model(context_length=200), caching(n_slot=3)) as engine:
        replies = Replies(engine)
        replies.run([request(text(60))])
        one_slot = engine.cache.nbytes
        replies.run([request(text(60, start)) for start in range(3)])
        assert 0 < engine.cache.nbytes == one_slot


def test_a_failed_step_leaves_prefixes_usable(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(make_model(context_length=200), caching()) as engine:
        replies = Replies(engine)
        [cold] = replies.run([request(text(60))])

        def fail(*_: object) -> None:
            raise RuntimeError("not enough memory")

        for owner, name, reason in (
            (DenseCache, "write_blocks", "failed"),
            (PrefixCache, "_store", "length"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, fail)
                engine.submit(request(text(60 if reason == "failed" else 90)))
                events = [event for _ in range(6) for event in engine.step()]
            last = events[-1]
            assert isinstance(last, RequestFinished)
            assert last.reason == reason
            assert not engine.problems()
            assert not engine.has_work
            [(again, _)] = replies.run([request(text(60))])
            assert again == cold[0]


# Each of the following tests plants an error that a check must find.


def test_the_comparison_finds_a_corrupted_block(make_model: MakeModel) -> None:
    with Engine(make_model(context_length=200), caching()) as engine:
        replies = Replies(engine)
        replies.run([request(text(60))])
        for values in engine.prefixes._values:
            values[2, 0, 5, 3] += 1e-3  # one number of the third block
        with pytest.raises(AssertionError):
            replies.run([request(text(60))])


def test_the_comparison_finds_a_hit_on_other_tokens(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_child(self: PrefixIndex, owner: object, token_ids: Sequence[int]) -> list[Block]:
        block, path = self._roots.get(owner), []
        for _ in range(len(token_ids) // self.block_tokens):
            if block is None or not block.children:
                break
            block = next(iter(block.children.values()))
            path.append(block)
        return path

    with Engine(make_model(context_length=200), caching()) as engine:
        replies = Replies(engine)
        replies.run([request(text(60))])
        monkeypatch.setattr(PrefixIndex, "_walk", first_child)
        with pytest.raises(AssertionError):
            replies.run([request(text(60, start=30))])


def test_problems_finds_a_reference_that_is_never_given_back(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(make_model(context_length=200), caching()) as engine:
        monkeypatch.setattr(PrefixCache, "release", lambda *_: None)
        engine.submit(request(text(60)))
        while engine.has_work:
            engine.step()
        assert engine.problems()


def test_a_prompt_is_shared_as_soon_as_it_is_read(make_model: MakeModel) -> None:
    """A second request with the same prompt begins while the first is still being sampled."""
    prompt = text(60)
    with Engine(make_model(context_length=200), caching(n_slot=2)) as engine:
        [(alone, _)] = Replies(engine).run([request(prompt, 20)])
    with Engine(make_model(context_length=200), caching(n_slot=2)) as engine:
        first = engine.submit(request(prompt, 60))
        engine.step()
        second = engine.submit(request(prompt, 20))
        events = [event for _ in range(30) for event in engine.step()]
        assert first in {reply.request_id for reply in engine.scheduler.running}
        [end] = [event for event in events if isinstance(event, RequestFinished)]
        assert (end.request_id, end.n_cached) == (second, 48)
        sampled = [e for e in events if isinstance(e, TokenSampled) and e.request_id == second]
        assert [event.token_id for event in sampled] == alone
        assert not engine.problems()
