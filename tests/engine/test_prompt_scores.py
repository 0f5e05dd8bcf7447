"""Log-probabilities of a prompt: those of a direct forward, and of the same tokens sampled."""

import pytest
import torch

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import (
    PromptScored,
    PromptTooLong,
    Request,
    RequestFinished,
    SamplingConfig,
    TokenSampled,
)
from chatwright.errors import InputError
from tests.server.small_model import CONTEXT, TOKENIZER, small_model

V = TOKENIZER.vocab_size
PROMPT = tuple((7 * i + i * i) % V for i in range(70))


def run(engine: Engine, *requests: Request) -> list[tuple[list[PromptScored], list[TokenSampled]]]:
    """Return scores and tokens of each request."""
    ids = [engine.submit(request) for request in requests]
    events = []
    while engine.has_work:
        events += engine.step()
    assert [e.reason for e in events if isinstance(e, RequestFinished)] == ["length"] * len(ids)
    return [
        (
            [e for e in events if isinstance(e, PromptScored) and e.request_id == request_id],
            [e for e in events if isinstance(e, TokenSampled) and e.request_id == request_id],
        )
        for request_id in ids
    ]


def direct(prompt: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities (T, V) of one forward pass of the unpacked model over the whole text."""
    with torch.no_grad():
        logits = small_model()(torch.tensor([prompt]))
    return logits.reshape(len(prompt), V).double().log_softmax(dim=-1)


@pytest.mark.parametrize("prefill_tokens", [1, 7, 64, 256])
def test_scores_equal_those_of_a_direct_forward_in_any_chunks(prefill_tokens: int) -> None:
    sampling = SamplingConfig(max_tokens=1, top_log_probs=3, seed=1)
    request = Request(PROMPT, sampling, scores_prompt=True)
    with Engine(small_model(), EngineConfig(n_slot=2, prefill_tokens=prefill_tokens)) as engine:
        [([event], [_])] = run(engine, request)
        [([again], []), ([short], [])] = run(  # without sampling, with another text in the batch
            engine,
            Request(PROMPT, sampling, scores_prompt=True, is_sampled=False),
            Request(PROMPT[:1], sampling, scores_prompt=True, is_sampled=False),
        )
    expected = direct(PROMPT)
    assert [score.token_id for score in event.scores] == list(PROMPT[1:])
    found = torch.tensor([score.log_prob for score in event.scores], dtype=torch.float64)
    wanted = expected[torch.arange(len(PROMPT) - 1), list(PROMPT[1:])]
    # float32 logits; the engine's attention adds the keys in tiles
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5)
    for row, score in zip(expected, event.scores, strict=False):
        values = torch.tensor([value for _, value in score.alternatives], dtype=torch.float64)
        torch.testing.assert_close(values, row.topk(3).values, rtol=0, atol=2e-5)
    assert again.scores == event.scores
    assert short.scores == ()


def test_a_sampled_token_has_the_same_bits_when_it_is_scored_afterwards() -> None:
    with Engine(small_model(), EngineConfig(n_slot=3)) as engine:
        if engine.batch_dependence_reason:
            pytest.skip("bits depend on the batch on this machine")
        requests = [Request(PROMPT[:n], SamplingConfig(max_tokens=12, seed=n)) for n in (5, 9, 20)]
        for request, (_, tokens) in zip(requests, run(engine, *requests), strict=True):
            whole = (*request.token_ids, *(token.token_id for token in tokens))
            scoring = Request(whole, scores_prompt=True, is_sampled=False)
            [([event], [])] = run(engine, scoring)
            n_prompt_token = len(request.token_ids)
            scored = [score.log_prob for score in event.scores[n_prompt_token - 1 :]]
            assert scored == [token.log_prob for token in tokens]


def test_every_reply_to_a_prompt_gets_all_scores() -> None:
    sampling = SamplingConfig(max_tokens=2, n=2, seed=1)
    with Engine(small_model(), EngineConfig(n_slot=2)) as engine:
        request_id = engine.submit(Request(PROMPT, sampling, scores_prompt=True))
        events = []
        while engine.has_work:
            events += engine.step()
        scored = [event for event in events if isinstance(event, PromptScored)]
        assert {event.request_id for event in scored} == {request_id}
        assert scored[0].scores == scored[1].scores
        assert [event.index for event in scored] == [0, 1]
        assert len(scored[0].scores) == len(PROMPT) - 1


def test_what_cannot_be_scored_is_refused() -> None:
    with Engine(small_model(), EngineConfig(n_slot=1)) as engine:
        with pytest.raises(InputError) as caught:
            engine.submit(Request(PROMPT, SamplingConfig(best_of=2), scores_prompt=True))
        assert caught.value.field == "best_of"
        full = tuple(i % V for i in range(CONTEXT))
        with pytest.raises(PromptTooLong):
            engine.submit(Request(full))
        engine.submit(Request(full, scores_prompt=True, is_sampled=False))
        with pytest.raises(PromptTooLong):
            engine.submit(Request((*full, 1), scores_prompt=True, is_sampled=False))
