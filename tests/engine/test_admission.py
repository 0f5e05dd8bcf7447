"""Requests at every limit are refused before anything is allocated, or served to their end."""

import random
from collections.abc import Callable

import pytest

from chatwright.engine import engine as engine_module
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.forward import token_memory
from chatwright.engine.messages import EngineFull, Request, RequestFinished, SamplingConfig
from chatwright.engine.request_check import check_request
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from tests.engine.conftest import VOCAB_SIZE

MakeModel = Callable[..., GPT]

CONTEXT = 40
CONFIG = EngineConfig(
    n_slot=3,
    context_length=CONTEXT,
    short_blocks=True,
    prefill_tokens=16,
    quantum=4,
    max_waiting=8,
    max_waiting_tokens=150,
    max_user_waiting=5,
    prefix_cache_bytes=40_000,
)


def extreme_request(choose: random.Random) -> Request:
    """Return a request that asks for much: at, just below or far beyond a limit."""
    n_prompt_token = choose.choice(
        [0, 1, CONTEXT // 2, CONTEXT - 1, CONTEXT, CONTEXT + 1, 50 * CONTEXT]
    )
    room = CONTEXT - n_prompt_token
    max_tokens = choose.choice([None, 1, max(room - 1, 1), max(room, 1), room + 1, 10**9])
    n = choose.choice([1, 1, 2, 5, 6, 9, 10**9])
    sampling = SamplingConfig(
        seed=choose.randrange(2**63),
        max_tokens=max_tokens if max_tokens is None or max_tokens > 0 else 1,
        n=n,
        best_of=choose.choice([None, None, n, n + 1, 10**12]),
        top_log_probs=choose.choice([0, 20]),
    )
    token_ids = [choose.randrange(VOCAB_SIZE) for _ in range(n_prompt_token)]
    if choose.random() < 0.05 and token_ids:
        token_ids[choose.randrange(n_prompt_token)] = choose.choice([-1, VOCAB_SIZE, 2**70])
    return Request(
        token_ids,
        sampling,
        scores_prompt=choose.random() < 0.2,
        is_sampled=choose.random() < 0.8,
        user=choose.choice(["", "ann", "bob"]),
    )


def offer(engine: Engine, choose: random.Random, n_request: int) -> tuple[int, int]:
    """Submit requests while others run; return how many were served and how many refused."""
    memory = token_memory(engine.forward.model, CONFIG.prefill_tokens, engine.forward.key_block)
    most_bytes = memory.total(CONTEXT, CONFIG.n_slot)
    n_served = n_refused = 0
    open_requests = set()
    for _ in range(n_request):
        waiting, n_byte = list(engine.scheduler.waiting), engine.cache.nbytes
        try:
            open_requests.add(engine.submit(extreme_request(choose)))
        except (InputError, EngineFull):
            n_refused += 1
            assert list(engine.scheduler.waiting) == waiting
            assert engine.cache.nbytes == n_byte
        for _ in range(choose.choice([0, 1, 3, 20])):
            for event in engine.step():
                if isinstance(event, RequestFinished):
                    assert event.reason in ("stop", "length"), event.error
                    if event.is_last:
                        open_requests.remove(event.request_id)
                        n_served += 1
            assert engine.cache.nbytes + engine.prefixes.nbytes <= most_bytes + 40_000
            assert engine.scheduler.n_waiting <= CONFIG.max_waiting
    while engine.has_work:
        n_served += sum(isinstance(e, RequestFinished) and e.is_last for e in engine.step())
    assert not engine.problems()
    assert engine.n_free_slot == CONFIG.n_slot
    return n_served, n_refused


def test_extreme_requests_are_refused_or_served(make_model: MakeModel) -> None:
    with Engine(make_model(), CONFIG) as engine:
        n_served, n_refused = offer(engine, random.Random(1), 250)
        assert n_served + n_refused == 250
        assert n_served > 20
        assert n_refused > 100


def test_a_missing_check_of_lengths_is_found(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unchecked(request: Request, vocab_size: int, context_length: int) -> int:
        return min(check_request(request, vocab_size, 10**10), 3 * context_length)

    monkeypatch.setattr(engine_module, "check_request", unchecked)
    with Engine(make_model(), CONFIG) as engine, pytest.raises(AssertionError):
        offer(engine, random.Random(1), 500)
