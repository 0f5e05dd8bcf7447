"""Random requests beside each other equal the same requests alone, bit for bit.

Everything that could leak from one reply into another is varied: prompts with common beginnings,
neighbors, users, the size of chunks, the prefix cache, preemption, speculation, recycled slots, and
all settings of a request.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, RequestFinished, SamplingConfig, TokenSampled
from chatwright.engine.prefix_cache import PrefixCache
from chatwright.engine.prefix_index import Block
from chatwright.engine.sampling import NO_TOKENS, Draw
from chatwright.engine.scheduled_reply import State
from chatwright.engine.sequence import Sequence
from chatwright.model.gpt import GPT
from tests.engine.slow_generation import generate, next_logits, observed_logits

MakeModel = Callable[..., GPT]

V, CONTEXT = 61, 100
SHAPES: list[dict[str, object]] = [
    {"n_head": 4, "n_kv_head": 2, "head_dim": 32},
    {"n_head": 3, "n_kv_head": 1, "head_dim": 64},
    {"n_head": 2, "n_kv_head": 1, "head_dim": 128},
    {"window": 9, "unwindowed_layers": (1,), "nope_layers": (1,)},
    {"ngrams": (2, 3), "ngram_rows": 500, "n_previous": 3},
]


@dataclass
class Outcome:
    """What the engine returned for one request."""

    request: Request
    token_ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    last_logits: Tensor = NO_TOKENS
    n_cached: int = 0


def play(
    engine: Engine, choose: random.Random, requests: list[Request], cancels: float = 0.02
) -> list[Outcome]:
    """Submit requests at random times and cancel some; return the outcomes of the others."""
    outcomes: dict[str, Outcome] = {}
    canceled: set[str] = set()

    def note_logits(sequence: Sequence, logits: Tensor) -> None:
        outcomes[sequence.request_id].last_logits = logits.clone()

    with observed_logits(engine, note_logits):
        waiting = list(reversed(requests))
        while waiting or engine.has_work:
            while waiting and engine.scheduler.n_waiting < 6 and choose.random() < 0.6:
                request = waiting.pop()
                outcomes[engine.submit(request)] = Outcome(request)
            for event in engine.step():
                outcome = outcomes[event.request_id]
                if isinstance(event, TokenSampled):
                    outcome.token_ids.append(event.token_id)
                    outcome.log_probs.append(event.log_prob)
                elif isinstance(event, RequestFinished):
                    outcome.n_cached = event.n_cached
                    assert event.reason != "failed", event.error
            if choose.random() < cancels and engine.scheduler.running:
                request_id = choose.choice(engine.scheduler.running).request_id
                engine.cancel(request_id)
                canceled.add(request_id)
            if choose.random() < 0.1:
                assert not engine.problems()
    assert not engine.problems()
    return [outcome for request_id, outcome in outcomes.items() if request_id not in canceled]


def preemptions(engine: Engine) -> list[int]:
    """Return a list to which every later preemption of this engine adds the reply's length."""
    noted: list[int] = []
    save = engine._save_prefix

    def note(sequence: Sequence, slot: int, n_token: int) -> None:
        if sequence.state is State.PREEMPTED:
            noted.append(n_token)
        save(sequence, slot, n_token)

    engine._save_prefix = note  # type: ignore[method-assign]
    return noted


def random_config(choose: random.Random) -> EngineConfig:
    return EngineConfig(
        n_slot=choose.randint(1, 6),
        prefill_tokens=choose.choice([3, 16, 33, 256]),
        quantum=choose.choice([0, 2, 5]),
        prefix_cache_bytes=choose.choice([0, 100_000, 10**7]),
        speculative_tokens=choose.choice([0, 4]),
    )


def random_pairs(make_model: MakeModel, changes: dict[str, object], n: int, seed: int) -> None:
    """Compare the last logits of n replies in company with those of the whole text alone."""
    choose = random.Random(seed)
    model = make_model(vocab_size=V, context_length=CONTEXT, **changes)
    n_pair = n_hit = n_preempted = 0
    while n_pair < 0.9 * n:  # some are canceled
        config = EngineConfig(n_slot=2, prefill_tokens=16, quantum=2, prefix_cache_bytes=10**7)
        if n_pair:
            config = random_config(choose)
        stems = [[choose.randrange(V) for _ in range(60)] for _ in range(3)]
        requests = [
            Request(
                choose.choice(stems)[: choose.randint(0, 60)]
                + [choose.randrange(V) for _ in range(choose.randint(1, 20))],
                SamplingConfig(seed=choose.randrange(2**32), max_tokens=choose.randint(1, 8)),
                user=choose.choice(["ann", "bob", "cyd"]),
            )
            for _ in range(min(40, n))
        ]
        with Engine(model, config) as engine:
            if not engine.forward.has_packed_kernels:
                pytest.skip("this torch build has no packed linear kernel")
            preempted = preemptions(engine)
            for outcome in play(engine, choose, requests):
                text = [*outcome.request.token_ids, *outcome.token_ids[:-1]]
                assert torch.equal(outcome.last_logits, next_logits(engine.forward, text)), config
                n_pair += 1
                n_hit += outcome.n_cached > 0
            n_preempted += len(preempted)
    assert n_hit > n // 20
    assert n_preempted > n // 20


def random_sampling(choose: random.Random) -> SamplingConfig:
    return SamplingConfig(
        seed=choose.randrange(2**64),
        temperature=choose.choice([0.0, 0.5, 1.0, 1.0, 2.0]),
        top_k=choose.choice([0, 0, 3]),
        top_p=choose.choice([1.0, 1.0, 0.7]),
        min_p=choose.choice([0.0, 0.0, 0.1]),
        frequency_penalty=choose.choice([0.0, 0.0, 1.5]),
        presence_penalty=choose.choice([0.0, 0.0, -1.0]),
        repetition_penalty=choose.choice([1.0, 1.0, 1.4]),
        logit_bias={
            choose.randrange(V): choose.uniform(-9, 9) for _ in range(choose.choice([0, 2]))
        },
        max_tokens=choose.randint(1, 5),
        top_log_probs=choose.choice([0, 0, 2]),
    )


def recycled_slots(make_model: MakeModel, n: int, seed: int) -> None:
    """Compare n replies with settings of their own, in few slots, with each reply alone."""
    choose = random.Random(seed)
    config = EngineConfig(n_slot=3, prefill_tokens=16, quantum=2, prefix_cache_bytes=100_000)
    model = make_model(vocab_size=V, n_layer=1)
    with Engine(model, config) as engine:
        requests = [
            Request(
                [choose.randrange(V) for _ in range(choose.choice([1, 4, 20]))],
                random_sampling(choose),
                stop_ids=[choose.randrange(V) for _ in range(choose.choice([0, 5]))],
                banned_ids=[choose.randrange(V) for _ in range(choose.choice([0, 30]))],
                user=choose.choice(["ann", "bob"]),
            )
            for _ in range(n)
        ]
        outcomes = play(engine, choose, requests)
        assert len(outcomes) > 0.9 * n
        for outcome in outcomes:
            request = outcome.request
            alone = generate(
                engine.forward,
                request.token_ids,
                request.sampling,
                request.stop_ids,
                request.banned_ids,
            )
            assert (outcome.token_ids, outcome.log_probs) == (alone.token_ids, alone.log_probs)


def test_random_replies_beside_others_have_the_logits_of_the_text_alone(
    make_model: MakeModel,
) -> None:
    random_pairs(make_model, SHAPES[0], 40, seed=1)


@pytest.mark.ci
@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_one_thousand_random_pairs_are_equal(
    make_model: MakeModel, changes: dict[str, object]
) -> None:
    random_pairs(make_model, changes, 200, seed=2)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_one_thousand_random_pairs_of_every_shape_are_equal(
    make_model: MakeModel, changes: dict[str, object]
) -> None:
    random_pairs(make_model, changes, 1000, seed=3)


def test_replies_in_recycled_slots_equal_replies_alone(make_model: MakeModel) -> None:
    recycled_slots(make_model, 100, seed=1)


@pytest.mark.ci
def test_one_thousand_replies_in_recycled_slots_equal_replies_alone(make_model: MakeModel) -> None:
    recycled_slots(make_model, 1000, seed=2)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_ten_thousand_replies_in_recycled_slots_equal_replies_alone(make_model: MakeModel) -> None:
    recycled_slots(make_model, 10_000, seed=3)


# Each of the following tests plants an error that the comparison must find.


def test_the_comparison_finds_settings_that_stay_with_a_slot(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Sequence.draw
    bans: dict[int | None, Tensor] = {}

    def stale(self: Sequence) -> Draw:
        self.banned_ids = bans.setdefault(self.slot, self.banned_ids)
        return draw(self)

    monkeypatch.setattr(Sequence, "draw", stale)
    with pytest.raises(AssertionError):
        recycled_slots(make_model, 100, seed=1)


def test_the_comparison_finds_a_prefix_that_continues_at_a_wrong_position(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = PrefixCache.load

    def one_more(self: PrefixCache, *args: Any) -> tuple[list[Block], int]:
        path, n_token = load(self, *args)
        return path, n_token + bool(path)

    monkeypatch.setattr(PrefixCache, "load", one_more)
    with pytest.raises(AssertionError):
        random_pairs(make_model, SHAPES[0], 20, seed=1)
