"""Proposals are checked in one forward pass, and no reply changes."""

import random
from collections.abc import Callable

import pytest

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import (
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
)
from chatwright.engine.speculation import N_CONTEXT, Proposer
from chatwright.model.gpt import GPT

MakeModel = Callable[..., GPT]
Reply = list[tuple[int, float, tuple[tuple[int, float], ...]]]


def proposer(text: list[int], n_most: int = 8) -> Proposer:
    made = Proposer(n_most)
    made.read(text)
    made.n_next = n_most
    return made


def slow_proposal(text: list[int], n_most: int) -> list[int]:
    """Look for the last tokens from the end of the text backwards."""
    for start in range(len(text) - N_CONTEXT - 1, -1, -1):
        if text[start : start + N_CONTEXT] == text[-N_CONTEXT:]:
            longer = list(text)
            for index in range(n_most):
                longer.append(longer[start + N_CONTEXT + index])
            return longer[len(text) :]
    return []


def test_the_proposal_is_what_followed_the_last_tokens_before() -> None:
    assert proposer([1, 2, 3, 4, 5, 9, 1, 2, 3]).propose(8) == [4, 5, 9, 1, 2, 3, 4, 5]
    assert proposer([1, 2, 3, 4, 5, 9, 1, 2, 3]).propose(2) == [4, 5]
    assert proposer([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]).propose(1) == [5], "the latest counts"
    assert proposer([1, 2, 3, 4, 2, 3]).propose(8) == []
    assert proposer([1, 2]).propose(8) == []


def test_proposals_equal_those_of_a_slow_search() -> None:
    choose = random.Random(0)
    for n_word in (1, 2, 3):
        text = [choose.randrange(n_word + 1) for _ in range(60)]
        for end in range(1, 60):
            assert proposer(text[:end]).propose(5) == slow_proposal(text[:end], 5)


def test_proposals_grow_when_right_and_shrink_when_wrong() -> None:
    one = Proposer(8)
    sizes = []
    for n_proposed, n_right in ((2, 2), (4, 4), (8, 8), (8, 3), (3, 0), (1, 1)):
        one.learn(n_proposed, n_right)
        sizes.append(one.n_next)
    assert sizes == [4, 8, 8, 3, 1, 2]


def run(engine: Engine, requests: list[Request]) -> tuple[list[list[Reply]], list[str], int]:
    """Return the replies to each request, the reasons of their ends, and the number of steps."""
    ids = [engine.submit(request) for request in requests]
    n_reply = {id_: one.sampling.n for id_, one in zip(ids, requests, strict=True)}
    replies: dict[tuple[RequestId, int], Reply] = {}
    reasons: dict[tuple[RequestId, int], str] = {}
    n_step = 0
    while engine.has_work:
        n_step += 1
        for event in engine.step():
            if isinstance(event, TokenSampled):
                token = (event.token_id, event.log_prob, event.alternatives)
                replies.setdefault((event.request_id, event.index), []).append(token)
            elif isinstance(event, RequestFinished):
                reasons[event.request_id, event.index] = event.reason
        assert not engine.problems()
    ordered = [[replies[id_, index] for index in range(n_reply[id_])] for id_ in ids]
    return (
        ordered,
        [reasons[key] for key in sorted(reasons, key=lambda k: (ids.index(k[0]), k[1]))],
        n_step,
    )


def requests(n: int, seed: int) -> list[Request]:
    """Make requests whose prompts repeat themselves, with all kinds of settings."""
    choose, made = random.Random(seed), []
    for i in range(n):
        phrase = [choose.randrange(61) for _ in range(choose.randint(2, 6))]
        prompt = (phrase * 8)[: choose.randint(1, 24)]
        sampling = SamplingConfig(
            temperature=choose.choice([0.0, 0.0, 0.2, 1.0]),
            top_k=choose.choice([0, 0, 5]),
            top_p=choose.choice([1.0, 0.9]),
            repetition_penalty=choose.choice([1.0, 1.0, 1.3]),
            frequency_penalty=choose.choice([0.0, 0.0, 0.5]),
            top_log_probs=choose.choice([0, 2]),
            seed=seed * 1000 + i,
            n=choose.choice([1, 1, 2]),
            max_tokens=choose.randint(1, 30),
        )
        made.append(Request(prompt, sampling, stop_ids=(choose.randrange(61),)))
    return made


@pytest.mark.parametrize("changes", [{}, {"window": 9, "n_previous": 2}], ids=str)
def test_replies_do_not_change(make_model: MakeModel, changes: dict[str, object]) -> None:
    n_saved = _compare(make_model(**changes), n_request=16, seed=1)
    assert n_saved > 5 or changes, "some proposals were right"


@pytest.mark.full
def test_thousands_of_replies_do_not_change(make_model: MakeModel) -> None:
    model = make_model()
    assert sum(_compare(model, n_request=70, seed=seed) for seed in range(120)) > 1000


def _compare(model: GPT, n_request: int, seed: int) -> int:
    """Compare all replies; return how many steps proposals saved."""
    made = requests(n_request, seed)
    with Engine(model, EngineConfig(n_slot=1)) as engine:
        assert engine.batch_dependence_reason == ""
        *expected, n_step = run(engine, made)
    n_saved = 0
    for n_slot, count in ((1, 8), (3, 4), (5, 2)):
        config = EngineConfig(
            n_slot=n_slot, speculative_tokens=count, prefix_cache_bytes=10_000_000, quantum=5
        )
        with Engine(model, config) as engine:
            *actual, n_fewer = run(engine, made)
        assert actual == expected
        if n_slot == 1:
            n_saved = n_step - n_fewer
    return n_saved


def test_a_reply_that_repeats_itself_takes_fewer_steps(make_model: MakeModel) -> None:
    """Greedy replies of a small model with random weights end in a loop."""
    request = Request([1, 2, 3], SamplingConfig(temperature=0.0, max_tokens=56))
    model = make_model()
    with Engine(model) as engine:
        replies, _, n_step = run(engine, [request])
    with Engine(model, EngineConfig(speculative_tokens=7)) as engine:
        speculated, _, n_fewer = run(engine, [request])
    assert speculated == replies
    assert n_fewer < n_step / 2


def test_a_wrong_verification_is_noticed(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: an engine that keeps every proposed token gives other replies."""
    model, made = make_model(), requests(24, seed=1)
    with Engine(model, EngineConfig(n_slot=1)) as engine:
        expected, _, _ = run(engine, made)
    monkeypatch.setattr(
        "chatwright.engine.sequence.Sequence.propose",
        lambda self, n_most: [] if len(self.generated) + 2 > self.max_tokens else [1],
    )
    monkeypatch.setattr(
        "chatwright.engine.engine._is_right", lambda s, p: bool(p) and not s.is_finished
    )
    with Engine(model, EngineConfig(n_slot=1, speculative_tokens=1)) as engine:
        actual, _, _ = run(engine, made)
    assert actual != expected
