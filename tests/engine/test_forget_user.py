"""After a user is deleted, the engine keeps no key, value or token of the user's texts."""

from collections.abc import Callable

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import (
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
)
from chatwright.model.gpt import GPT

MakeModel = Callable[..., GPT]

PROMPT = list(range(1, 40))
OTHER = list(range(20, 60))
LONG = EngineConfig(n_slot=3, prefix_cache_bytes=2**24)


def request(prompt: list[int], user: str, n_token: int = 4) -> Request:
    return Request(prompt, SamplingConfig(seed=1, max_tokens=n_token), user=user)


def finish(engine: Engine) -> dict[RequestId, tuple[list[tuple[int, float]], RequestFinished]]:
    """Run all replies to their ends; return their tokens and ends."""
    tokens: dict[RequestId, list[tuple[int, float]]] = {}
    ends: dict[RequestId, RequestFinished] = {}
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, TokenSampled):
                tokens.setdefault(event.request_id, []).append((event.token_id, event.log_prob))
            elif isinstance(event, RequestFinished):
                ends[event.request_id] = event
        assert not engine.problems()
    return {request_id: (tokens.get(request_id, []), end) for request_id, end in ends.items()}


def run(engine: Engine, one: Request) -> tuple[list[tuple[int, float]], RequestFinished]:
    request_id = engine.submit(one)
    return finish(engine)[request_id]


def kept_tokens(engine: Engine) -> set[int]:
    """Return every token id in the prefix cache and in the slots, except 0 (empty)."""
    owners = engine.prefixes.index._roots.values()
    found: set[int] = set()
    waiting = list(owners)
    while waiting:
        block = waiting.pop()
        found |= set(block.tokens)
        waiting += block.children.values()
    return (found | set(engine.cache.token_ids.flatten().tolist())) - {0}


def n_number(engine: Engine) -> int:
    """Return how many numbers in the keys of all slots are not 0."""
    return sum(int((keys != 0).sum()) for keys in engine.cache.keys)


def test_nothing_of_the_user_is_kept(make_model: MakeModel) -> None:
    with Engine(make_model(), LONG) as engine:
        run(engine, request(PROMPT, "ann"))
        _, again = run(engine, request(PROMPT, "ann"))
        assert again.n_cached > 0  # the control: the text was kept
        assert set(PROMPT[:16]) <= kept_tokens(engine)
        assert n_number(engine) > 0
        engine.forget_user("ann")
        assert kept_tokens(engine) == set()
        assert n_number(engine) == 0
        _, cold = run(engine, request(PROMPT, "ann"))
        assert cold.n_cached == 0


def test_the_users_replies_end_and_others_continue_with_their_bits(make_model: MakeModel) -> None:
    with Engine(make_model(), LONG) as engine:
        alone, _ = run(engine, request(OTHER, "ben", 12))
    with Engine(make_model(), LONG) as engine:
        run(engine, request(OTHER, "ben", 2))  # so that a prefix of the running reply is saved
        ann = engine.submit(request(PROMPT, "ann", 12))
        ben = engine.submit(request(OTHER, "ben", 12))
        early: list[tuple[int, float]] = []
        for _ in range(4):
            for event in engine.step():
                if isinstance(event, TokenSampled) and event.request_id == ben:
                    early.append((event.token_id, event.log_prob))
        assert early
        engine.forget_user("ann")
        assert engine.prefixes.index.n_used == 0
        texts = [row for row in engine.cache.token_ids.tolist() if any(row)]
        assert [text[:32] for text in texts] == [OTHER[:32]]
        ended = finish(engine)
    assert ended[ann][1].reason == "canceled"
    assert [*early, *ended[ben][0]] == alone
